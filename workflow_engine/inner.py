"""The step that stands for the steps of another definition; `flatten` puts them in its place."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from workflow_engine.block import Block, BlockManifest


class InnerWorkflow(Block):
    """The steps of another definition in place of one step; its outputs are those of that definition.

    `{"type": "engine/inner_workflow@v1", "name": "grey", "parameter_bindings": {"image": "$inputs.image"},
    "workflow_definition": {"version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}], "steps": [{"type":
    "vision/convert_grayscale@v1", "name": "convert", "image": "$inputs.image"}], "outputs": [{"name": "picture", "selector":
    "$steps.convert.image"}]}}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["engine/inner_workflow@v1", "roboflow_core/inner_workflow@v1"]
        workflow_definition: dict[str, Any] = Field(description="the other definition")
        parameter_bindings: dict[str, Any] = Field(
            default_factory=dict, description="what its inputs are: references of this definition, or values, by name"
        )
        workflow_workspace_id: None = Field(None, description="accepted for other runtimes, null: definitions stand right here")
        workflow_id: None = Field(None, description="likewise")
        workflow_version_id: None = Field(None, description="likewise")
        remote_target: None = Field(None, description="likewise")
        execution_mode: Literal["embedded"] = Field("embedded", description="accepted for other runtimes; it runs right here")

        @field_validator("workflow_definition")
        @classmethod
        def _whole(cls, definition: dict[str, Any]) -> dict[str, Any]:
            if not definition.get("steps"):
                raise ValueError("a definition with at least one step is needed")
            return definition

    def run(self, **fields: Any) -> None:
        """Never called: the compiler puts other steps in place of this one."""
        raise NotImplementedError

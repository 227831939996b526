"""The typed Florence blocks as a plugin of the runtime `roboflow-workflows`.

    WORKFLOWS_PLUGINS=florence_blocks.adapters.roboflow

Every block keeps its name (`florence/object_detection@v1`), its fields and its outputs. What comes out is of that runtime's
kinds: detections that know their image, so that its own crops, filters and drawings take them. All elements of a step go to
the one shared model of the process at once. That runtime knows no failed elements: the first one fails its run; a region that
fails is logged, and the others of its image have their answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import supervision as sv
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from roboflow_workflows.core_steps.common.utils import attach_parents_coordinates_to_sv_detections
from roboflow_workflows.core_steps.loader import load_kinds
from roboflow_workflows.execution_engine.entities.base import Batch, OutputDefinition
from roboflow_workflows.execution_engine.entities.types import Selector
from roboflow_workflows.prototypes.block import WorkflowBlock, WorkflowBlockManifest
from typing_extensions import Never

from florence_blocks.blocks.typed import BLOCKS, FlorenceBlock
from workflow_engine.block import block_types, field_place, type_literal
from workflow_engine.data import Image
from workflow_engine.detections import ORIGIN, is_detections
from workflow_engine.kinds import Kind

_OWN_KINDS = {kind.name: kind for kind in load_kinds()}
_OWN_FIELDS = ("type", "name")


def load_blocks() -> list[type]:
    """Every typed Florence block as a `WorkflowBlock`."""
    return [_step(block) for block in BLOCKS]


class _Fields:
    """What the manifest of every step says about itself."""

    florence: ClassVar[type[FlorenceBlock]]

    @classmethod
    def describe_outputs(cls) -> list[Any]:
        """The outputs of the block in kinds of that runtime."""
        return [OutputDefinition(name=name, kind=_kinds(output.kinds)) for name, output in cls.florence.outputs.items()]

    @classmethod
    def get_parameters_accepting_batches(cls) -> list[str]:
        """Images come in batches."""
        return ["images"]

    @classmethod
    def get_parameters_accepting_batches_and_scalars(cls) -> list[str]:
        """Everything else may differ from image to image, or not."""
        return [name for name in cls.florence.Manifest.model_fields if name not in ("images", *_OWN_FIELDS)]

    @classmethod
    def get_execution_engine_compatibility(cls) -> str:
        """The versions of that engine whose contract this is."""
        return ">=1.3.0,<2.0.0"


class _Step:
    """What every step does."""

    florence: ClassVar[type[FlorenceBlock]]
    manifest: ClassVar[type]
    literals: ClassVar[Mapping[str, TypeAdapter[Any]]]

    @classmethod
    def get_manifest(cls) -> type:
        """The fields of the step."""
        return cls.manifest

    def run(self, images: Any, **fields: Any) -> list[dict[str, Any]]:
        """Ask about all images at once.

        Raises:
            ValueError: a field does not fit, or an element failed; the message says which and why.
        """
        columns = {name: self._column(name, value, len(images)) for name, value in fields.items()}
        values = self.florence().run(images=[Image.load(image.numpy_image) for image in images], **columns)
        return [self._outputs(value, image) for value, image in zip(values, images, strict=True)]

    def _column(self, name: str, value: Any, count: int) -> Sequence[Any]:
        """One checked value per image."""
        if isinstance(value, Batch):
            return [self._checked(name, one) for one in value]
        return [self._checked(name, value)] * count

    def _checked(self, name: str, value: Any) -> Any:
        try:
            return self.literals[name].validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{name}={value!r}: {error.errors()[0]['msg']}") from None

    def _outputs(self, value: Any, image: Any) -> dict[str, Any]:
        named = self.florence.named(value)
        return {name: _placed(one, image) if is_detections(one) else one for name, one in named.items()}


@cache  # that runtime asks anew for every definition, and knows blocks by their classes
def _step(block: type[FlorenceBlock]) -> type:
    """A Florence block as a block of that runtime."""
    fields = {name: info for name, info in block.Manifest.model_fields.items() if name not in _OWN_FIELDS}
    (name,) = block_types(block)
    summary = (block.__doc__ or "").partition("\n\n")[0]
    told: Any = {"name": f"Florence-2 {name[9:-3].replace('_', ' ')}", "version": "v1", "short_description": summary,
                 "long_description": block.__doc__, "license": "Apache-2.0", "block_type": "model",
                 "search_keywords": ["Florence-2", "Microsoft"]}  # fmt: skip
    config = ConfigDict(json_schema_extra=told, protected_namespaces=())
    fields_of = type("Fields", (_Fields,), {"florence": block})
    base: Any = type("Manifest", (fields_of, WorkflowBlockManifest), {"model_config": config, "__module__": __name__})
    declared: Any = {field: _field(info) for field, info in fields.items()}
    title = f"{block.__name__}Manifest"
    manifest = create_model(title, __base__=base, type=(type_literal(name), ...), **declared)
    literals = {field: TypeAdapter(field_place(info)[1]) for field, info in fields.items() if field != "images"}
    return type(block.__name__, (_Step, WorkflowBlock), {
        "__doc__": block.__doc__, "__module__": __name__, "florence": block, "manifest": manifest, "literals": literals,
    })  # fmt: skip


def _field(info: FieldInfo) -> tuple[Any, Any]:
    """A field as that runtime declares it: a literal, or a selector that names the kinds it may lead to."""
    kinds, literal = field_place(info)
    selector = Selector(kind=_kinds(kinds))
    annotation = selector if literal is Never else selector | literal
    return annotation, Field(... if info.is_required() else info.get_default(), description=info.description)


def _kinds(kinds: Sequence[Kind]) -> list[Any]:
    return [_OWN_KINDS[kind.name] for kind in kinds]


def _placed(found: sv.Detections, image: Any) -> sv.Detections:
    """Detections as those of that runtime's own models: each with an id, a class, and the way back to the root image."""
    count, (height, width) = len(found), image.numpy_image.shape[:2]
    kept = {key: value for key, value in found.data.items() if key != "polygons"}
    own = sv.Detections(
        xyxy=found.xyxy, mask=found.mask, confidence=found.confidence, tracker_id=found.tracker_id,
        class_id=np.zeros(count, int) if found.class_id is None else found.class_id,
        data={"detection_id": np.array([str(uuid.uuid4()) for _ in range(count)]), **kept},
        metadata={key: value for key, value in found.metadata.items() if key != ORIGIN},
    )  # fmt: skip
    own["image_dimensions"] = np.array([[height, width]] * count).reshape(-1, 2)
    own["prediction_type"] = np.array(["object-detection" if found.mask is None else "instance-segmentation"] * count)
    placed: sv.Detections = attach_parents_coordinates_to_sv_detections(own, image)
    return placed

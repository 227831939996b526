"""A small executor for vision workflows written in JSON.

    workflow = workflow_engine.compile("detect.json")
    result = workflow.run(image="street.jpg", threshold=0.5)
    result.outputs, result.report

Blocks come from plugins (entry-point group `workflow_engine`); see `workflow_engine.block` for the contract.
"""

from workflow_engine.block import (
    Accepts,
    AnyReference,
    Block,
    BlockManifest,
    DetectionsReference,
    FlowControl,
    ImageReference,
    Output,
    Partly,
    Reference,
    Target,
    Value,
)
from workflow_engine.bounds import Bounded
from workflow_engine.contribution import Plugin
from workflow_engine.current import Run, current_run
from workflow_engine.data import Image
from workflow_engine.errors import (
    PluginError,
    Problem,
    RunCancelledError,
    RunTimeoutError,
    StepError,
    UnavailableError,
    WorkflowDefinitionError,
    WorkflowError,
    WorkflowInputError,
    WorkflowRunError,
)
from workflow_engine.executor import Cancellation
from workflow_engine.hookspecs import hookimpl
from workflow_engine.kinds import Kind
from workflow_engine.origin import Origin, ViewError
from workflow_engine.pictures import ImageError
from workflow_engine.plugins import PluginWarning, Registry, build_registry, registry
from workflow_engine.profile import Profile, profiled, record
from workflow_engine.report import ElementError, RunReport, Skip, StepReport
from workflow_engine.results import RunResult
from workflow_engine.settings import Setting
from workflow_engine.stream import Stream, Streamed
from workflow_engine.video import Video, VideoError, VideoWriter
from workflow_engine.workflow import Workflow, compile

__all__ = [
    "Accepts", "AnyReference", "Block", "BlockManifest", "Bounded", "Cancellation", "DetectionsReference", "ElementError",
    "FlowControl", "Image", "ImageError", "ImageReference", "Kind", "Origin", "Output", "Partly", "Plugin", "PluginError",
    "PluginWarning", "Problem", "Profile", "Reference", "Registry", "Run", "RunCancelledError", "RunReport", "RunResult",
    "RunTimeoutError", "Setting", "Skip", "StepError", "StepReport", "Stream", "Streamed", "Target", "UnavailableError",
    "Value", "Video", "VideoError", "VideoWriter", "ViewError", "Workflow", "WorkflowDefinitionError", "WorkflowError",
    "WorkflowInputError", "WorkflowRunError", "build_registry", "compile", "current_run", "hookimpl", "profiled", "record",
    "registry",
]  # fmt: skip

"""The plugin that brings the companion blocks to the engine."""

from __future__ import annotations

from collections.abc import Iterable

from florence_blocks.vision import adjust, combine, crop, drawings, filter, flow, formatting, panels, reading, transform
from workflow_engine.block import Block
from workflow_engine.hookspecs import hookimpl


@hookimpl
def workflow_engine_blocks() -> Iterable[type[Block]]:
    """The companion blocks, family by family."""
    return (
        crop.DynamicCrop,
        crop.AbsoluteStaticCrop,
        crop.RelativeStaticCrop,
        crop.ImageSlicer,
        adjust.DetectionsTransformation,
        adjust.DetectionOffset,
        adjust.PerClassConfidenceFilter,
        adjust.DetectionsClassesReplacement,
        combine.DetectionsCombine,
        combine.DetectionsMerge,
        combine.DetectionsStitch,
        filter.DetectionsFilter,
        flow.ContinueIf,
        flow.SwitchCase,
        formatting.StringTemplate,
        formatting.PropertyDefinition,
        formatting.Expression,
        formatting.FirstNonEmptyOrDefault,
        formatting.DimensionCollapse,
        formatting.CsvFormatter,
        reading.StitchOcrDetections,
        transform.ConvertGrayscale,
        transform.ImageBlur,
        transform.ImagePreprocessing,
        transform.Threshold,
        panels.TextDisplay,
        panels.GridVisualization,
        panels.ModelComparison,
        *drawings.BLOCKS,
    )

"""The plugin that brings the companion blocks to the engine."""

from __future__ import annotations

from collections.abc import Iterable

from florence_blocks.vision import (
    adjust,
    agreement,
    classical,
    combine,
    crop,
    documents,
    drawings,
    elsewhere,
    files,
    filter,
    flow,
    formatting,
    outlines,
    panels,
    perspective,
    reading,
    rollup,
    tracking,
    transform,
    vlm,
    webhook,
    zones,
)  # fmt: skip
from workflow_engine.block import Block, block_types
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
        agreement.DetectionsConsensus,
        agreement.DetectionsDifference,
        agreement.OverlapAnalysis,
        rollup.DetectionsListRollup,
        filter.DetectionsFilter,
        outlines.BoundingRect,
        outlines.DynamicZone,
        flow.ContinueIf,
        flow.SwitchCase,
        flow.RateLimiter,
        flow.DeltaFilter,
        formatting.StringTemplate,
        formatting.PropertyDefinition,
        formatting.Expression,
        formatting.FirstNonEmptyOrDefault,
        formatting.DimensionCollapse,
        formatting.CurrentTime,
        documents.CsvFormatter,
        documents.JsonFormatter,
        documents.JsonParser,
        reading.StitchOcrDetections,
        vlm.VlmAsClassifier,
        vlm.VlmAsDetector,
        transform.ConvertGrayscale,
        transform.ImageBlur,
        transform.ImagePreprocessing,
        transform.Threshold,
        classical.ContoursDetection,
        classical.MorphologicalTransformation,
        classical.ContrastEqualization,
        classical.ContrastEnhancement,
        classical.DominantColor,
        classical.PixelColorCount,
        classical.TemplateMatching,
        perspective.PerspectiveCorrection,
        perspective.StitchImages,
        panels.TextDisplay,
        panels.GridVisualization,
        panels.IconVisualization,
        panels.ModelComparison,
        tracking.ByteTracker,
        tracking.LineCounter,
        tracking.TimeInZone,
        zones.DetectionsCount,
        zones.PolygonZoneVisualization,
        zones.LineCounterVisualization,
        files.LocalFileSink,
        webhook.WebhookSink,
        *drawings.BLOCKS,
    )


@hookimpl
def workflow_engine_nearest(name: str) -> str | None:
    """What comes nearest to a block of the best-known runtime that is not here."""
    florence = (f"florence/{task}@v1" for task in ("object_detection", "ocr", "caption", "prompt"))
    here = [*florence, *(block_types(block)[0] for block in workflow_engine_blocks())]
    return elsewhere.nearest(name, here)

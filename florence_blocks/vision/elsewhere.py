"""The block names of the best-known runtime of the language, and what comes nearest here where a block is missing.

The names are those of the package `roboflow-workflows` 0.2.13.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_VERSIONS = (
    "absolute_static_crop:1 anomaly_detection_model:1 anomaly_heatmap_visualization:1 anthropic_claude:5 "
    "asset_library_attributes:1 auto_rotate_on_edges:1 background_color_visualization:1 background_subtraction:1 "
    "barcode_detector:1 blur_visualization:1 bounding_box_visualization:1 bounding_rect:1 buffer:1 byte_tracker:3 "
    "cache_get:1 cache_set:1 camera-calibration:1 camera_focus:2 circle_visualization:1 "
    "classification_label_visualization:1 clip:1 clip_comparison:2 cog_vlm:1 color_visualization:1 continue_if:1 "
    "contours_detection:1 contrast_enhancement:1 contrast_equalization:1 convert_grayscale:1 corner_visualization:1 "
    "cosine_similarity:1 cosmos3_edge:1 crop_visualization:1 csv_formatter:1 current_time:1 data_aggregator:1 "
    "delta_filter:1 depth_estimation:1 detection_event_log:1 detection_offset:1 detections_classes_replacement:1 "
    "detections_combine:1 detections_consensus:1 detections_difference:1 detections_filter:1 detections_list_rollup:1 "
    "detections_merge:1 detections_nearest_neighbor:1 detections_stitch:1 detections_transformation:1 dimension_collapse:1 "
    "distance_measurement:1 dominant_color:1 dot_visualization:1 dynamic_crop:1 dynamic_zone:1 easy_ocr:1 "
    "ellipse_visualization:1 email_notification:2 embedding_model:1 environment_secrets_store:1 expression:1 "
    "first_non_empty_or_default:1 florence_2:2 frame_delay:1 gaze:1 geotag_detection:1 glm_ocr:1 google_gemini:6 "
    "google_gemma:4 google_vision_ocr:1 grid_visualization:1 halo_visualization:2 heatmap_visualization:1 "
    "icon_visualization:1 identify_changes:1 identify_outliers:1 image_blur:1 image_preprocessing:1 image_slicer:2 "
    "image_stack:1 inner_workflow:1 json_parser:1 keypoint_visualization:1 kimi_openrouter:3 label_visualization:2 "
    "line_counter:2 line_counter_visualization:1 llama_3_2_vision:1 llama_vision:2 lmm:1 lmm_for_classification:1 "
    "local_file_sink:1 mask_area_measurement:1 mask_edge_snap:1 mask_visualization:1 meta_vlm:3 mistral_vlm:1 "
    "model_comparison_visualization:1 model_monitoring_inference_aggregator:1 moondream2:1 morphological_transformation:2 "
    "motion_detection:1 ocr_model:1 onvif_sink:1 open_ai:7 openai_compatible:1 openrouter:3 overlap:1 overlap_analysis:1 "
    "path_deviation_analytics:2 per_class_confidence_filter:1 perception_encoder:1 perspective_correction:1 "
    "pixel_color_count:1 pixelate_visualization:1 polygon_visualization:2 polygon_zone_visualization:1 pp_ocr:1 "
    "property_definition:1 qr_code_detector:1 qr_code_generator:1 qwen25vl:1 qwen3_5_openrouter:1 qwen3_5vl:2 "
    "qwen3_6_openrouter:1 qwen3vl:1 qwen_vlm:4 rate_limiter:1 reference_path_visualization:1 relative_statoic_crop:1 "
    "rich_label_visualization:1 roboflow_action_recognition_model:1 roboflow_classification_model:3 "
    "roboflow_custom_metadata:1 roboflow_dataset_upload:2 roboflow_instance_segmentation_model:4 "
    "roboflow_keypoint_detection_model:3 roboflow_multi_label_classification_model:3 roboflow_object_detection_model:3 "
    "roboflow_semantic_segmentation_model:2 roboflow_vision_events:1 s3_sink:1 sam3:3 sam3_interactive:1 sam3_video:1 seg-"
    "preview:1 segment_anything:1 segment_anything_2_video:1 sift:1 sift_comparison:2 size_measurement:1 "
    "slack_notification:1 smolvlm2:1 spacexai:3 stability_ai_image_gen:1 stability_ai_inpainting:1 "
    "stability_ai_outpainting:1 stabilize_detections:1 stitch_images:1 stitch_ocr_detections:2 string_template:1 "
    "switch_case:1 template_matching:1 text_display:1 threshold:1 time_in_zone:3 time_travel:1 trace_visualization:1 "
    "track_class_lock:1 trackers_botsort:1 trackers_bytetrack:1 trackers_ocsort:1 trackers_sort:1 triangle_visualization:1 "
    "twilio_sms_notification:2 velocity:1 vision_event_bundle:1 visual_search:1 visual_search_classifier:1 "
    "vlm_as_classifier:2 vlm_as_detector:2 webhook_sink:1 yolo_world_model:1 zai_vlm:2"
)
"""Every block with its last version."""

_NEAREST: tuple[tuple[str, str], ...] = (
    (r"object_detection_model|seg-preview|motion_detection", "florence/object_detection@v1"),
    (r"instance_segmentation|semantic_segmentation|segment_anything|sam3|mask_", "florence/region_segmentation@v1"),
    (r"yolo_world|visual_search", "florence/open_vocabulary_detection@v1"),
    (r"ocr", "florence/ocr@v1"),
    (r"gaze|keypoint|depth|distance|measurement|neighbor|overlap", "florence/object_detection@v1"),
    (r"buffer|delay|stack|time_travel", "vision/rate_limiter@v1"),
    (r"classif|clip|embedding|perception|cosine", "florence/region_classification@v1"),
    (r"tracker|stabilize|track_", "vision/byte_tracker@v1"),
    (r"sink|notification|upload|custom_metadata|event|cache_", "vision/local_file_sink@v1"),
    (
        r"vlm|lmm|claude|gemini|gemma|open_?ai|openrouter|qwen|llama|kimi|moondream|cosmos|spacexai",
        "florence/prompt@v1",
    ),
)
"""What a name is about, and the block that comes nearest; the first that fits."""


def names() -> tuple[str, ...]:
    """Every type name of the other runtime, each version by itself."""
    last = (entry.split(":") for entry in _VERSIONS.split())
    return tuple(f"roboflow_core/{stem}@v{version}" for stem, most in last for version in range(1, int(most) + 1))


def nearest(name: str, here: Iterable[str]) -> str | None:
    """The block that comes nearest to one of the other runtime that is not here; None for names that are not its own."""
    if name not in names():
        return None
    own = {block.split("/")[1].split("@")[0]: block for block in here if not block.startswith("roboflow_core/")}
    stem = name.split("/")[1].split("@")[0]
    near = difflib.get_close_matches(stem, own, n=1, cutoff=0.75)
    if near:
        return own[near[0]]
    told = next((block for pattern, block in _NEAREST if re.search(pattern, stem)), None)
    return told or own[difflib.get_close_matches(stem, own, n=1, cutoff=0.0)[0]]

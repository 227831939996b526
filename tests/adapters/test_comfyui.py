"""The nodes as ComfyUI calls them: lists in, lists out, with tensors and the embedded model."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from florence_blocks import Florence2
from florence_blocks.adapters.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from florence_blocks.adapters.comfyui.widgets import OwnFields, Widget, ordered
from florence_blocks.blocks.typed import BLOCKS
from florence_blocks.demo import draw_scene
from workflow_engine.errors import UnavailableError

SCENES = [draw_scene(seed, width=320, height=320, shapes=3, words=1) for seed in (41, 42, 43)]
SIDES = (320, 320)


def tensor(*images: Any) -> torch.Tensor:
    """A batch as ComfyUI has it, of BGR images."""
    return torch.from_numpy(np.stack([image[:, :, ::-1] for image in images])).float() / 255


BATCH = tensor(*[scene.image for scene in SCENES])
BLANK = torch.full((1, 200, 260, 3), 0.5)
DRAWN_BOXES = [[[float(edge) for edge in shape.box] for shape in scene.shapes] for scene in SCENES]


def run(name: str, **inputs: Any) -> dict[str, Any]:
    """What the outputs of a node hold, by name; every input is a list."""
    node = NODE_CLASS_MAPPINGS[f"FlorenceBlocks{name}"]
    values = getattr(node(), node.FUNCTION)(**inputs)
    assert len(values) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == len(node.OUTPUT_IS_LIST)
    assert node.INPUT_IS_LIST and all(node.OUTPUT_IS_LIST) and all(isinstance(value, list) for value in values)
    return dict(zip(node.RETURN_NAMES, values, strict=True))


def declared(name: str) -> dict[str, Any]:
    made = NODE_CLASS_MAPPINGS[f"FlorenceBlocks{name}"].INPUT_TYPES()
    return {**made["required"], **made["optional"]}


def test_there_is_a_node_for_every_block_and_two_more() -> None:
    assert len(NODE_CLASS_MAPPINGS) == len(BLOCKS) + 2
    assert NODE_CLASS_MAPPINGS.keys() == NODE_DISPLAY_NAME_MAPPINGS.keys()
    assert NODE_DISPLAY_NAME_MAPPINGS["FlorenceBlocksRegionCaption"] == "Florence-2 region caption"
    assert all(node.CATEGORY == "Florence-2" and node.DESCRIPTION for node in NODE_CLASS_MAPPINGS.values())


def test_widgets_are_the_fields_of_the_manifests() -> None:
    fields = declared("Caption")
    assert fields["images"] == ("IMAGE",)
    choices, shown = fields["granularity"]
    assert choices == ["normal", "detailed", "very_detailed"] and shown["default"] == "normal"
    assert fields["constrained"][0] == "BOOLEAN" and fields["constrained"][1]["default"] is True
    assert fields["model_id"] == ("STRING", {**fields["model_id"][1], "default": "florence-2-demo", "multiline": False})
    kind, shown = fields["num_beams"]
    assert kind == "INT" and (shown["default"], shown["min"]) == (0, 0) and "0 for the default" in shown["tooltip"]
    assert fields["no_repeat_ngram_size"][1]["min"] == fields["no_repeat_ngram_size"][1]["default"] == -1
    opacity = declared("Draw")["opacity"]
    assert opacity[0] == "FLOAT" and (opacity[1]["min"], opacity[1]["max"]) == (0.0, 1.0)


def test_what_a_task_needs_is_required_and_the_rest_is_not() -> None:
    required = {name: set(node.INPUT_TYPES()["required"]) for name, node in NODE_CLASS_MAPPINGS.items()}
    assert required["FlorenceBlocksObjectDetection"] == {"images"}
    assert required["FlorenceBlocksOpenVocabularyDetection"] == {"images", "classes"}
    assert required["FlorenceBlocksPhraseSegmentation"] == {"images", "phrase"}
    assert required["FlorenceBlocksRegionOcr"] == {"images", "bboxes"}
    assert declared("RegionOcr")["bboxes"][0] == "BBOX" and declared("RegionOcr")["bboxes"][1]["forceInput"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_file_in_custom_nodes_is_all_it_takes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "florence_nodes" / "__init__.py" if kind == "folder" else tmp_path / "florence_nodes.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("from florence_blocks.adapters.comfyui import *\n")
    spec = importlib.util.spec_from_file_location("florence_nodes", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.NODE_CLASS_MAPPINGS is NODE_CLASS_MAPPINGS
    assert module.NODE_DISPLAY_NAME_MAPPINGS is NODE_DISPLAY_NAME_MAPPINGS


_MODEL = "model_id max_new_tokens num_beams no_repeat_ngram_size constrained"
SAVED = {
    "Caption": f"{_MODEL} granularity device precision",
    "ObjectDetection": f"{_MODEL} classes coordinates device precision",
    "DenseRegionCaption": f"{_MODEL} coordinates device precision",
    "RegionProposal": f"{_MODEL} coordinates device precision",
    "Ocr": f"{_MODEL} device precision",
    "OcrWithRegions": f"{_MODEL} coordinates device precision",
    "PhraseGrounding": f"phrase {_MODEL} coordinates device precision",
    "OpenVocabularyDetection": f"classes {_MODEL} coordinates device precision",
    "PhraseSegmentation": f"phrase {_MODEL} coordinates device precision",
    "RegionSegmentation": f"{_MODEL} regions_to_use coordinates box_format device precision",
    "RegionClassification": f"{_MODEL} regions_to_use classes box_format device precision",
    "RegionCaption": f"{_MODEL} regions_to_use box_format device precision",
    "RegionOcr": f"{_MODEL} regions_to_use box_format device precision",
    "Prompt": f"text {_MODEL} device precision",
    "Crop": "padding box_format",
    "Draw": "thickness color_palette text text_scale opacity box_format",
}
"""The widgets of every node as saved workflows have them. Only ever add to the end of a line: values are kept by place."""


def widget_names(name: str) -> list[str]:
    """The inputs of a node that are widgets, in the order in which ComfyUI keeps their values."""
    kinds = ("INT", "FLOAT", "STRING", "BOOLEAN")
    return [
        field
        for field, (kind, *_) in declared(name).items()
        if (isinstance(kind, list) or kind in kinds) and not declared(name)[field][-1].get("forceInput")
    ]


@pytest.mark.parametrize("name", SAVED)
def test_values_of_saved_workflows_keep_their_places(name: str) -> None:
    saved = SAVED[name].split()
    assert widget_names(name)[: len(saved)] == saved
    assert set(widget_names(name)) == set(saved), "write a new widget down, at the end of ORDER and of SAVED"


def test_a_widget_that_nobody_wrote_down_comes_last() -> None:
    own_fields = [Widget.of(name, info) for name, info in OwnFields.model_fields.items()]
    new = Widget.of("brand_new", OwnFields.model_fields["device"])
    assert [widget.name for widget in ordered([new, *own_fields])] == [*OwnFields.model_fields, "brand_new"]


def test_tooltips_speak_the_words_of_comfyui() -> None:
    for name, node in NODE_CLASS_MAPPINGS.items():
        fields = declared(name.removeprefix("FlorenceBlocks"))
        told = [field[1]["tooltip"] for field in fields.values() if len(field) > 1]
        told += [node.DESCRIPTION, *getattr(node, "OUTPUT_TOOLTIPS", ())]
        for text in told:
            assert not re.search(r"\bnull\b|\$|\bstep\b|\bJSON\b|selector|manifest", text), (name, text)


def test_bounds_of_widgets_are_those_of_their_fields() -> None:
    for name in SAVED:
        for field in widget_names(name):
            kind, shown = declared(name)[field]
            if kind in ("INT", "FLOAT"):
                assert shown["min"] <= shown["default"] <= shown["max"], (name, field)
    assert declared("Draw")["text_scale"][1]["min"] == 0.05
    with pytest.raises(ValueError, match=r"text_scale=0: .*greater than 0"):
        run("Draw", images=[BATCH[:1]], bboxes=[[[]]], text_scale=[0])


def test_starting_comfyui_does_not_pay_for_the_model() -> None:
    code = "import sys, florence_blocks.adapters.comfyui as c; [n.INPUT_TYPES() for n in c.NODE_CLASS_MAPPINGS.values()]; "
    code += "sys.exit(bool({'transformers', 'cv2', 'supervision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_batch_gives_what_the_python_api_gives() -> None:
    model, images = Florence2.from_pretrained("florence-2-demo"), [scene.image for scene in SCENES]
    assert run("Caption", images=[BATCH])["caption"] == model.caption_image(images)
    given = run("ObjectDetection", images=[BATCH])
    expected = model.detect_objects(images)
    assert given["bboxes"] == [[found.xyxy.tolist() for found in expected]]
    assert given["labels"] == [[list(found.data["class_name"]) for found in expected]]
    assert given["confidences"] == [[pytest.approx(found.confidence.tolist(), abs=1e-4) for found in expected]]
    assert given["text"] == ["\n".join(found.data["class_name"]) for found in expected]


def test_batches_of_other_sizes_go_to_the_model_in_one_call_and_come_back_in_their_form() -> None:
    model = Florence2.from_pretrained("florence-2-demo")
    fresh = [draw_scene(seed, width=300, height=280, shapes=2, words=1).image for seed in range(700, 703)]
    before = model.stats()
    given = run("ObjectDetection", images=[tensor(*fresh[:2]), BATCH, tensor(fresh[2])])
    assert model.stats()["batches"] - before["batches"] == 1
    assert [len(batch) for batch in given["bboxes"]] == [2, 3, 1] == [len(batch) for batch in given["labels"]]
    assert len(given["text"]) == 6
    assert given["bboxes"][1] == run("ObjectDetection", images=[BATCH])["bboxes"][0]


def test_captions_of_a_batch_are_grounded_each_in_its_own_image() -> None:
    said = run("Caption", images=[BATCH])
    assert len(said["caption"]) == len(said["confidence"]) == 3 and all(0 < one <= 1 for one in said["confidence"])
    grounded = run("PhraseGrounding", images=[BATCH], phrase=said["caption"])
    alone = [run("PhraseGrounding", images=[BATCH[i : i + 1]], phrase=[said["caption"][i]]) for i in range(3)]
    assert grounded["bboxes"][0] == [one["bboxes"][0][0] for one in alone]
    assert grounded["labels"][0] == [one["labels"][0][0] for one in alone]


def test_one_text_for_every_batch_of_a_list() -> None:
    phrases = ["a star", "a circle"]
    given = run("PhraseSegmentation", images=[BATCH, BATCH[:1]], phrase=phrases)
    assert given["bboxes"][0] == run("PhraseSegmentation", images=[BATCH], phrase=phrases[:1])["bboxes"][0]
    assert given["bboxes"][1] == run("PhraseSegmentation", images=[BATCH[:1]], phrase=phrases[1:])["bboxes"][0]


def test_detections_are_captioned_cropped_and_drawn() -> None:
    found = run("ObjectDetection", images=[BATCH])
    beside = {name: found[name] for name in ("bboxes", "labels", "confidences")}
    said = run("RegionCaption", images=[BATCH], **beside)
    assert said["bboxes"] == found["bboxes"]
    assert [len(row) for row in said["texts"][0]] == [len(row) for row in found["labels"][0]]
    crops = run("Crop", images=[BATCH], bboxes=found["bboxes"], labels=said["texts"], padding=[2])
    assert crops["labels"] == [text for row in said["texts"][0] for text in row]
    assert len(crops["crops"]) == len(crops["labels"]) > 3
    assert all(crop.ndim == 4 and crop.shape[0] == 1 and 0 <= crop.min() <= crop.max() <= 1 for crop in crops["crops"])
    assert len(run("Caption", images=crops["crops"])["caption"]) == len(crops["crops"])
    (drawn,) = run("Draw", images=[BATCH], **beside, text=["Class and Confidence"])["images"]
    assert drawn.shape == BATCH.shape and drawn.dtype == torch.float32
    assert all(not torch.equal(one, other) for one, other in zip(drawn, BATCH, strict=True))


def test_crops_hold_the_pixels_of_their_boxes() -> None:
    boxes = [[[10.0, 20.0, 50.0, 80.0], [400.0, 400.0, 420.0, 420.0]], [], [[0.0, 0.0, 8.0, 8.0]]]
    labels = [["first", "outside"], [], ["last"]]
    given = run("Crop", images=[BATCH], bboxes=[boxes], labels=[labels])
    assert given["labels"] == ["first", "last"]
    assert torch.equal(given["crops"][0], BATCH[:1, 20:80, 10:50])
    assert torch.equal(given["crops"][1], BATCH[2:, :8, :8])


@pytest.mark.parametrize("name", ["PhraseSegmentation", "OpenVocabularyDetection", "RegionSegmentation"])
def test_masks_come_one_per_image_and_one_per_object(name: str) -> None:
    inputs = {"PhraseSegmentation": {"phrase": ["a star"]}, "OpenVocabularyDetection": {"classes": ["star, circle"]},
              "RegionSegmentation": {"bboxes": [DRAWN_BOXES]}}[name]  # fmt: skip
    given = run(name, images=[BATCH], **inputs)
    counts = [len(row) for row in given["bboxes"][0]]
    assert sum(counts) == len(given["masks"]) > 0
    assert given["mask"][0].shape == (3, *SIDES) and given["mask"][0].dtype == torch.float32
    objects = iter(given["masks"])
    for union, count in zip(given["mask"][0], counts, strict=True):
        own = [next(objects) for _ in range(count)]
        assert all(mask.shape == (1, *SIDES) and set(mask.unique().tolist()) <= {0.0, 1.0} for mask in own)
        assert torch.equal(union, torch.cat([torch.zeros(1, *SIDES), *own]).amax(dim=0))


def test_boxes_without_outlines_are_their_own_masks() -> None:
    given = run("OpenVocabularyDetection", images=[BATCH[:1]], classes=["star\ncircle\nsquare"])
    x1, y1, x2, y2 = (round(edge) for edge in given["bboxes"][0][0][0])
    assert given["masks"][0].sum() == (min(x2, 320) - x1) * (min(y2, 320) - y1)


def test_a_mask_is_drawn_where_it_is() -> None:
    mask = torch.zeros(1, *SIDES)
    mask[:, :100, :100] = 1
    (drawn,) = run("Draw", images=[BATCH[:1]], bboxes=[[[]]], mask=[mask], opacity=[1.0])["images"]
    assert not torch.equal(drawn[:, :100, :100], BATCH[:1, :100, :100])
    assert torch.equal(drawn[:, 100:], BATCH[:1, 100:])


def test_texts_with_places_come_with_their_corners() -> None:
    given = run("OcrWithRegions", images=[BATCH])
    words = [[word.text for word in scene.words] for scene in SCENES]
    assert given["labels"] == [words]
    assert [[np.array(quad).shape for quad in row] for row in given["quads"][0]] == [[(4, 2)] for _ in SCENES]


def test_regions_are_classified_among_the_names_that_are_given() -> None:
    given = run("RegionClassification", images=[BATCH], bboxes=[DRAWN_BOXES], classes=["circle, star\n square"])
    texts = [text for row in given["texts"][0] for text in row]
    assert set(texts) <= {"circle", "star", "square"}
    first = given["classifications"][0][0][0]
    assert {one["class"] for one in first["predictions"]} == {"circle", "star", "square"} and first["top"] == texts[0]


def test_a_region_that_fails_has_an_empty_text_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    boxes = [[DRAWN_BOXES[0][0], [9000.0, 9000.0, 9001.0, 9001.0], DRAWN_BOXES[0][1]]]
    given = run("RegionCaption", images=[BATCH[:1]], bboxes=[boxes])
    names = [shape.name for shape in SCENES[0].shapes]
    assert given["texts"] == [[[names[0], "", names[1]]]] and given["text"] == [f"{names[0]}\n\n{names[1]}"]
    assert "regions[1]" in caplog.text and "lies outside of the" in caplog.text


def test_one_region_is_chosen_by_its_confidence() -> None:
    boxes, sure = [DRAWN_BOXES[0][:2]], [[0.2, 0.9]]
    chosen = {"images": [BATCH[:1]], "bboxes": [boxes], "regions_to_use": ["most_confident"]}
    assert run("RegionCaption", **chosen, confidences=[sure])["bboxes"] == [[[pytest.approx(boxes[0][1])]]]
    with pytest.raises(ValueError, match="asks for confidences"):
        run("RegionCaption", **chosen)


def test_boxes_of_one_image_serve_all_of_a_batch() -> None:
    given = run("RegionCaption", images=[BATCH], bboxes=[[[[5.0, 5.0, 200.0, 200.0]]]])
    assert [len(row) for row in given["texts"][0]] == [1, 1, 1]


CORNERS = [10.0, 20.0, 50.0, 80.0]


@pytest.mark.parametrize(
    ("bboxes", "form"),
    [
        ([CORNERS], "xyxy"),
        (CORNERS, "xyxy"),
        ([50, 80, 10, 20], "xyxy"),
        ([tuple(CORNERS)], "xyxy"),
        ([[CORNERS]], "xyxy"),
        (np.array([CORNERS]), "xyxy"),
        (np.array(CORNERS, dtype=np.float32), "xyxy"),
        ([np.array(CORNERS)], "xyxy"),
        (torch.tensor([CORNERS]), "xyxy"),
        (torch.tensor([[CORNERS]]), "xyxy"),
        ([torch.tensor([CORNERS])], "xyxy"),
        ({"x": 10, "y": 20, "width": 40, "height": 60}, "xyxy"),
        ([{"x": 10, "y": 20, "width": 40, "height": 60}], "xyxy"),
        ([[{"x": np.int64(10), "y": 20, "w": 40, "h": 60, "label": "a"}]], "xyxy"),
        ([{"x1": 10, "y1": 20, "x2": 50, "y2": 80}], "cxcywh"),
        ([{"bbox": CORNERS, "score": 0.5}], "xyxy"),
        ([[10, 20, 40, 60]], "xywh"),
        ([[30, 50, 40, 60]], "cxcywh"),
        ({"x": 30, "y": 50, "width": 40, "height": 60}, "cxcywh"),
    ],
)
def test_boxes_come_in_many_forms(bboxes: Any, form: str) -> None:
    given = run("Crop", images=[BATCH[:1]], bboxes=[bboxes], labels=[["star"]], box_format=[form])
    assert [crop.shape for crop in given["crops"]] == [(1, 60, 40, 3)] and given["labels"] == ["star"]
    assert torch.equal(given["crops"][0], BATCH[:1, 20:80, 10:50])


def test_a_flat_list_of_boxes_is_that_of_every_image() -> None:
    two = [CORNERS, [0.0, 0.0, 8.0, 8.0]]
    assert len(run("Crop", images=[BATCH[:1]], bboxes=[two])["crops"]) == 2
    given = run("Crop", images=[BATCH], bboxes=[two], labels=[["first", "second"]])
    assert given["labels"] == ["first", "second"] * 3
    assert len(run("Crop", images=[BATCH[:1]], bboxes=two)["crops"]) == 2  # from a socket that gives single boxes
    assert [len(row) for row in run("RegionCaption", images=[BATCH], bboxes=two[:1] * 3)["texts"][0]] == [1, 1, 1]
    assert run("Crop", images=[BATCH[:1]], bboxes=[[]]) == {"crops": [], "labels": []}
    assert len(run("Crop", images=[BATCH], bboxes=[[[CORNERS], [], CORNERS]])["crops"]) == 2


def test_boxes_of_one_format_are_read_alike_by_all_nodes() -> None:
    corner_and_size = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in DRAWN_BOXES[0]]
    for name, output in (("RegionCaption", "bboxes"), ("RegionOcr", "bboxes"), ("Draw", "images")):
        one = run(name, images=[BATCH[:1]], bboxes=[DRAWN_BOXES[0]])[output]
        other = run(name, images=[BATCH[:1]], bboxes=[corner_and_size], box_format=["xywh"])[output]
        assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(one, other, strict=True))


def test_the_outline_of_a_phrase_is_called_by_the_phrase() -> None:
    given = run("PhraseSegmentation", images=[BATCH[:1]], phrase=["a star"])
    assert given["labels"][0][0] == ["a star"] * len(given["bboxes"][0][0]) and given["bboxes"][0][0]
    found = Florence2.from_pretrained("florence-2-demo").segment_phrase(SCENES[0].image, "a star")
    assert list(found.data["class_name"]) == given["labels"][0][0]


def test_the_empty_mask_of_a_picture_without_transparency_draws_nothing() -> None:
    plain = run("Draw", images=[BATCH], bboxes=[DRAWN_BOXES])["images"][0]
    for empty in (torch.zeros(1, 64, 64), torch.zeros(3, 64, 64), torch.zeros(1, 7, 99), torch.zeros(64, 64)):
        assert torch.equal(run("Draw", images=[BATCH], bboxes=[DRAWN_BOXES], mask=[empty])["images"][0], plain)


@pytest.mark.parametrize("shape", [(1, 160, 160), (160, 160), (1, 1, 160, 160), (1, 160, 160, 1), (1, 640, 640)])
def test_a_mask_of_the_same_proportions_is_stretched_over_its_image(shape: tuple[int, ...]) -> None:
    side = max(shape)
    small = torch.zeros(side, side)
    small[: side // 2, : side // 2] = 1
    whole = torch.zeros(1, *SIDES)
    whole[:, :160, :160] = 1
    expected, drawn = (
        run("Draw", images=[BATCH[:1]], bboxes=[[[]]], mask=[mask], opacity=[1.0])["images"][0]
        for mask in (whole, small.reshape(shape))
    )
    assert torch.equal(drawn, expected)


def test_nothing_found_goes_through() -> None:
    found = run("OpenVocabularyDetection", images=[BLANK], classes=["star"])
    assert (found["bboxes"], found["labels"], found["confidences"], found["text"]) == ([[[]]], [[[]]], [[[]]], [""])
    assert found["mask"][0].shape == (1, 200, 260) and found["mask"][0].sum() == 0 and found["masks"] == []
    for name in ("RegionCaption", "RegionOcr", "RegionClassification"):
        said = run(name, images=[BLANK], bboxes=found["bboxes"], labels=found["labels"], confidences=found["confidences"])
        assert said["texts"] == [[[]]] and said["text"] == [""]
    cut = run("RegionSegmentation", images=[BLANK], bboxes=found["bboxes"])
    assert cut["mask"][0].shape == (1, 200, 260) and cut["masks"] == []
    assert run("Crop", images=[BLANK], bboxes=found["bboxes"]) == {"crops": [], "labels": []}
    (drawn,) = run("Draw", images=[BLANK], bboxes=found["bboxes"], labels=found["labels"])["images"]
    assert torch.allclose(drawn, BLANK, atol=1 / 255)


def test_inside_comfyui_nothing_found_leaves_out_what_depends_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("comfy_execution.graph_utils")
    module.ExecutionBlocker = lambda message: SimpleNamespace(blocked=True, message=message)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy_execution", ModuleType("comfy_execution"))
    monkeypatch.setitem(sys.modules, "comfy_execution.graph_utils", module)
    crops = run("Crop", images=[BLANK], bboxes=[[[]]])
    assert [(one.blocked, one.message) for one in (*crops["crops"], *crops["labels"])] == [(True, None)] * 2


def test_pixels_that_overshoot_are_clipped_and_transparency_is_left_aside() -> None:
    over = torch.cat([BATCH[:1] * 1.2 - 0.1, torch.rand(1, *SIDES, 1)], dim=3)
    (drawn,) = run("Draw", images=[over], bboxes=[[[]]])["images"]
    assert torch.allclose(drawn, over[..., :3].clamp(0, 1), atol=1 / 255)


def test_nodes_run_in_the_inference_mode_of_comfyui() -> None:
    with torch.inference_mode():
        said = run("RegionCaption", images=[BATCH.clone()], bboxes=[DRAWN_BOXES])
    assert [len(row) for row in said["texts"][0]] == [len(row) for row in DRAWN_BOXES]


@pytest.mark.parametrize(
    ("name", "inputs", "said"),
    [
        ("Caption", {"images": ["a path"]}, r"images\[0\] is str; a float tensor"),
        ("Caption", {"images": [BATCH, (BATCH * 255).byte()]}, r"images\[1\] is torch.uint8; a float tensor"),
        ("Caption", {"images": [BATCH * 255]}, "holds values from 0 to 255; pixels within 0 and 1"),
        ("Caption", {"images": [BATCH * float("nan")]}, "holds values from nan to nan"),
        ("Caption", {"images": [BATCH[0]]}, r"is \[320, 320, 3\]; \[images, height, width, 3\]"),
        ("Caption", {"images": [BATCH[:0]]}, "with at least one pixel"),
        ("Caption", {"images": [BATCH], "granularity": ["long"]}, "granularity='long': .*'normal'"),
        ("Caption", {"images": [BATCH], "num_beams": [-1]}, "num_beams=-1: .*greater than or equal to 1"),
        ("OpenVocabularyDetection", {"images": [BATCH], "classes": [" , \n"]}, "classes=.*at least 1 item"),
        ("PhraseGrounding", {"images": [BATCH], "phrase": ["a", "b"]}, "phrase has 2 entries for 3 images in 1 batches"),
        ("PhraseGrounding", {"images": [BATCH], "phrase": [""]}, "phrase"),
        ("RegionCaption", {"images": [BATCH]}, "bboxes has 0 entries for 3 images"),
        ("RegionCaption", {"images": [BATCH], "bboxes": [DRAWN_BOXES[:2]]}, "bboxes has 2 entries for 3 images"),
        ("RegionCaption", {"images": [BATCH], "bboxes": [[DRAWN_BOXES[0][0], ["a"]]]},
         r"bboxes\[1\]\[0\]='a' is no box; \[x1, y1, x2"),
        ("RegionCaption", {"images": [BATCH], "bboxes": ["all"]}, "bboxes='all'; for every image a list would fit"),
        ("RegionCaption", {"images": [BATCH[:1]], "bboxes": [[[[1.0, 2.0, float("nan"), 4.0]]]]}, "is no box"),
        ("RegionOcr", {"images": [BATCH[:1]], "bboxes": [[[[400.0, 400.0, 500.0, 500.0]]]]}, "lies outside of the 320x320"),
        ("Crop", {"images": [BATCH[:1]], "bboxes": [[[[1.0, 1.0, 9.0, 9.0]]]], "labels": [[["a", "b"]]]},
         r"labels\[0\] has 2 entries for 1 boxes"),
        ("Crop", {"images": [BATCH], "bboxes": [DRAWN_BOXES], "padding": [-1]}, "padding=-1"),
        ("Draw", {"images": [BATCH], "bboxes": [DRAWN_BOXES], "mask": [torch.zeros(5)]}, r"mask\[0\] is \[5\]"),
        ("Draw", {"images": [BATCH], "bboxes": [DRAWN_BOXES], "mask": ["none"]}, r"mask\[0\] is str; a tensor"),
        ("Draw", {"images": [BATCH], "bboxes": [DRAWN_BOXES], "mask": [torch.ones(1, 5, 9)]}, "has 9x5 pixels for an image"),
        ("RegionCaption", {"images": [BATCH], "bboxes": [[DRAWN_BOXES[0][0]] * 3]}, "one for each image, or all for every"),
        ("RegionCaption", {"images": [BATCH[:1]], "bboxes": [[{"left": 3}]]}, r"bboxes\[0\]=\{'left': 3\} is no box"),
        ("RegionCaption", {"images": [BATCH[:1]], "bboxes": [None]}, "bboxes=None; for every image a list would fit"),
        ("Caption", {"images": [BATCH], "device": ["cpu", "cuda"]}, "device has 2 values in one call; one would fit"),
        ("Caption", {"images": [BATCH], "precision": ["int8"]}, "precision='int8': .*'float16'"),
        ("Draw", {"images": [BATCH], "bboxes": [DRAWN_BOXES], "color_palette": ["none such"]}, "color_palette='none such'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(name: str, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(name, **inputs)


@pytest.mark.parametrize("model_id", ["no-such-model", "", "  "])
def test_a_model_that_is_none_is_told(model_id: str) -> None:
    with pytest.raises(ValueError, match=f"`{model_id}` is no model and no folder"):
        run("Caption", images=[BATCH], model_id=[model_id])


@pytest.mark.skipif(torch.xpu.is_available(), reason="the device is there")
def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(UnavailableError, match="device='xpu' is not at hand"):
        run("Caption", images=[BATCH], device=["xpu"])

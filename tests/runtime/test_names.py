"""Answers limited to a list of names, and the probability of every name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from florence_blocks.demo import draw_scene
from florence_blocks.demo.metrics import iou
from florence_blocks.florence import Florence2
from florence_blocks.prompts import PromptError
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime.shared import shared_model
from florence_blocks.tasks import TASKS
from tests.runtime.models import save_reduced
from workflow_engine import compile
from workflow_engine.data import Image

CATEGORIES = ("circle", "square", "triangle", "star")
SCENES = [draw_scene(seed) for seed in (3, 4, 5)]


def regions(**inputs: Any) -> list[Request]:
    return [Request(TASKS["region_classification"], Image(scene.image), region=shape.box, **inputs)
            for scene in SCENES for shape in scene.shapes]  # fmt: skip


def test_every_name_has_its_probability_and_the_best_is_the_answer() -> None:
    truth = [shape.category for scene in SCENES for shape in scene.shapes]
    for answer, category in zip(shared_model("florence-2-demo").answer(regions(names=CATEGORIES)), truth, strict=True):
        assert not isinstance(answer, Exception) and answer.name_probabilities is not None
        assert tuple(answer.name_probabilities) == CATEGORIES and sum(answer.name_probabilities.values()) == pytest.approx(1)
        assert answer.text == category and answer.confidence == max(answer.name_probabilities.values())


@pytest.mark.parametrize("checkpoint", ["florence-2-demo", "random"])
def test_the_probabilities_are_those_of_the_reference(checkpoint: str, tmp_path: Path) -> None:
    """A name ends with an end token or with a location: checkpoints may write the region again behind its category."""
    if checkpoint == "random":
        save_reduced(tmp_path, layers=2)
    model = shared_model("florence-2-demo" if checkpoint != "random" else str(tmp_path), device="cpu")
    names = ("star", "starfish", "red square", "word")
    request = regions(names=names)[0]
    (answer,) = model.answer([request])
    assert not isinstance(answer, Exception) and answer.name_probabilities is not None
    encoding, first = model.scheduler._encoding, model.vocabulary.first_location
    features = encoding.features([model.checkpoint.preprocessor([request.image])[0]])
    encoded, _ = encoding.prompts([model.prompt_ids(request.prompt)], features)
    totals = []
    for ids in model.vocabulary.answers(names):
        with torch.inference_mode():
            given = torch.tensor([[2, *ids[:-1]]])
            logits = model.model(encoder_outputs=BaseModelOutput(last_hidden_state=encoded), decoder_input_ids=given).logits[0]
        chances = logits.log_softmax(-1)
        spelt = float(chances[range(1, len(ids) - 1), ids[1:-1]].sum())
        ended = float(chances[-1, [2, *range(first, first + 1000)]].logsumexp(0))
        totals.append(spelt + ended)
    wanted = [math.exp(total - max(totals)) for total in totals]
    assert list(answer.name_probabilities.values()) == pytest.approx([w / sum(wanted) for w in wanted], rel=1e-3, abs=1e-6)


def test_detections_get_only_names_of_the_list_even_from_a_random_model(tmp_path: Path) -> None:
    save_reduced(tmp_path, layers=2)
    model = Florence2.from_pretrained(tmp_path)
    names = ("circle", "red square")
    asked = [Request(TASKS["object_detection"], Image(SCENES[0].image), names=names,
                     settings=Settings(do_sample=True, seed=seed, num_beams=1)) for seed in range(20)]  # fmt: skip
    labels = {found.label for answer in model.answer(asked) for found in answer.instances}
    assert labels and labels <= set(names)


def test_blanks_and_duplicates_change_nothing_but_the_ids() -> None:
    model = shared_model("florence-2-demo")
    clean, given = regions(names=CATEGORIES), regions(names=(" circle", "square ", "star", "triangle", "star", "star "))
    for one, other in zip(model.answer(clean), model.answer(given), strict=True):
        assert not isinstance(one, Exception) and not isinstance(other, Exception)
        assert other.text == one.text and other.confidence == pytest.approx(one.confidence)
        assert other.listed.ids([one.text]) == [{"circle": 0, "square": 1, "star": 2, "triangle": 3}[one.text]]


def test_two_hundred_names_are_scored_like_a_few() -> None:
    """Some at a time: together they have the shares that they would have in one go."""
    many = [*(f"thing {number}" for number in range(196)), *CATEGORIES]
    model = shared_model("florence-2-demo")
    for few, answer in zip(model.answer(regions(names=CATEGORIES)[:2]), model.answer(regions(names=many)[:2]), strict=True):
        assert not isinstance(few, Exception) and not isinstance(answer, Exception)
        assert few.name_probabilities and answer.name_probabilities
        assert tuple(answer.name_probabilities) == tuple(many) and answer.text == few.text
        assert sum(answer.name_probabilities.values()) == pytest.approx(1)
        shares = [answer.name_probabilities[name] / answer.name_probabilities[few.text] for name in CATEGORIES]
        wanted = [few.name_probabilities[name] / few.name_probabilities[few.text] for name in CATEGORIES]
        assert shares == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_classes_that_do_not_fit_one_prompt_are_asked_in_several() -> None:
    scene = SCENES[0]
    present = scene.shapes[0].name
    classes = [*(f"a rather long name of thing {number}" for number in range(30)), f" {present}"]
    found = Florence2.from_pretrained().detect_objects(scene.image, classes=classes)
    assert 30 in found.class_id.tolist()
    assert all(classes[number].strip() == name for number, name in zip(found.class_id, found.data["class_name"], strict=True))
    boxes = found.xyxy[found.class_id == 30]
    assert max(iou(tuple(box), scene.shapes[0].box) for box in boxes) > 0.6


def test_names_that_begin_like_others_are_kept_apart(tmp_path: Path) -> None:
    names = ("star", "starfish", "star fish", "s")
    truth = [shape.category for scene in SCENES for shape in scene.shapes]
    for answer, category in zip(shared_model("florence-2-demo").answer(regions(names=names)), truth, strict=True):
        assert not isinstance(answer, Exception)
        assert category != "star" or answer.text == "star"
    save_reduced(tmp_path, layers=2)
    asked = [Request(TASKS["open_vocabulary_detection"], Image(SCENES[0].image), classes=names,
                     settings=Settings(do_sample=True, seed=seed, num_beams=1)) for seed in range(20)]  # fmt: skip
    labels = {found.label for answer in Florence2.from_pretrained(tmp_path).answer(asked) for found in answer.instances}
    assert labels and labels <= set(names)


@pytest.mark.parametrize("name", ["<and>", "star<loc_1>", "a</s>", "half \ud83d", "word " * 600])
def test_a_name_that_cannot_be_given_fails_its_own_request(name: str) -> None:
    model = shared_model("florence-2-demo")
    image, box = Image(SCENES[0].image), SCENES[0].shapes[0].box
    asked = [
        Request(TASKS["region_classification"], image, region=box, names=("star", name)),
        Request(TASKS["object_detection"], image, names=("star", name)),
        Request(TASKS["open_vocabulary_detection"], image, classes=("star", name)),
        Request(TASKS["caption"], image),
    ]
    *bad, good = model.answer(asked)
    assert all(isinstance(answer, ValueError) for answer in bad), bad
    assert not isinstance(good, Exception)


def test_a_task_without_names_says_so() -> None:
    with pytest.raises(PromptError, match="not limited to names"):
        Florence2.from_pretrained().answer([Request(TASKS["caption"], Image(SCENES[0].image), names=("dog",))])


def test_a_workflow_classifies_regions() -> None:
    flow = compile({
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [{"type": "florence/region_classification@v1", "name": "c", "images": "$inputs.image",
                   "regions": [list(shape.box) for shape in SCENES[0].shapes], "classes": list(CATEGORIES)}],
        "outputs": [{"type": "JsonField", "name": name, "selector": f"$steps.c.{name}"}
                    for name in ("predictions", "classifications")],
    })  # fmt: skip
    (row,) = flow.run(image=SCENES[0].image).outputs
    wanted = [CATEGORIES.index(shape.category) for shape in SCENES[0].shapes]
    assert row["predictions"].class_id.tolist() == wanted
    for shape, found, sure in zip(SCENES[0].shapes, row["classifications"], row["predictions"].confidence, strict=True):
        assert all(CATEGORIES[item["class_id"]] == item["class"] for item in found["predictions"])
        assert found["top"] == shape.category == found["predictions"][0]["class"]
        assert {item["class"] for item in found["predictions"]} == set(CATEGORIES)
        assert found["confidence"] == pytest.approx(sure) and sure > 0.5

"""Answers limited to a list of names, and the probability of every name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from florence_blocks.demo import draw_scene
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


def test_the_probabilities_are_those_of_the_reference() -> None:
    model = shared_model("florence-2-demo", device="cpu")
    names = ("star", "red square", "word")
    request = regions(names=names)[0]
    (answer,) = model.answer([request])
    assert not isinstance(answer, Exception) and answer.name_probabilities is not None
    encoding = model.scheduler._encoding
    features = encoding.features([model.checkpoint.preprocessor([request.image])[0]])
    encoded, _ = encoding.prompts([model.prompt_ids(request.prompt)], features)
    totals = []
    for ids in model.vocabulary.answers(names):
        with torch.inference_mode():
            given = torch.tensor([[2, *ids[:-1]]])
            logits = model.model(encoder_outputs=BaseModelOutput(last_hidden_state=encoded), decoder_input_ids=given).logits[0]
        totals.append(float(logits.log_softmax(-1)[range(1, len(ids)), ids[1:]].sum()))
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
    for shape, found, sure in zip(SCENES[0].shapes, row["classifications"], row["predictions"].confidence, strict=True):
        assert found["top"] == shape.category == found["predictions"][0]["class"]
        assert {item["class"] for item in found["predictions"]} == set(CATEGORIES)
        assert found["confidence"] == pytest.approx(sure) and sure > 0.5

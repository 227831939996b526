"""Folders that are no whole checkpoint, or ask for what is not supported, are told when they are loaded."""

from __future__ import annotations

import io
import json
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil
from transformers.utils import logging as transformers_logging

from florence_blocks import Florence2
from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.model_ids import CheckpointError
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime import hub, shared
from florence_blocks.runtime.preprocess import HARMLESS, OBEYED, REFUSED, Preprocessor
from workflow_engine.data import Image

IMAGES = json.loads((CHECKPOINT / "processor_config.json").read_text())["image_processor"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CHECKPOINT, tmp_path / "model")
    return tmp_path / "model"


def load(folder: Path | str) -> checkpoints.Checkpoint:
    return checkpoints.load(str(folder), device=torch.device("cpu"), dtype=torch.float32)


def change_json(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    file = folder / name
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def change_images(folder: Path, **changes: Any) -> None:
    change_json(folder, "processor_config.json", lambda told: told["image_processor"].update(changes))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


# ---------------------------------------------------------------- image settings


@pytest.mark.parametrize(
    "changes",
    [
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_rescale": False, "do_normalize": False},
        {"rescale_factor": 0.01},
        {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]},
        {"resample": 2},
        {"resample": 0},
        {"size": {"height": 96, "width": 128}},
        {"do_center_crop": True, "crop_size": {"height": 160, "width": 160}},
        {"do_convert_rgb": False},
    ],
    ids=str,
)
def test_pixel_values_follow_the_settings_as_those_of_the_reference(changes: dict[str, Any]) -> None:
    settings = {**IMAGES, **changes}
    pixels = draw_scene(3, width=211, height=97).image
    reference: Any = CLIPImageProcessorPil(**{key: value for key, value in settings.items() if key != "image_seq_length"})
    rgb = PilImage.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    wanted = torch.as_tensor(np.asarray(reference(rgb, return_tensors="pt")["pixel_values"])).float()
    assert torch.equal(Preprocessor.from_config(settings)([Image(pixels)]), wanted)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": {"shortest_edge": 160}}, '"height": 768, "width": 768'),
        ({"size": 160}, "`size` = 160"),
        ({"size": {"height": 10**9, "width": 160}}, "`size`"),
        ({"do_resize": False}, "`do_resize` = False"),
        ({"do_center_crop": True}, "`do_center_crop` = True"),
        ({"do_pad": True}, "do_pad"),
        ({"do_normalize": "no"}, "true or false"),
        ({"resample": "bicubic"}, "3 \\(bicubic\\)"),
        ({"resample": 9}, "`resample` = 9"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"image_mean": None}, "names no `image_mean`"),
        ({"image_std": [0.5, 0, 0.5]}, "divides by zero"),
        ({"rescale_factor": float("nan")}, "rescale_factor"),
        ({"a_new_one": 1}, "a_new_one"),
        ({"image_seq_length": 577}, "`image_seq_length` is 577, and images of 160x160 have 101 features"),
        ({"size": {"height": 1600, "width": 1600}}, "positions along a side"),
    ],
)
def test_image_settings_that_cannot_be_obeyed_are_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    change_images(folder, **changes)
    with pytest.raises(CheckpointError, match=said):
        load(folder)


def test_every_image_setting_of_transformers_has_a_decision() -> None:
    known = set(CLIPImageProcessorPil().to_dict()) | set(IMAGES)
    assert known <= OBEYED | HARMLESS | REFUSED.keys()


# ---------------------------------------------------------------- broken folders


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def set_nan(weights: dict[str, torch.Tensor]) -> None:
    weights["model.language_model.encoder.layers.0.fc1.weight"][3, 4] = torch.nan


BROKEN: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: change_weights(f, set_nan), "fc1.weight` holds values that are no numbers"),
    (lambda f: change_weights(f, lambda w: w.popitem()), "lacks 1 weights"),
    (lambda f: change_json(f, "config.json", lambda c: c["text_config"].update(d_model=256)), "where its config.json makes it"),
    (lambda f: change_json(f, "config.json", lambda c: c["text_config"].update(d_model="x")), "config.json does not fit"),
    (lambda f: change_json(f, "config.json", lambda c: c["vision_config"].update(depths=[1])), "`"),
    (lambda f: change_json(f, "config.json", lambda c: c["text_config"].update(model_type="llama")), "type `bart`"),
    (lambda f: change_json(f, "config.json", lambda c: c["text_config"].update(decoder_layers=10**7)), "layers"),
    (lambda f: change_json(f, "config.json", lambda c: c.update(model_type="llava")), "type 'llava'"),
    (lambda f: (f / "config.json").write_text("[" * 10**5), "config.json is not a JSON object"),
    (lambda f: truncate(f / "model.safetensors"), "transformers cannot load it"),
    (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer"),
    (lambda f: [(f / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")], "tokenizer"),
    (lambda f: (f / "tokenizer.json").unlink(), "tokenizer"),
    (lambda f: (f / "processor_config.json").write_text('"x"'), "processor_config.json is not a JSON object"),
    (lambda f: (f / "processor_config.json").write_text("{}"), "image_seq_length"),
    (lambda f: (f / "calibration.json").write_text('{"caption": 3}'), "slope and an offset per task"),
    (lambda f: (f / "calibration.json").write_text('{"caption": [NaN, 1]}'), "a number that is none"),
    (lambda f: (f / "calibration.json").write_text("[]"), "calibration.json is not a JSON object"),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "said"), BROKEN)
def test_whatever_is_wrong_with_a_checkpoint_is_a_checkpoint_error(
    folder: Path, break_it: Callable[[Path], Any], said: str
) -> None:
    break_it(folder)
    with pytest.raises(CheckpointError, match=said) as raised:
        load(folder)
    assert str(raised.value).startswith(f"`{folder}` cannot be used: ") and len(str(raised.value)) < 600


def test_weights_that_are_not_used_are_told(folder: Path, caplog: Any) -> None:
    change_weights(folder, lambda weights: weights.update(extra=torch.ones(3)))
    load(folder)
    assert "1 weights are not used" in caplog.text and "extra" in caplog.text


def test_a_checkpoint_without_a_generation_config_has_that_of_its_config(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    found = load(folder).generation
    assert (found.start, found.ends, found.forced_last, found.longest) == (2, (2,), (2,), None)


def test_a_model_that_is_not_forced_to_begin_answers_by_itself(folder: Path) -> None:
    def told(model: Florence2) -> list[object]:
        found = [model.detect_objects(image), model.segment_phrase(image, "circle")]
        return [model.caption_image(image), *(detections.xyxy.tolist() for detections in found)]

    image = draw_scene(0).image
    wanted = told(Florence2.from_pretrained())
    change_json(folder, "generation_config.json", lambda told: told.pop("forced_bos_token_id"))
    with Florence2.from_pretrained(folder) as model:
        assert told(model) == wanted
    assert all(wanted)


@pytest.mark.parametrize("decay", [{"a": 1}, [float("inf"), 2.0], [3]])
def test_a_decay_that_is_no_pair_of_numbers_is_told(folder: Path, decay: Any) -> None:
    change_json(folder, "generation_config.json", lambda told: told.update(exponential_decay_length_penalty=decay))
    with pytest.raises(CheckpointError, match="generation config does not fit"):
        load(folder)


# ---------------------------------------------------------------- silence


def test_loading_leaves_the_progress_bars_of_others_alone(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    shown: list[bool] = []
    loading, seen = threading.Event(), threading.Event()
    fetched = checkpoints.Florence2ForConditionalGeneration.from_pretrained

    def slow(*given: Any, **options: Any) -> Any:
        loading.set()
        seen.wait(10)
        return fetched(*given, **options)

    def other() -> None:
        loading.wait(10)
        out = io.StringIO()
        for _ in transformers_logging.tqdm(range(3), file=out, desc="another"):
            pass
        shown.append("another" in out.getvalue())
        seen.set()

    monkeypatch.setattr(checkpoints.Florence2ForConditionalGeneration, "from_pretrained", slow)
    thread = threading.Thread(target=other)
    thread.start()
    load(CHECKPOINT)
    thread.join()
    assert shown == [True] and transformers_logging.is_progress_bar_enabled()
    assert "Loading weights" not in capsys.readouterr().err
    out = io.StringIO()
    list(transformers_logging.tqdm(range(3), file=out, desc="afterwards"))
    assert "afterwards" in out.getvalue()


def test_retries_of_the_hub_are_not_printed(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    logger = logging.getLogger("huggingface_hub.utils._http")

    def failing(*_: Any, **__: Any) -> str:
        logger.warning("Retrying in 1s [Retry 1/5].")
        raise ConnectionError("nobody answers\nmore")

    monkeypatch.setattr(hub, "snapshot_download", failing)
    with caplog.at_level(logging.WARNING, "huggingface_hub"), pytest.raises(CheckpointError, match=r"nobody answers$"):
        load("somebody/something")
    logger.warning("afterwards")
    assert [record.message for record in caplog.records] == ["afterwards"]


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def failing(repository: str, **_: Any) -> str:
        asked.append(repository)
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(hub, "snapshot_download", failing)
    for _ in range(3):
        with pytest.raises(CheckpointError, match=r"`somebody/silent` cannot be used: .*nobody answers"):
            shared.shared_model("somebody/silent", device="cpu")
    assert asked == ["somebody/silent"]
    monkeypatch.setattr(shared, "HUB_PATIENCE", 0.0)
    with pytest.raises(CheckpointError):
        shared.shared_model("somebody/silent", device="cpu")
    assert len(asked) == 2


def test_a_repository_of_the_hub_is_loaded_from_its_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def cached(repository: str, **options: Any) -> str:
        asked.append((repository, options["revision"]))
        return str(CHECKPOINT)

    monkeypatch.setattr(hub, "snapshot_download", cached)
    found = checkpoints.load("somebody/tuned", device=torch.device("cpu"), dtype=torch.float32, revision="v2")
    assert found.source == "somebody/tuned" and set(asked) == {("somebody/tuned", "v2")}


def test_quantised_weights_are_refused(folder: Path) -> None:
    name = "model.language_model.encoder.layers.0.fc1.weight"
    change_weights(folder, lambda weights: weights.update({name: (weights[name] * 100).to(torch.int8)}))
    with pytest.raises(CheckpointError, match=rf"`{name}` is stored as I8; F64, F32, F16, BF16 would fit"):
        load(folder)

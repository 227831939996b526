"""Preprocessing, checkpoints and shared instances."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from transformers import CLIPImageProcessorPil

from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.demo.calibrate import noisy
from florence_blocks.model_ids import SHORT_NAMES, CheckpointError, resolve
from florence_blocks.requests import Request
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.preprocess import Preprocessor
from florence_blocks.runtime.shared import shared_model
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.mark.parametrize("target", [160, 768])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (333, 1), (64, 48), (517, 333), (1600, 1200)])
def test_preprocessing_is_bit_equal_to_the_reference(size: tuple[int, int], target: int) -> None:
    width, height = size
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    reference: Any = CLIPImageProcessorPil(size={"height": target, "width": target}, do_center_crop=False, image_mean=MEAN,
                                           image_std=STD, resample=3)  # fmt: skip
    wanted = reference(PilImage.fromarray(pixels), return_tensors="pt")["pixel_values"]
    ours = Preprocessor((target, target), MEAN, STD, resample=3, rescale=1 / 255)
    assert torch.equal(ours([Image(np.ascontiguousarray(pixels[:, :, ::-1]))]), wanted)


def test_grey_images_count_as_three_equal_channels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    ours = Preprocessor((64, 64), MEAN, STD, resample=3, rescale=1 / 255)
    assert torch.equal(ours([Image(grey)]), ours([Image(np.stack([grey] * 3, axis=2))]))


def test_settings_are_read_from_the_checkpoint() -> None:
    loaded = shared_model("florence-2-demo", device="cpu")
    assert loaded.checkpoint.preprocessor.size == (160, 160) and loaded.checkpoint.image_tokens == 101
    assert loaded.dtype == torch.float32 and loaded.device.type == "cpu"


def test_short_names_stand_for_the_native_repositories() -> None:
    assert {resolve(name) for name in SHORT_NAMES} == set(SHORT_NAMES.values())
    assert resolve("someone/fine-tune") == "someone/fine-tune"
    assert resolve(str(CHECKPOINT)) == resolve("florence-2-demo")


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "not a JSON object"),
        (lambda folder: (folder / "config.json").write_text(json.dumps({"model_type": "bert"})), "type 'bert'"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "no safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 40), "transformers cannot load it"),
        (lambda folder: (folder / "processor_config.json").unlink(), "image_seq_length"),
    ],
)
def test_a_broken_folder_is_told(tmp_path: Path, break_it: Any, said: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    break_it(folder)
    with pytest.raises(CheckpointError, match=said):
        shared_model(str(folder), device="cpu")


@pytest.mark.parametrize("name", ["./missing", "/no/such/folder", "florence-3"])
def test_a_missing_checkpoint_is_told_with_what_would_fit(name: str) -> None:
    with pytest.raises(CheckpointError, match="florence-2-base"):
        shared_model(name, device="cpu")


def test_a_hub_id_without_a_network_is_told() -> None:
    with pytest.raises(CheckpointError, match="nobody/nothing"):
        shared_model("nobody/nothing", device="cpu")


def test_a_wrong_dtype_is_told() -> None:
    with pytest.raises(ValueError, match="float32, bfloat16 or float16"):
        shared_model("florence-2-demo", dtype="int8")


def test_device_and_dtype_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORENCE_BLOCKS_DEVICE", "cpu")
    monkeypatch.setenv("FLORENCE_BLOCKS_DTYPE", "bfloat16")
    assert shared_model("florence-2-demo").dtype == torch.bfloat16
    assert shared_model("florence-2-demo", dtype="float32").dtype == torch.float32
    monkeypatch.setenv("FLORENCE_BLOCKS_DEVICE", "gpu")
    with pytest.raises(ValueError, match=r"cpu .*would fit"):
        shared_model("florence-2-demo")


def test_the_environment_bounds_the_features_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    monkeypatch.setenv("FLORENCE_BLOCKS_FEATURE_BYTES", "some")
    with pytest.raises(ValueError, match="a number of bytes"):
        shared_model(str(folder), device="cpu")
    monkeypatch.setenv("FLORENCE_BLOCKS_FEATURE_BYTES", "0")
    model, request = shared_model(str(folder), device="cpu"), Request(TASKS["caption"], Image(draw_scene(1).image))
    model.answer([request, request])
    model.answer([request])
    found = model.stats()
    assert found["images_encoded"] == 2 and found["feature_bytes"] == found["feature_bytes_limit"] == 0


def test_many_threads_share_one_instance_and_a_failed_load_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    loads: list[str] = []
    load = checkpoints.load

    def counted(source: str, **options: Any) -> Any:
        loads.append(source)
        return load(source, **options)

    monkeypatch.setattr(checkpoints, "load", counted)
    config = (folder / "config.json").read_text()
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError):
        shared_model(str(folder), device="cpu")
    (folder / "config.json").write_text(config)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(shared_model(str(folder), device="cpu"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len({id(model) for model in found}) == 1 and len(loads) == 2
    assert shared_model(str(folder), device="cpu", dtype="bfloat16") is not found[0]


def test_importing_the_packages_and_listing_blocks_imports_nothing_heavy() -> None:
    code = (
        "import sys, florence_blocks, workflow_engine; workflow_engine.registry();"
        "print([m for m in ('torch', 'transformers', 'supervision', 'cv2', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_text_is_as_sure_as_its_words_and_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "calibration.json").unlink()
    rng = np.random.default_rng(1)
    scenes = [draw_scene(seed, words=1) for seed in range(12)]
    asked = [Request(TASKS["region_ocr"], noisy(scene, rng), region=scene.words[0].box) for scene in scenes]
    ends = []
    for answer in shared_model(str(folder), device="cpu").answer(asked):
        assert not isinstance(answer, Exception) and answer.token_probabilities
        said = answer.token_probabilities[1:]  # the first is the forced begin
        assert answer.confidence == pytest.approx(np.prod(said))
        ends.append(said[-1])
    assert min(ends) < 0.999  # an end tells how sure the model is that there is no more to read


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_loading_leaves_no_threads_behind() -> None:
    code = """
import os, time, torch
from florence_blocks import Florence2
torch.set_num_threads(2)
before = set(os.listdir("/proc/self/task"))
model = Florence2.from_pretrained("florence-2-demo", device="cpu")
until = time.monotonic() + 10  # a thread that has been joined is still listed for a moment
while (left := len(set(os.listdir("/proc/self/task")) - before)) and time.monotonic() < until:
    time.sleep(0.01)
print(left)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["0"]

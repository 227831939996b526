"""The nodes and ComfyUI around them: Cancel, the progress bar, unloading, its device and precision.

ComfyUI cannot be installed as a package. What the nodes use of it is written down here as it is in its version 0.3.64.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from florence_blocks.adapters.comfyui import NODE_CLASS_MAPPINGS, host
from florence_blocks.demo import CHECKPOINT, draw_scene
from florence_blocks.runtime import shared
from florence_blocks.runtime.encoding import Encoding

SCENES = [draw_scene(seed, width=160, height=160).image for seed in range(9100, 9106)]
BATCH = torch.from_numpy(np.stack([scene[:, :, ::-1] for scene in SCENES])).float() / 255


class InterruptError(Exception):
    """ComfyUI's `InterruptProcessingException`."""


class Patcher:
    """`comfy.model_patcher.ModelPatcher`."""

    def __init__(self, model: Any, load_device: torch.device, offload_device: torch.device, size: int = 0) -> None:
        self.model, self.load_device, self.offload_device, self.size = model, load_device, offload_device, size
        self._callbacks: list[tuple[str, Callable[..., None]]] = []

    def add_callback(self, kind: str, callback: Callable[..., None]) -> None:
        self._callbacks.append((kind, callback))

    def detach(self, unpatch_all: bool = True) -> None:
        for kind, callback in self._callbacks:
            if kind == "on_detach_after":
                callback(self, unpatch_all)

    def __del__(self) -> None:
        self.detach(unpatch_all=False)


class Management(ModuleType):
    """`comfy.model_management`."""

    def __init__(self) -> None:
        super().__init__("comfy.model_management")
        self.interrupted = False
        self.device = torch.device("cpu")
        self.half: torch.dtype | None = None
        self.freed: list[int] = []
        self._loaded: list[weakref.ref[Patcher]] = []

    def get_torch_device(self) -> torch.device:
        return self.device

    def should_use_fp16(self, device: torch.device) -> bool:
        return self.half is torch.float16

    def should_use_bf16(self, device: torch.device) -> bool:
        return self.half is torch.bfloat16

    def processing_interrupted(self) -> bool:
        return self.interrupted

    def throw_exception_if_processing_interrupted(self) -> None:
        if self.interrupted:
            self.interrupted = False
            raise InterruptError

    def load_models_gpu(self, models: list[Patcher]) -> None:
        self._loaded += [weakref.ref(model) for model in models]

    def loaded_models(self) -> list[Patcher | None]:
        return [model() for model in self._loaded]

    def free_memory(self, memory: int, device: torch.device) -> None:
        self.freed.append(memory)

    def unload_all_models(self) -> None:
        for model in self.loaded_models():
            if model is not None and model.load_device == self.get_torch_device():
                model.detach()
        self._loaded.clear()


class Comfy:
    """ComfyUI in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.management, self.seen = Management(), list[tuple[int, int]]()
        self.on_progress: Callable[[], None] = lambda: None
        comfy = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(self, value: int, total: int) -> None:
                comfy.management.throw_exception_if_processing_interrupted()  # as its hook does
                comfy.seen.append((value, total))
                comfy.on_progress()

        for name, held in (
            ("utils", {"ProgressBar": ProgressBar}),
            ("model_patcher", {"ModelPatcher": Patcher}),
            ("patcher_extension", {"CallbacksMP": type("CallbacksMP", (), {"ON_DETACH": "on_detach_after"})}),
        ):
            module = ModuleType(f"comfy.{name}")
            vars(module).update(held)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(sys.modules, "comfy.model_management", self.management)


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Comfy]:
    monkeypatch.setattr(host, "_listings", {})
    yield Comfy(monkeypatch)
    gc.collect()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[str]:
    """A checkpoint of its own, so that no other test shares its model."""
    for file in CHECKPOINT.iterdir():
        (tmp_path / file.name).symlink_to(file)
    yield str(tmp_path)
    for address in addresses(str(tmp_path)):
        shared.close(address)


def addresses(folder: str) -> list[shared.Address]:
    return [address for address in shared.loaded() if address.source == folder]


def run(name: str, **inputs: Any) -> tuple[list[Any], ...]:
    node = NODE_CLASS_MAPPINGS[f"FlorenceBlocks{name}"]
    return node().run(**inputs)  # type: ignore[no-any-return]


def caption(folder: str, **inputs: Any) -> list[str]:
    return run("Caption", images=[BATCH], model_id=[folder], **inputs)[0]


# ------------------------------------------------------------------ cancelling, and how far a node is


def test_cancel_ends_a_node_with_comfyuis_own_exception_and_takes_back_what_waits(
    comfy: Comfy, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, features = threading.Event(), Encoding.features

    def held(encoding: Encoding, pixels: Any) -> Any:
        comfy.management.interrupted = True
        opened.wait(20)
        return features(encoding, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(Encoding, "features", held)
        with pytest.raises(InterruptError):
            caption(folder)
        opened.set()
        assert len(caption(folder)) == 6  # the next prompt finds nothing in its way
    model = shared.shared_model(folder)
    assert model.stats()["requests"] == 6


def test_cancel_between_answers_ends_a_node_too(comfy: Comfy, folder: str) -> None:
    def interrupt() -> None:
        comfy.management.interrupted = True

    comfy.on_progress = interrupt
    with pytest.raises(InterruptError):
        caption(folder)
    assert not comfy.management.interrupted


def test_a_failure_is_told_and_not_taken_for_a_cancel(comfy: Comfy) -> None:
    with pytest.raises(Exception, match="nowhere"):
        caption("./nowhere")


def test_the_bar_counts_images_and_answers(comfy: Comfy, folder: str) -> None:
    caption(folder)
    assert comfy.seen[-1] == (12, 12) and comfy.seen == sorted(comfy.seen)


@pytest.mark.parametrize("name", ["Crop", "Draw"])
def test_nodes_without_a_model_tell_how_far_they_are_and_are_cancelled(comfy: Comfy, name: str) -> None:
    boxes = [[[[5.0, 5.0, 50.0, 50.0]]]]
    run(name, images=[BATCH], bboxes=boxes)
    assert comfy.seen == [(place, 6) for place in range(1, 7)]
    comfy.management.interrupted = True
    with pytest.raises(InterruptError):
        run(name, images=[BATCH], bboxes=boxes)


# ------------------------------------------------------------------ unloading


def test_comfyui_unloads_a_shared_model_as_any_other_and_it_comes_back(comfy: Comfy, folder: str) -> None:
    said = caption(folder)
    weights = weakref.ref(shared.shared_model(folder).model)
    (patcher,) = [model for model in comfy.management.loaded_models() if model is not None and model.size > 1_000_000][-1:]
    assert patcher.load_device == torch.device("cpu") and comfy.management.freed
    del patcher
    comfy.management.unload_all_models()
    assert weights() is None and not addresses(folder)
    assert caption(folder) == said and len(addresses(folder)) == 1
    comfy.management.unload_all_models()
    assert not addresses(folder)


def test_a_model_is_listed_once_however_often_it_is_asked(comfy: Comfy, folder: str) -> None:
    caption(folder)
    listed, freed = comfy.management.loaded_models(), len(comfy.management.freed)
    caption(folder)
    assert comfy.management.loaded_models() == listed and len(comfy.management.freed) == freed


def test_a_model_is_listed_though_its_node_was_cancelled(comfy: Comfy, folder: str) -> None:
    shared.close_all()
    comfy.management.interrupted = True
    with pytest.raises(InterruptError):
        caption(folder)
    assert addresses(folder)
    comfy.management.unload_all_models()
    assert not addresses(folder)


def test_a_model_that_was_closed_and_loaded_again_stays_when_comfyui_forgets_the_former_one(comfy: Comfy, folder: str) -> None:
    caption(folder)
    shared.close(addresses(folder)[0])
    host.list_models()
    caption(folder)
    gc.collect()
    assert len(addresses(folder)) == 1


def test_a_model_on_another_device_is_unloaded_too_and_takes_nothing_of_comfyuis(comfy: Comfy, folder: str) -> None:
    comfy.management.device = torch.device("meta")
    caption(folder, device=["cpu"])
    assert [model.size for model in comfy.management.loaded_models() if model is not None][-1] == 1
    comfy.management.unload_all_models()
    assert not addresses(folder)


# ------------------------------------------------------------------ where models go


@pytest.mark.parametrize("half", [None, torch.bfloat16, torch.float16])
def test_models_go_where_comfyui_runs_its_own_in_its_precision(comfy: Comfy, half: torch.dtype | None) -> None:
    comfy.management.half = half
    assert host.placement("default", "default") == ("cpu", half or torch.float32)


def test_what_a_node_says_comes_before_the_environment_and_that_before_comfyui(
    comfy: Comfy, monkeypatch: pytest.MonkeyPatch
) -> None:
    comfy.management.device, comfy.management.half = torch.device("mps"), torch.float16
    assert host.placement("default", "default") == ("mps", torch.float16)
    monkeypatch.setenv("FLORENCE_BLOCKS_DEVICE", "cpu")
    monkeypatch.setenv("FLORENCE_BLOCKS_DTYPE", "bfloat16")
    assert host.placement("default", "default") == ("cpu", "bfloat16")
    assert host.placement("xpu", "float32") == ("xpu", "float32")


def test_the_choices_of_a_node_reach_the_model(comfy: Comfy, folder: str) -> None:
    caption(folder, device=["cpu"], precision=["bfloat16"])
    assert [address[2:] for address in addresses(folder)] == [("cpu", torch.bfloat16)]


def test_outside_of_comfyui_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLORENCE_BLOCKS_DEVICE", raising=False)
    monkeypatch.delenv("FLORENCE_BLOCKS_DTYPE", raising=False)
    assert host.placement("default", "default") == (None, None)
    host.list_models()

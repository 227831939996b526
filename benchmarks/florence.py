"""Florence-2 here beside transformers' own ways, on the same weights and inputs, in one run.

    python benchmarks/florence.py [--model demo|base|large|CHECKPOINT] [--device cpu|cuda] [--dtype float32|bfloat16|float16]
                                  [--only a,c,g] [--beams 1,3] [--rounds 5] [--threads 2] [--peer-python PYTHON] [--json FILE]

Ways: `ours`; `single`, transformers' `generate` one request at a time; `static`, transformers in batches of equal size, padded
to their longest prompt and run to their longest answer; `peer`, the class of the best-known runtime, in an environment of its
own (`pip install inference`). Rounds alternate between the ways, so that all see the same state of
the machine; `ratio` is a way's time over ours, round by round, and the figure is the median.

`base` and `large` are the published layouts with random weights, whose answers have given lengths; `demo` is the embedded
model with its real answers; a checkpoint is a folder, and is given every load. Answers are not kept within their grammar here,
so that all ways do the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import transformers
from PIL import Image as PilImage
from random_florence import LAYOUTS, build
from torch.utils.flop_counter import FlopCounterMode
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from florence_blocks.demo import CHECKPOINT, Scene, draw_scene
from florence_blocks.requests import Request, Settings
from florence_blocks.runtime import checkpoint as checkpoints
from florence_blocks.runtime.encoding import Encoding
from florence_blocks.runtime.model import FlorenceModel
from florence_blocks.tasks import TASKS
from workflow_engine.data import Image

STATIC_BATCH = 8


@dataclass(frozen=True)
class Place:
    """Where the models are, and in which precision."""

    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """The processor or card."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else platform.machine()


# ------------------------------------------------------------------ ways


class Ours:
    """This project; nothing is kept from one round to the next."""

    name = "ours"

    def __init__(self, folder: Path, place: Place) -> None:
        self.model = FlorenceModel(checkpoints.load(str(folder), device=place.device, dtype=place.dtype))

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """The raw answers."""
        return [answer.raw for answer in self.model.answer(requests)]  # type: ignore[union-attr]

    def fresh(self) -> None:
        """Forget the images."""
        self.model.scheduler.features.clear()


class Reference:
    """transformers, with a batch size."""

    def __init__(self, folder: Path, place: Place, name: str, batch: int) -> None:
        self.name, self.batch, self._place = name, batch, place
        native: Any = Florence2ForConditionalGeneration.from_pretrained(folder, dtype=place.dtype)
        self.model = native.eval().to(place.device)
        self.processor: Any = Florence2Processor.from_pretrained(folder)

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """The raw answers."""
        texts: list[str] = []
        for first in range(0, len(requests), self.batch):
            texts += self._batch(requests[first : first + self.batch])
        return texts

    def _batch(self, requests: Sequence[Request]) -> list[str]:
        images = [PilImage.fromarray(np.ascontiguousarray(request.image.bgr[:, :, ::-1])) for request in requests]
        inputs = self.processor(text=[request.prompt for request in requests], images=images, padding=True, return_tensors="pt")
        inputs = inputs.to(self._place.device, self._place.dtype)
        longest = max((request.settings.max_new_tokens or 0 for request in requests), default=0)
        limits = {"max_new_tokens": longest} if longest else {}
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **limits, num_beams=requests[0].settings.num_beams or 1, do_sample=False)
        return [str(text) for text in self.processor.batch_decode(ids, skip_special_tokens=False)]

    def fresh(self) -> None:
        """Nothing is kept in any case."""


class Peer:
    """The best-known runtime's class, in a process of its own."""

    name = "peer"

    def __init__(self, folder: Path, place: Place, python: str, threads: int, scratch: Path) -> None:
        worker = Path(__file__).with_name("florence_worker.py")
        self._scratch = scratch
        self.errors: list[str] = []
        self._process = subprocess.Popen([python, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        precision = str(place.dtype).removeprefix("torch.")
        self._ask({"folder": str(folder), "threads": threads, "device": str(place.device), "dtype": precision})

    def answer(self, requests: Sequence[Request]) -> list[str]:
        """The answers as text."""
        asked = [(self._path(request.image), request.task.token, request.prompt, request.settings.max_new_tokens,
                  request.settings.num_beams or 1) for request in requests]  # fmt: skip
        texts = [str(text) for text in self._ask({"requests": asked})]
        self.errors += [text for text in texts if text.startswith("error: ")]
        return texts

    def fresh(self) -> None:
        """Nothing is kept in any case."""

    def _path(self, image: Image) -> str:
        path = self._scratch / f"{image.digest.hex()}.npy"
        if not path.exists():
            np.save(path, image.bgr)
        return str(path)

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the worker of the peer ended")
        return json.loads(line)


Way = Ours | Reference | Peer


# ------------------------------------------------------------------ scenarios


@dataclass(frozen=True)
class Scenario:
    """A load: what is asked, and how it is run on a way; the least ratio over `single` that is asked for."""

    key: str
    title: str
    run: Callable[[Way, int], int]


@cache
def drawn(count: int, size: tuple[int, int]) -> list[Scene]:
    """Different scenes, drawn once, so that no round spends its time on them."""
    return [draw_scene(seed, width=size[0], height=size[1]) for seed in range(count)]


def images(count: int) -> list[Image]:
    """Different images, without anything known about them."""
    return [Image(scene.image) for scene in drawn(count, (640, 480))]


def caption(image: Image, beams: int, length: int = 24) -> Request:
    """A caption of so many tokens."""
    return Request(TASKS["caption"], image, settings=Settings(constrained=False, num_beams=beams, max_new_tokens=length))


def _one_caption(way: Way, beams: int) -> int:
    return len(way.answer([caption(images(1)[0], beams)]))


def _captions(way: Way, beams: int) -> int:
    return len(way.answer([caption(image, beams) for image in images(8)]))


def _regions(way: Way, beams: int) -> int:
    rng, (image,) = np.random.default_rng(1), images(1)
    corners = rng.uniform(0, 0.6, (10, 2))
    boxes = np.hstack([corners, corners + rng.uniform(0.1, 0.4, (10, 2))]) * (640, 480, 640, 480)
    settings = Settings(constrained=False, num_beams=beams, max_new_tokens=24)
    return len(way.answer([Request(TASKS["region_caption"], image, region=tuple(box), settings=settings)
                           for box in boxes.tolist()]))  # fmt: skip


def _detect_and_caption(way: Way, beams: int) -> int:
    """Eight scenes: their shapes, then a caption of every region; the regions are the drawn ones, for every way alike."""
    scenes = drawn(8, (160, 160))
    settings = Settings(constrained=False, num_beams=beams)
    given = [Image(scene.image) for scene in scenes]
    found = way.answer([Request(TASKS["object_detection"], image, settings=settings) for image in given])
    asked = [Request(TASKS["region_caption"], image, region=shape.box, settings=settings)
             for image, scene in zip(given, scenes, strict=True) for shape in scene.shapes]  # fmt: skip
    return len(found) + len(way.answer(asked))


def mixed(beams: int) -> list[Request]:
    """32 requests about four images, whose answers take 4 to 400 tokens, most of them few."""
    rng, four = np.random.default_rng(3), images(4)
    lengths = np.geomspace(4, 400, 32).round().astype(int)
    rng.shuffle(lengths)
    names = ("caption", "object_detection", "ocr", "ocr_with_regions", "dense_region_caption", "more_detailed_caption")
    return [Request(TASKS[names[number % len(names)]], four[number % 4],
                    settings=Settings(constrained=False, num_beams=beams, max_new_tokens=int(length)))
            for number, length in enumerate(lengths)]  # fmt: skip


def _mixed(way: Way, beams: int) -> int:
    return len(way.answer(mixed(beams)))


def _concurrent(way: Way, beams: int) -> int:
    """32 callers that arrive at random; transformers' `generate` takes one caller after the other."""
    rng, lock = np.random.default_rng(5), threading.Lock()
    names = ("caption", "object_detection", "ocr")
    asked = [[Request(TASKS[name], image, settings=Settings(constrained=False, num_beams=beams)) for name in names]
             for image in (Image(scene.image) for scene in drawn(32, (160, 160)))]  # fmt: skip
    answered: list[int] = []

    def call(requests: list[Request], pause: float) -> None:
        time.sleep(pause)
        if isinstance(way, Ours):
            answered.append(len(way.answer(requests)))
        else:
            with lock:
                answered.append(len(way.answer(requests)))

    pauses = rng.uniform(0, 0.2, len(asked)).tolist()
    callers = [threading.Thread(target=call, args=pair) for pair in zip(asked, pauses, strict=True)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return sum(answered)


def _six_tasks(way: Way, beams: int) -> int:
    (image,) = images(1)
    names = ("caption", "detailed_caption", "object_detection", "dense_region_caption", "ocr", "ocr_with_regions")
    settings = Settings(constrained=False, num_beams=beams, max_new_tokens=24)
    return len(way.answer([Request(TASKS[name], image, settings=settings) for name in names]))


SCENARIOS = {
    "layouts": [
        Scenario("a", "1 image, 1 caption", _one_caption), Scenario("b", "8 images, captions", _captions),
        Scenario("c", "1 image, 10 region captions", _regions), Scenario("e", "32 mixed requests, 4 to 400 tokens", _mixed),
        Scenario("g", "1 image, 6 tasks", _six_tasks),
    ],
    "demo": [
        Scenario("d", "8 images, detect, then caption every region", _detect_and_caption),
        Scenario("f", "32 concurrent callers, 3 tasks each", _concurrent),
    ],
}  # fmt: skip


# ------------------------------------------------------------------ measuring


def measure(scenario: Scenario, ways: Sequence[Way], beams: int, rounds: int) -> dict[str, Any]:
    """Seconds of every way, round by round, and the ratios to ours."""
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            way.fresh()
            started = time.perf_counter()
            scenario.run(way, beams)
            times[way.name].append(time.perf_counter() - started)
    ratios = {name: statistics.median(other / own for other, own in zip(values, times["ours"], strict=True))
              for name, values in times.items() if name != "ours"}  # fmt: skip
    return {"scenario": scenario.key, "title": scenario.title, "beams": beams, "seconds": times, "ratios": ratios,
            "date": time.strftime("%Y-%m-%d")}  # fmt: skip


def floors(ours: Ours, folder: Path, place: Place, rounds: int = 9) -> dict[str, float]:
    """What an image and a prompt would take as plain matrix products, what they do take, and the gap between the two.

    Both are measured in turn, round by round: products of as many floating-point operations as transformers' own module has,
    convolutions and attention included, then ours.
    The gap is the median of the rounds' ratios, so that a machine that is faster now and slower then does not distort it.
    """
    checkpoint = ours.model.checkpoint
    encoding, plain = Encoding(checkpoint), Reference(folder, place, "single", 1).model.model
    pixels, ids = list(checkpoint.preprocessor(images(1))), ours.model.prompt_ids("What does the image describe?")
    features = encoding.features(pixels)
    plain.set_attn_implementation("eager")  # operations of fused attention are not counted
    states = features[0].new_zeros(1, len(features[0]) + len(ids), features[0].shape[1])
    batch = torch.stack(pixels).to(place.device, place.dtype)
    work: dict[str, tuple[float, Callable[[], object]]] = {
        "vision": (_operations(partial(plain.get_image_features, batch)), lambda: encoding.features(pixels)),
        "encoder": (
            _operations(partial(plain.language_model.encoder, inputs_embeds=states)),
            lambda: encoding.prompts([ids], features),
        ),
    }
    found: dict[str, float] = {}
    for name, (cost, tower) in work.items():
        floor, took = _in_turn(partial(_products, cost, place), partial(_done, tower, place), rounds)
        found[f"{name}_floor_seconds"], found[f"{name}_seconds"] = statistics.median(floor), statistics.median(took)
        found[f"{name}_gap"] = statistics.median(mine / least for mine, least in zip(took, floor, strict=True))
    return {"matrix_gflops": work["vision"][0] / found["vision_floor_seconds"] / 1e9, **found}


def _operations(work: Callable[[], object]) -> float:
    """The floating-point operations of some work."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def _products(cost: float, place: Place) -> None:
    """Matrix products of about so many floating-point operations."""
    side = 768 if place.device.type == "cpu" else 4096
    matrix = torch.ones((side, side), device=place.device, dtype=place.dtype)
    _done(lambda: [matrix @ matrix for _ in range(max(1, round(cost / (2 * side**3))))], place)


def _done(work: Callable[[], object], place: Place) -> None:
    """Do some work and wait for its end."""
    work()
    if place.device.type == "cuda":
        torch.cuda.synchronize(place.device)


def _in_turn(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """The seconds of two pieces of work, done in turn."""
    times = [(_seconds(one), _seconds(other)) for _ in range(rounds)]
    return [first for first, _ in times], [second for _, second in times]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _others(file: Path | None, model: str) -> list[dict[str, Any]]:
    """The loads that were measured before; a load measured anew takes the place of its own."""
    if file is None or not file.exists():
        return []
    before = json.loads(file.read_text())
    if before["model"] != model:
        raise SystemExit(f"{file} holds the loads of the model {before['model']}; another file would fit")
    rows: list[dict[str, Any]] = before["rows"]
    return rows


def _device(name: str) -> torch.device:
    """A device that is there.

    Raises:
        ArgumentTypeError: there is none of that name.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"{name} is not at hand ({str(error).splitlines()[0]}); cpu would fit") from None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="demo, base, large, or the folder of a checkpoint")
    parser.add_argument("--device", type=_device, default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--only", help="scenarios, such as a,c")
    parser.add_argument("--beams", default="1,3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer-python", help="the interpreter of an environment with the peer")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder, loads = Path(options.model), [load for several in SCENARIOS.values() for load in several]
        if options.model in LAYOUTS:
            folder, loads = Path(scratch), SCENARIOS["layouts"]
            build(options.model, folder)
        elif options.model == "demo":
            folder, loads = CHECKPOINT, SCENARIOS["demo"]
        elif not folder.is_dir():
            parser.error(f"--model {options.model} is no folder; demo, base, large or the folder of a checkpoint would fit")
        place = Place(options.device, getattr(torch, options.dtype))
        ways: list[Way] = [Ours(folder, place), Reference(folder, place, "single", 1),
                           Reference(folder, place, "static", STATIC_BATCH)]  # fmt: skip
        if options.peer_python:
            ways.append(Peer(folder, place, options.peer_python, options.threads, Path(scratch)))
        result: dict[str, Any] = {
            "model": options.model,
            "dtype": options.dtype,
            "threads": options.threads,
            "date": time.strftime("%Y-%m-%d"),
            "machine": place.name,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "floors": floors(ways[0], folder, place),  # type: ignore[arg-type]
            "rows": _others(options.json, options.model),
            "peer_errors": [],
        }
        print(json.dumps(result["floors"]), flush=True)
        for scenario in loads:
            if options.only and scenario.key not in options.only.split(","):
                continue
            for beams in (int(part) for part in options.beams.split(",")):
                row = measure(scenario, ways, beams, options.rounds)
                others = [other for other in result["rows"] if (other["scenario"], other["beams"]) != (row["scenario"], beams)]
                result["rows"] = sorted([*others, row], key=lambda kept: (kept["scenario"], kept["beams"]))
                result["peer_errors"] = [error for way in ways if isinstance(way, Peer) for error in way.errors]
                result["stats"] = ways[0].model.stats()  # type: ignore[union-attr]
                seconds = "  ".join(f"{name} {statistics.median(values):8.3f} s" for name, values in row["seconds"].items())
                shown = "  ".join(f"{name}/ours {value:5.2f}" for name, value in row["ratios"].items())
                print(f"{scenario.key} {scenario.title:44} beams {beams}  {seconds}  {shown}", flush=True)
                if options.json:  # after every load: a run that is interrupted keeps what it has
                    options.json.write_text(json.dumps(result, indent=1) + "\n")
    if result["peer_errors"]:
        print(f"the peer failed on {len(result['peer_errors'])} requests, such as {result['peer_errors'][0]!r}")


if __name__ == "__main__":
    main()

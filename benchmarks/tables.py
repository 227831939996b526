"""The tables of the README from the results in this folder and from the registry, so that nothing is typed by hand.

    python benchmarks/tables.py [--check]

Each table stands between `<!-- name -->` and `<!-- /name -->`. With `--check` nothing is written, and a README that is not what
the results say exits with 1. The plot of the speed beside the peers is drawn anew as well.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).parents[1] / "README.md"
PLOT = RESULTS / "florence.png"


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def evaluation() -> str:
    """What the embedded model reaches."""
    from florence_blocks.demo.evaluate import REQUIRED

    measured = _read("evaluation")["measures"]
    rows = [[name, f"{value:.3f}", f"{REQUIRED[name]:.2f}" if name in REQUIRED else ""] for name, value in measured.items()]
    return _table(["measure", "reached", "required"], rows)


def engine() -> str:
    """The engine beside the best-known executor."""
    found = _read("engine")
    rows = []
    for name, case in found["cases"].items():
        ours, peer = case["engines"]["ours"], case["engines"]["peer"]
        rows.append([name, f"{ours['run_ms']:.2f}", f"{peer['run_ms']:.2f}", f"{case['ratio']:.1f}",
                     f"{ours['compile_ms']:.1f}", f"{peer['compile_ms']:.1f}"])  # fmt: skip
    seconds = found["import_s"]
    after = (f"Import: {seconds['workflow_engine']:.2f} s, theirs "
             f"{seconds['roboflow_workflows.execution_engine.core']:.1f} s; `workflow check` as a whole process: "
             f"{found['check_s']:.2f} s. Measured {found['date']} on {found['cpus']} cores.")  # fmt: skip
    head = ["definition", "run, ms", "theirs", "theirs / ours", "compile, ms", "theirs"]
    return f"{_table(head, rows)}\n\n{after}"


def _speed_rows() -> list[tuple[str, dict[str, Any]]]:
    layouts = [layout for layout in ("demo", "base") if (RESULTS / f"florence_{layout}.json").exists()]
    return [(layout, row) for layout in layouts for row in _read(f"florence_{layout}")["rows"]]


def florence() -> str:
    """Florence-2 here beside the ways of others."""
    rows = []
    for layout, row in _speed_rows():
        ratios = row["ratios"]
        rows.append([f"({row['scenario']}) {row['title']}", layout, str(row["beams"]),
                     f"{statistics.median(row['seconds']['ours']):.2f}",
                     *(f"{ratios[way]:.1f}" if way in ratios else "" for way in ("single", "static", "peer"))])  # fmt: skip
    layout = rows[-1][1]  # base where it was measured, else demo
    found = _read(f"florence_{layout}")
    gaps = found["floors"]
    after = (
        f"At the {layout} layout the vision tower takes {gaps['vision_seconds']:.3f} s an image, {gaps['vision_gap']:.2f} times"
        f" its floor at this machine's matrix rate ({gaps['matrix_gflops']:.0f} GFLOP/s, float32); the encoder takes"
        f" {gaps['encoder_seconds']:.3f} s a prompt, {gaps['encoder_gap']:.2f} times its floor. Measured {found['date']}"
        f" on {found['threads']} cores, torch {found['torch']}, transformers {found['transformers']}."
    )
    head = ["load", "model", "beams", "ours, s", "one at a time / ours", "static batches / ours", "best-known runtime / ours"]
    return f"{_table(head, rows)}\n\n{after}"


def answers() -> str:
    """What the confidences are worth."""
    rows = []
    for task, found in _read("answers")["confidences"].items():
        rows.append([task.replace("_", " "), str(found["count"]), f"{found['right']:.2f}", f"{found['AUROC']:.3f}",
                     f"{found['ECE calibrated']:.3f}", f"{found['AP']:.3f}", f"{found['AP constant']:.3f}"])  # fmt: skip
    head = ["task", "answers", "right", "AUROC", "ECE, calibrated", "average precision", "with constant confidence"]
    return f"{_table(head, rows)}\n\n{_stayed()}"


def _stayed() -> str:
    """How much constraints and finer coordinates change."""
    found = _read("answers")
    ways = {"beams 1": "greedy", "beams 3": "3 beams"}
    kept = ", ".join(f"{ways[way]} {share['equal']} of {share['well formed']}" for way, share in found["constrained"].items())
    refined = found["refined"]
    return (
        f"Well-formed answers that constraints leave as they were: {kept}. Mean IoU of detected boxes:"
        f" {refined['token']:.3f} with token coordinates, {refined['refined']:.3f} refined."
    )


def precisions() -> str:
    """What other precisions cost and bring."""
    found = _read("precisions")
    rows = []
    for name in ("float32", "bfloat16", "int8"):
        row = found[name]
        kept = f"{row['agreement']['equal']} of {row['agreement']['answers']}" if "agreement" in row else "by definition"
        seconds = [f"{row[stage] / 4:.2f}" for stage in ("seconds", "vision_seconds", "encode_seconds", "decode_seconds")]
        rows.append([name, *seconds, f"{row['times as fast']:.2f}", kept])
    head = ["precision", "seconds a caption", "vision", "encoder", "decoder", "times as fast", "same answers"]
    return _table(head, rows)


def names() -> str:
    """The block names of the best-known runtime that run here, family by family, from the registry."""
    from workflow_engine import registry

    families: dict[str, dict[str, list[str]]] = {}
    for name, block in registry().blocks.items():
        if name.startswith("roboflow_core/"):
            title = (sys.modules[block.__module__].__doc__ or "").split("\n")[0].rstrip(".")
            stem, _, version = name.removeprefix("roboflow_core/").partition("@v")
            families.setdefault(title, {}).setdefault(stem, []).append(version)
    rows = [
        [title, ", ".join(f"`{stem}` {'/'.join(f'v{version}' for version in sorted(found))}" for stem, found in stems.items())]
        for title, stems in families.items()
    ]
    return _table(["family", "`roboflow_core/...`"], rows).replace("---:", "---")


TABLES = {
    "names": names,
    "evaluation": evaluation,
    "engine": engine,
    "florence": florence,
    "answers": answers,
    "precisions": precisions,
}


def rendered(text: str) -> str:
    """The README with its tables anew."""
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda match, table=table: f"{match[1]}\n{table()}\n\n{match[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the README has {count} places <!-- {name} --> ... <!-- /{name} -->; one would fit")
    return text


def plot() -> None:
    """How many times longer the other ways take, load by load."""
    from matplotlib.figure import Figure

    rows = _speed_rows()
    figure = Figure(figsize=(11, 4))
    axes = figure.subplots()
    ways = {"single": "transformers, one at a time", "static": "transformers, static batches", "peer": "best-known runtime"}
    for number, (way, label) in enumerate(ways.items()):
        axes.bar([place + 0.27 * (number - 1) for place in range(len(rows))],
                 [row["ratios"].get(way, 0.0) for _, row in rows], 0.25, label=label)  # fmt: skip
    axes.axhline(1, color="0.3", linewidth=1)
    axes.set_xticks(range(len(rows)), [f"({row['scenario']}) {layout}\n{row['beams']} beam{'s' * (row['beams'] > 1)}"
                                       for layout, row in rows], fontsize=8)  # fmt: skip
    axes.set_ylabel("time / ours")
    axes.legend()
    figure.tight_layout()
    figure.savefig(PLOT, dpi=90)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 where something would change")
    options = parser.parse_args()
    before = README.read_text(encoding="utf-8")
    after = rendered(before)
    if options.check:
        if after != before:
            print("the README's tables are not what benchmarks/results says; run python benchmarks/tables.py", file=sys.stderr)
        return int(after != before)
    README.write_text(after, encoding="utf-8")
    plot()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Installed plugins that are broken: told once, by name, and left out; everything that does not need them goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workflow_engine import PluginError, PluginWarning, Registry, WorkflowDefinitionError, compile, plugins, registry
from workflow_engine.cli.app import app

IMPORTS = """
from typing import Literal
from workflow_engine import Block, BlockManifest, Kind, Output, Setting, Value, hookimpl
from workflow_engine.kinds import STRING

class Good(Block):
    class Manifest(BlockManifest):
        type: Literal["acme/good@v1"]
        text: Value[str] = "hey"
    outputs = {"text": Output(STRING)}
    def run(self, text):
        return text

def block(name, **attributes):
    manifest = type("Manifest", (BlockManifest,), {"__annotations__": {"type": Literal[name]}, "__module__": __name__})
    return type("Made", (Good,), {"Manifest": manifest, "__module__": __name__, **attributes})
"""


def hooks(blocks: str = "[Good]", kinds: str = "[]", settings: str = "[]") -> str:
    return f"""
@hookimpl
def workflow_engine_blocks():
    return {blocks}

@hookimpl
def workflow_engine_kinds():
    return {kinds}

@hookimpl
def workflow_engine_settings():
    return {settings}
"""


Install = Callable[..., Registry]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put distributions with plugins where Python finds them; gives what is loaded of them all."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_loaded", {})

    def put(load: bool = True, **modules: str) -> Any:
        for name, code in modules.items():
            written(tmp_path, name, code)
            monkeypatch.delitem(sys.modules, name, raising=False)
        return registry() if load else tmp_path

    return put


def written(folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(IMPORTS + code)
    info = folder / f"{name}_dist-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[workflow_engine]\n{name} = {name}\n")


def definition(kind: str, **fields: Any) -> dict[str, Any]:
    return {"version": "1.0", "inputs": [], "steps": [{"type": kind, "name": "s", **fields}],
            "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.*"}]}  # fmt: skip


WHOLE = {
    "an import that fails": "import no_such_module_anywhere\n" + hooks(),
    "an import that exits": "raise SystemExit('bye')\n" + hooks(),
    "a syntax error": "def (\n",
    "a misspelt hook": "@hookimpl\ndef workflow_engine_block():\n    return [Good]\n",
    "a hook of another signature": "@hookimpl\ndef workflow_engine_blocks(version):\n    return [Good]\n",
    "a hook that raises": "@hookimpl\ndef workflow_engine_blocks():\n    raise RuntimeError('boom')\n",
    "a hook that raises on its way": "@hookimpl\ndef workflow_engine_blocks():\n    yield Good\n    yield Better\n",
    "nothing instead of a list": hooks("None"),
    "a text instead of a list": hooks("'Good'"),
    "no hooks": "",
}


@pytest.mark.parametrize("code", WHOLE.values(), ids=WHOLE)
def test_a_broken_plugin_is_told_once_and_left_out(install: Install, code: str) -> None:
    with pytest.warns(PluginWarning, match=r"left out: plugin `acme_a` of acme_a-dist 1.5: ") as told:
        known = install(acme_a=code)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry() is known and compile(definition("vision/string_template@v1", template="a")).run().outputs
    with pytest.raises(WorkflowDefinitionError, match=r"unknown block type `acme/good@v1`.*left out: plugin `acme_a`"):
        compile(definition("acme/good@v1"))


PARTS = {
    "no class": (hooks("[Good, 3]"), r"workflow_engine_blocks gave 3, which is no type", None),
    "a class that is no block": (hooks("[Good, dict]"), r"builtins.dict is not a block: .* not derived from Block", None),
    "no manifest": (hooks("[Good, type('Bad', (Block,), {'run': Good.run})]"), "Bad is not a block: it has no Manifest", None),
    "a type that is no Literal": (
        hooks("[Good, type('Bad', (Good,), {'Manifest': type('M', (BlockManifest,), {'__annotations__': {'type': str}})})]"),
        "Bad is not a block: its Manifest has no `type` that is a Literal", None,
    ),
    "no run": (
        hooks("[Good, type('Bad', (Block,), {'Manifest': block('acme/bad@v1').Manifest})]"),
        "Bad is not a block: it has no `run`", "acme/bad@v1",
    ),
    "outputs of kinds": (
        hooks("[Good, block('acme/bad@v1', outputs={'text': STRING})]"),
        "its `outputs` are no dict with an Output", "acme/bad@v1",
    ),
    "a dimension of 2": (hooks("[Good, block('acme/bad@v1', dimension=2)]"), "its `dimension` is 2", "acme/bad@v1"),
    "a name of another plugin": (
        hooks("[Good, block('vision/string_template@v1')]"),
        r"brings the block `vision/string_template@v1`, which plugin .* brings too; neither is used",
        "vision/string_template@v1",
    ),
    "a kind of the language": (hooks(kinds="[Kind('image')]"), "brings the kind `image`, which plugin `standard`", None),
    "a kind without a name": (hooks(kinds="[Kind(None)]"), "brings a kind whose name is None", None),
    "no kind": (hooks(kinds="['image']"), "workflow_engine_kinds gave 'image', which is no Kind", None),
    "a setting of another plugin": (
        hooks(settings="[Setting('device', 'ACME_DEVICE', '')]"), "brings the setting `device`, which plugin `florence`", None,
    ),
    "a setting of several words": (hooks(settings="[Setting('my pace', 'PACE', '')]"), "whose name is 'my pace'", None),
    "a setting without a variable": (hooks(settings="[Setting('pace', None, '')]"), "with the variable None", None),
    "kinds that raise": (hooks(kinds="[1 / 0]"), "workflow_engine_kinds raised ZeroDivisionError", None),
}  # fmt: skip


@pytest.mark.parametrize(("code", "said", "lost"), PARTS.values(), ids=PARTS)
def test_a_broken_part_of_a_plugin_is_left_out_alone(install: Install, code: str, said: str, lost: str | None) -> None:
    with pytest.warns(PluginWarning, match=said) as told:
        known = install(zeta=code)
    assert len(told) == 1 and "`zeta` of zeta-dist 1.5" in str(told[0].message)
    assert compile(definition("acme/good@v1")).run().outputs == [{"o": {"text": "hey"}}]
    assert known.kinds["image"].serialise is not None, "the kind of the language stays"
    if lost is not None:
        with pytest.raises(WorkflowDefinitionError, match=rf"the block `{lost}` cannot be used .*left out: .*zeta-dist 1.5"):
            compile(definition(lost))


def test_two_plugins_of_one_name_do_not_hinder_each_other(install: Install, tmp_path: Path) -> None:
    written(tmp_path, "one", hooks("[block('acme/one@v1')]"))
    written(tmp_path, "two", hooks("[block('acme/two@v1')]"))
    for folder in tmp_path.glob("*.dist-info"):
        module = folder.name.partition("_")[0]
        (folder / "entry_points.txt").write_text(f"[workflow_engine]\nblocks = {module}\n")
    assert {"acme/one@v1", "acme/two@v1"} <= install().blocks.keys()


USED = {
    "a field of a type that pydantic does not know": (
        "class Odd: ...\n",
        "odd: Value[Odd] = None",
        "",
        "PydanticSchemaGeneration",
    ),
    "a construction that raises": ("", "", "def __init__(self): raise RuntimeError('boom')", "RuntimeError: boom"),
    "a construction that takes arguments": ("", "", "def __init__(self, size): ...", "TypeError"),
    "outputs that raise": ("", "", "@classmethod\n    def outputs_of(cls, manifest): raise KeyError('x')", "KeyError"),
}


@pytest.mark.parametrize(("before", "field", "method", "said"), USED.values(), ids=USED)
def test_a_block_that_breaks_when_it_is_used_is_a_problem_of_its_step(
    install: Install, before: str, field: str, method: str, said: str
) -> None:
    code = f"""
{before}
class Bad(Good):
    class Manifest(BlockManifest):
        type: Literal["acme/bad@v1"]
        {field}
    {method}
"""
    install(acme_b=code + hooks("[Good, Bad]"))
    with pytest.raises(WorkflowDefinitionError, match=rf"steps\[0\]: the block of plugin `acme_b` .* is broken: {said}"):
        compile(definition("acme/bad@v1"))
    assert compile(definition("acme/good@v1")).run().outputs == [{"o": {"text": "hey"}}]


def test_more_plugins_beside_a_broken_one_are_still_checked(install: Install) -> None:
    with pytest.warns(PluginWarning):
        known = install(acme_a="import no_such_module_anywhere", acme_c=hooks("[Good, 3]"))
    more = known.plus()
    assert [str(error) for error in more.broken] == [str(error) for error in known.broken]
    assert more.blocks.keys() == known.blocks.keys()


def test_a_command_that_cannot_be_loaded_hinders_no_other(install: Install) -> None:
    install(
        acme_e="""
from workflow_engine.commands import Command

@hookimpl
def workflow_engine_commands():
    return [Command("measure", "no_such_module_anywhere:measure", "Measure.")]
"""
    )
    listed = CliRunner().invoke(app, ["--help"])
    assert listed.exit_code == 0 and "measure" in listed.output and "check" in listed.output
    used = CliRunner().invoke(app, ["measure", "a.png", "--all"])
    assert isinstance(used.exception, PluginError) and "`measure` cannot be loaded: ModuleNotFound" in str(used.exception)


MISSING = """
class Needs(Good):
    class Manifest(BlockManifest):
        type: Literal["acme/needs@v1"]
    requires = {requires}
    def run(self):
        return "ran"
"""


@pytest.mark.parametrize(
    ("requires", "fault", "remedy"),
    [
        ({"no_such_module_anywhere": "no-such>=1"}, "the package `no_such_module_anywhere` is not installed", "no-such>=1"),
        ({"pydantic": "pydantic>=99"}, r"`pydantic` 2\.\S+ is installed, which is another version than >=99", "pydantic>=99"),
        ({"pydantic": "pydantic>=2", "nowhere.deep": "nowhere"}, "the package `nowhere.deep` is not installed", "nowhere"),
    ],
)
def test_a_package_that_a_block_needs_is_told_when_the_definition_is_checked(
    install: Install, requires: dict[str, str], fault: str, remedy: str
) -> None:
    install(acme_d=MISSING.replace("{requires}", repr(requires)) + hooks("[Needs]"))
    with pytest.raises(WorkflowDefinitionError, match=rf"{fault} \(`pip install '{remedy}'` would fit\)") as told:
        compile(definition("acme/needs@v1"))
    assert len(told.value.problems) == 1


def test_packages_that_are_there_are_not_imported_for_the_check(install: Install) -> None:
    known = install(acme_d=MISSING.replace("{requires}", "{'this': 'this', 'pydantic': 'pydantic>=2'}") + hooks("[Needs]"))
    assert compile(definition("acme/needs@v1"), registry=known) and "this" not in sys.modules


def test_commands_go_on_with_a_warning_unless_they_need_what_is_broken(install: Install, tmp_path: Path) -> None:
    folder = install(load=False, acme_a="import no_such_module_anywhere", acme_c=hooks("[Good, block('vision/image_blur@v1')]"))
    (folder / "good.json").write_text(json.dumps(definition("acme/good@v1")))
    (folder / "bad.json").write_text(json.dumps(definition("vision/image_blur@v1")))
    (folder / "gone.json").write_text(json.dumps(definition("acme_a/thing@v1")))

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        code = [sys.executable, "-c", "from workflow_engine.cli import main; main()", *arguments]
        done = subprocess.run(code, capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": path})
        assert "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("warning: left out: plugin `acme_a` of acme_a-dist 1.5: cannot be loaded: Module") == 1
        assert done.stderr.count("warning: left out: plugin `vision`") == 1
        return done

    ran = command("run", "good.json", "--json")
    assert ran.returncode == 0 and json.loads(ran.stdout)["outputs"] == {"o": {"text": "hey"}}
    checked = command("check", "good.json", "bad.json", "gone.json")
    assert checked.returncode == 2 and "good.json: ok" in checked.stdout
    assert "bad.json: steps[0].type: the block `vision/image_blur@v1` cannot be used" in checked.stderr
    assert "gone.json: steps[0].type: unknown block type `acme_a/thing@v1`" in checked.stderr
    listed = command("blocks")
    assert listed.returncode == 0 and "acme/good@v1" in listed.stdout and "vision/image_blur@v1" not in listed.stdout
    one = command("blocks", "vision/image_blur@v1")
    assert one.returncode == 2 and "cannot be used" in one.stderr

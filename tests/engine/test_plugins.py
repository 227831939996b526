"""Plugins: loading, clashes, restrictions, and a real third-party package installed by pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.engine.toys import Add, ToyPlugin, toy_registry
from workflow_engine import Kind, Plugin, PluginError, Setting, build_registry, hookimpl, hookspecs, standard
from workflow_engine.commands import Command


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env})


def test_built_ins_come_through_the_entry_points_like_any_plugin() -> None:
    done = run_python("import workflow_engine as w; print(*sorted({p.name for p in w.registry().sources.values()}))")
    assert done.stdout.split() == ["florence", "standard", "vision"]


def test_an_environment_variable_restricts_the_plugins_and_another_traces_them() -> None:
    done = run_python("import workflow_engine as w; print(*w.registry().blocks)", WORKFLOW_ENGINE_PLUGINS="standard",
                      WORKFLOW_ENGINE_TRACE_PLUGINS="1")  # fmt: skip
    assert all("inner_workflow" in name for name in done.stdout.split()), "the vision blocks were left out"
    assert "loading plugin standard = workflow_engine.standard of florence-blocks" in done.stderr
    assert "vision" not in done.stderr


def test_an_unknown_name_in_the_restriction_is_told() -> None:
    done = run_python("import workflow_engine as w\ntry: w.registry()\nexcept w.PluginError as e: print(e)",
                      WORKFLOW_ENGINE_PLUGINS="standard,visoin")  # fmt: skip
    assert "visoin" in done.stdout and "installed are: florence, standard, vision" in done.stdout


def test_loading_is_lazy_and_happens_once() -> None:
    code = ("import workflow_engine as w, sys; print('florence_blocks' in sys.modules);"
            "a = w.registry(); print(a is w.registry())")  # fmt: skip
    assert run_python(code).stdout.split() == ["False", "True"]


def test_a_block_that_two_plugins_bring_names_both_distributions() -> None:
    class Other(ToyPlugin):
        @hookimpl
        def workflow_engine_blocks(self) -> list[Any]:
            return [type("Add2", (Add,), {})]

    with pytest.raises(PluginError, match=r"`more` of more 2: brings the block `toy/add@v1`.*`toys` of toys 1") as error:
        toy_registry(Plugin("more", "more 2", Other()))
    assert error.value.distribution == "more 2"


def test_a_kind_that_two_plugins_bring_is_an_error() -> None:
    class Kinds:
        @hookimpl
        def workflow_engine_kinds(self) -> list[Kind]:
            return [Kind("image")]

    with pytest.raises(PluginError, match="kind `image`"):
        toy_registry(Plugin("more", "more 2", Kinds()))


def test_a_setting_that_two_plugins_bring_is_an_error() -> None:
    class Settings:
        @hookimpl
        def workflow_engine_settings(self) -> list[Setting]:
            return [Setting("pace", "TOYS_PACE", "how fast")]

    known = build_registry([Plugin("one", "one 1", Settings())])
    assert {(setting.name, plugin.name) for setting, plugin in known.settings.items()} == {("pace", "one")}
    with pytest.raises(PluginError, match="setting `pace`, which plugin `one` of one 1 brings too"):
        known.plus(Plugin("two", "two 1", Settings()))


def test_commands_of_plugins_are_known_by_name() -> None:
    class Commands:
        def __init__(self, *commands: Command) -> None:
            self.commands = commands

        @hookimpl
        def workflow_engine_commands(self) -> tuple[Command, ...]:
            return self.commands

    tune = Command("tune", "acme.tuning:tune", "make it better")
    known = build_registry([Plugin("one", "one 1", Commands(tune))])
    assert {(command.name, plugin.name) for command, plugin in known.commands.items()} == {("tune", "one")}
    with pytest.raises(PluginError, match="command `tune`, which plugin `one` of one 1 brings too"):
        known.plus(Plugin("two", "two 1", Commands(Command("tune", "other:tune", "make it worse"))))
    with pytest.raises(PluginError, match=r"`package\.module:function` would fit"):
        known.plus(Plugin("two", "two 1", Commands(Command("train", "acme", "make it"))))
    with pytest.raises(PluginError, match="small letters"):
        known.plus(Plugin("two", "two 1", Commands(Command("Train it", "acme:train", "make it"))))


class Misspelt:
    @hookimpl
    def workflow_engine_block(self) -> list[Any]:
        return []


class Raises:
    @hookimpl
    def workflow_engine_blocks(self) -> list[Any]:
        raise RuntimeError("boom")


class NoBlock:
    @hookimpl
    def workflow_engine_blocks(self) -> list[Any]:
        return [dict]


@pytest.mark.parametrize(
    ("broken", "said"), [(Misspelt(), "workflow_engine_block"), (Raises(), "boom"), (NoBlock(), "is not a block")]
)
def test_a_broken_plugin_is_told_with_its_distribution(broken: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said) as error:
        build_registry([Plugin("broken", "broken-package 3", broken)])
    assert "broken-package 3" in str(error.value)


def test_every_hook_is_documented_in_one_line() -> None:
    hooks = [value for name, value in vars(hookspecs).items() if name.startswith("workflow_engine_")]
    assert hooks and all(hook.__doc__ and "\n" not in hook.__doc__ for hook in hooks)
    assert standard.workflow_engine_kinds()


PLUGIN = '''
import os
from typing import Literal
from workflow_engine import Block, BlockManifest, Output, Setting, Value, hookimpl
from workflow_engine.kinds import STRING


class Shout(Block):
    """Shouts a text."""

    class Manifest(BlockManifest):
        type: Literal["acme/shout@v1"]
        text: Value[str]

    outputs = {"text": Output(STRING)}

    def run(self, text: str) -> str:
        return text.upper() + "!" * int(os.environ.get("ACME_MARKS", "1"))


@hookimpl
def workflow_engine_blocks():
    return [Shout]


@hookimpl
def workflow_engine_settings():
    return [Setting("marks", "ACME_MARKS", "how loud", "NUMBER", int)]
'''
TOML = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "acme-blocks"
version = "0.3"
[project.entry-points.workflow_engine]
acme = "acme_blocks"
[tool.setuptools]
py-modules = ["acme_blocks"]
"""
RUN = (
    "import sys, workflow_engine as w;"
    "r = w.registry(); print(r.sources[r.blocks['acme/shout@v1']].distribution);"
    "print(w.compile(sys.argv[1]).run(t='hey').outputs)"
)
SHOUTS = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowParameter", "name": "t"}],
    "steps": [{"type": "acme/shout@v1", "name": "s", "text": "$inputs.t"}],
    "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.text"}],
}


def test_a_third_party_package_installed_by_pip_brings_its_block_and_its_setting(tmp_path: Path) -> None:
    """pip installs the package into an environment of its own, which sees this one's packages."""
    source = tmp_path / "acme"
    source.mkdir()
    (source / "acme_blocks.py").write_text(PLUGIN)
    (source / "pyproject.toml").write_text(TOML)
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    paths = [path for path in sys.path if path.endswith("site-packages")] + [str(Path(__file__).parents[2])]
    (site / "host.pth").write_text("\n".join(paths))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, str(source)], check=True, capture_output=True, env={**os.environ, "PYTHONPATH": ":".join(paths)})
    (tmp_path / "w.json").write_text(json.dumps(SHOUTS))
    done = subprocess.run([str(python), "-c", RUN, str(tmp_path / "w.json")], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["acme-blocks 0.3", "[{'o': 'HEY!'}]"], done.stderr

    run = [
        str(python),
        "-c",
        "from workflow_engine.cli import main; main()",
        "run",
        str(tmp_path / "w.json"),
        "--set",
        "t=hey",
        "--json",
    ]
    louder = subprocess.run([*run, "--marks", "3"], capture_output=True, text=True)
    assert json.loads(louder.stdout)["outputs"] == {"o": "HEY!!!"}, louder.stderr
    wrong = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "ACME_MARKS": "many"})
    assert wrong.returncode == 2 and "--marks" in wrong.stderr and "many" in wrong.stderr
    (site / "acme_blocks.py").write_text(PLUGIN.replace('"marks"', '"out"'))
    clash = subprocess.run(run, capture_output=True, text=True)
    assert clash.returncode == 0 and json.loads(clash.stdout)["outputs"] == {"o": "HEY!"}, clash.stderr
    assert "warning: left out: plugin `acme` of acme-blocks 0.3: brings the setting `out`" in clash.stderr
    assert "ACME_MARKS sets it" in clash.stderr

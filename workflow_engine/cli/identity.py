"""What the results of a run follow from: two runs of one identity give the same results for the same image.

It lies beside the results, so that a run that goes on there can tell whether they are its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from workflow_engine.plan import PlannedStep
from workflow_engine.results import to_json
from workflow_engine.workflow import Workflow

_ABOUT = ("name", "description", "id", "$schema", "metadata")
"""What a definition says about itself, which changes no result."""

_SECRET = {"secret", "roboflow_api_key", "roboflow_managed_key"}
"""Kinds whose values are not written down."""

_SHOWN = 60
_LONGEST = 200

_ABSENT: Any = object()


def identity_of(workflow: Workflow, parameters: Mapping[str, Any], image_input: str | None) -> dict[str, Any]:
    """Everything that the results of a run follow from, besides its images, as JSON."""
    plan, known = workflow.plan, workflow.registry
    values = {item.name: parameters.get(item.name, item.default) for item in plan.inputs if item.name != image_input}
    secret = {item.name for item in plan.inputs if not _SECRET.isdisjoint(kind.name for kind in item.kinds)}
    used = {known.sources[type(step.block)] for step in plan.steps if type(step.block) in known.sources}
    found = {
        "definition": {key: value for key, value in workflow.definition.items() if key not in _ABOUT},
        "image input": image_input,
        "parameters": {name: _kept(to_json(value, known.kinds), name in secret) for name, value in values.items()},
        "settings": {
            setting.name: os.environ.get(setting.variable) or None for setting in known.settings if setting.changes_answers
        },
        "models": {step.name: step.block.depends_on(_fields(step, values)) for step in plan.steps},
        "packages": sorted({plugin.distribution for plugin in used}),
    }
    read: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return read


def facts_of(workflow: Workflow, parameters: Mapping[str, Any], image_input: str | None) -> dict[str, str]:
    """What people want to know of a run later on: when and with what it ran."""
    identity = identity_of(workflow, parameters, image_input)
    models = {json.dumps(model, sort_keys=True) for model in identity["models"].values() if model}
    facts = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "packages": ", ".join(identity["packages"]),
        "parameters": _listed(identity["parameters"]),
        "settings": _listed({name: value for name, value in identity["settings"].items() if value is not None}),
        "weights": "; ".join(_listed(json.loads(model)) for model in sorted(models)),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _listed(values: Any) -> str:
    if not isinstance(values, dict):
        return str(values)
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _kept(value: Any, secret: bool) -> Any:
    """A value as it is written down: its digest where it is secret or long."""
    text = json.dumps(value, default=str)
    if not secret and len(text) <= _LONGEST:
        return value
    return f"digest {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def _fields(step: PlannedStep, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a step that are known before it runs: its literals, and its parameters."""
    fields = dict(step.constants)
    for bound in step.bound:
        (owner, name), key = bound.sources[0].column, bound.sources[0].key
        if owner == "" and key is None and name in values:
            fields[bound.name] = values[name]
    return fields


def differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Where two identities differ, in words; what either of them does not know is no difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{place}.{key}" if place else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{place}[{index}]")
    elif isinstance(old, list) and isinstance(new, list):
        yield f"{place} was a list of {len(old)}, is one of {len(new)}"
    elif old != new and not (place.startswith("models.") and None in (old, new)):
        yield f"{place} was {_shown(old)}, is {_shown(new)}"


def _shown(value: Any) -> str:
    """A value for people, within bounds."""
    if value is _ABSENT or value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

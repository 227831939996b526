"""Packages that some blocks need and not everybody has: looked for when a definition is checked, without importing them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement


def missing_packages(requires: Mapping[str, str]) -> dict[str, str]:
    """What is missing of the packages that a block requires.

    Args:
        requires: the names of modules, each with what `pip install` takes for it: `{"trackers": "trackers>=2.6"}`.

    Returns:
        For everything to be installed, what is wrong now.
    """
    faults = {requirement: _fault(module, requirement) for module, requirement in requires.items()}
    return {requirement: fault for requirement, fault in faults.items() if fault is not None}


def _fault(module: str, requirement: str) -> str | None:
    if not _is_there(module.partition(".")[0]):
        return f"the package `{module}` is not installed"
    try:
        wanted = Requirement(requirement)
        version = metadata.version(wanted.name)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return None
    if wanted.specifier.contains(version, prereleases=True):
        return None
    return f"`{wanted.name}` {version} is installed, which is another version than {wanted.specifier}"


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is loaded, without saying from where
        return True

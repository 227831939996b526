"""Versions of transformers that fit, and what is said of those that do not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from florence_blocks.runtime import installed


@pytest.mark.parametrize("there", ["4.57.0", "4.57.6", "5.0.0rc1", "5.23.0"])
def test_versions_with_native_classes_fit(monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    monkeypatch.setattr(installed, "version", lambda name: there)
    installed.check_transformers()


@pytest.mark.parametrize("there", ["4.37.2", "4.56.4", "6.0.0", "6.1.dev0"])
def test_other_versions_are_told_with_what_would_fit(monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    monkeypatch.setattr(installed, "version", lambda name: there)
    with pytest.raises(ImportError, match=rf"transformers {there} do not fit .*pip install 'transformers>=4.57,<6'"):
        installed.check_transformers()


def test_transformers_that_are_missing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed, "version", version)
    with pytest.raises(ImportError, match="transformers are not installed"):
        installed.check_transformers()

"""Definitions of the best-known runtime give here what they give there, as recorded by `make compat`."""

from __future__ import annotations

import json

import pytest

from tests.compat.cases import CASES
from tests.compat.compare import RECORD, comparable, here
from tests.compat.differences import DIFFERENT
from tests.compat.writing import Case

RECORDED = json.loads(RECORD.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_definition_gives_what_it_gives_elsewhere(case: Case) -> None:
    wanted = RECORDED["ours" if case.name in DIFFERENT else "theirs"][case.name]
    assert comparable(here(case), exact=case.exact) == comparable(wanted, exact=case.exact)


def test_the_record_is_whole() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) and set(names) == RECORDED["theirs"].keys()
    assert DIFFERENT.keys() == RECORDED["ours"].keys()
    for name in DIFFERENT:
        assert RECORDED["ours"][name] != RECORDED["theirs"][name]
    failing = {name for name, outcome in RECORDED["theirs"].items() if isinstance(outcome, dict)}
    assert failing <= DIFFERENT.keys()

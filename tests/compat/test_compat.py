"""Definitions of the best-known runtime give here what they give there, as recorded by `make compat`."""

from __future__ import annotations

import json

import pytest

from tests.compat.cases import CASES
from tests.compat.compare import RECORD, comparable, here
from tests.compat.differences import DIFFERENT, PAGE, PARTS, page
from tests.compat.outcome import FAILED
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


def test_a_run_that_fails_says_so_in_both() -> None:
    name = "query odd StringMatches with no expression"
    assert {FAILED} == {key for outcome in RECORDED["theirs"][name] if isinstance(outcome, dict) for key in outcome}
    assert comparable(RECORDED["theirs"][name], exact=True) == comparable(here_of(name), exact=True)


def here_of(name: str) -> list[object]:
    return here(next(case for case in CASES if case.name == name))


def test_the_page_of_differences_is_fresh_and_every_difference_says_who_is_right() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
    every = [one for part in PARTS.values() for one in part]
    assert all(one.here and one.there and one.right for one in every)
    shown = [case for one in every for case in one.cases]
    assert len(shown) == len(set(shown)) == len(DIFFERENT)

"""Grammars as automata: they accept every well-formed answer, and whatever they lead to can be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from florence_blocks.constraints import END, Automaton, Names, State
from florence_blocks.parsing import parse
from florence_blocks.tasks import TASKS, Grammar, Task

SIZE = (640, 480)
FIRST, STOP = 1000, 2
MARKS = {3001: "<sep>", 3002: "<poly>", 3003: "</poly>"}
WORDS = {10: "cat", 11: " dog", 12: "é", 13: "STOP", 14: " a"}
GRAMMARS = [task for task in TASKS.values() if task.name != "prompt"]


def automaton(task: Task, names: Names | None = None) -> Automaton:
    return Automaton(task.grammar, FIRST, MARKS, frozenset({STOP}), frozenset({0}), names)


def text_of(token: int) -> str:
    return {0: "<s>", STOP: "</s>", **MARKS, **WORDS}.get(token) or f"<loc_{token - FIRST}>"


def ids_of(answer: str) -> list[int]:
    known = {text: id_ for id_, text in {**MARKS, **WORDS}.items()}
    pieces = re.findall(r"<loc_\d+>|</?\w+>|cat| dog|é|STOP| a", answer)
    return [known[piece] if piece in known else FIRST + int(piece[5:-1]) for piece in pieces]


def accepts(machine: Automaton, tokens: list[int]) -> bool:
    state = State()
    for token in [0, *tokens, STOP]:
        if token and not may_follow(machine, state, token):
            return False
        state = machine.advance(state, token)
    return True


def may_follow(machine: Automaton, state: State, token: int) -> bool:
    allowed = machine.allowed(state)
    if token == STOP:
        return END in allowed.marks
    if token in MARKS:
        return MARKS[token] in allowed.marks
    if token in WORDS:
        return token in allowed.only if allowed.only is not None else allowed.text
    return allowed.least is not None and token - FIRST >= allowed.least


@pytest.mark.parametrize(("task", "answer"), [
    ("caption", "cat dog"), ("caption", ""), ("ocr", "STOP"),
    ("object_detection", "cat<loc_1><loc_2><loc_3><loc_4><loc_1><loc_2><loc_1><loc_2> dog<loc_0><loc_0><loc_999><loc_999>"),
    ("object_detection", ""), ("region_proposal", "<loc_1><loc_2><loc_3><loc_4>"), ("region_proposal", ""),
    ("ocr_with_regions", "STOP<loc_9><loc_1><loc_8><loc_2><loc_7><loc_3><loc_6><loc_4>"),
    ("phrase_segmentation", "<loc_9><loc_1><loc_8><loc_2><loc_7><loc_3><sep><loc_9><loc_1><loc_8><loc_2><loc_7><loc_3>"),
    ("phrase_segmentation", ""), ("region_classification", "cat"),
    ("region_classification", "cat<loc_1><loc_2><loc_3><loc_4>"),
    ("open_vocabulary_detection", "cat<loc_1><loc_2><loc_3><loc_4> dog<poly><loc_9><loc_1><loc_8><loc_2><loc_7><loc_3></poly>"),
])  # fmt: skip
def test_well_formed_answers_are_accepted(task: str, answer: str) -> None:
    assert accepts(automaton(TASKS[task]), ids_of(answer))


@pytest.mark.parametrize(("task", "answer"), [
    ("caption", "cat<loc_1>"), ("object_detection", "<loc_1><loc_2><loc_3><loc_4>"), ("object_detection", "cat"),
    ("object_detection", "cat<loc_1><loc_2><loc_3>"), ("object_detection", "cat<loc_5><loc_2><loc_3><loc_4>"),
    ("object_detection", "cat<loc_1><loc_9><loc_3><loc_4>"), ("region_proposal", "cat<loc_1><loc_2><loc_3><loc_4>"),
    ("ocr_with_regions", "STOP<loc_9><loc_1><loc_8><loc_2>"), ("phrase_segmentation", "<loc_9><loc_1><loc_8><loc_2>"),
    ("phrase_segmentation", "<loc_9><loc_1><loc_8><loc_2><loc_7><loc_3><loc_4>"), ("caption", "<sep>"),
    ("open_vocabulary_detection", "cat<poly><loc_9><loc_1><loc_8><loc_2><loc_7><loc_3>"),
])  # fmt: skip
def test_answers_outside_the_grammar_are_not(task: str, answer: str) -> None:
    assert not accepts(automaton(TASKS[task]), ids_of(answer))


@settings(max_examples=300, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.sampled_from(GRAMMARS), st.data())
def test_whatever_the_grammar_leads_to_can_be_read(task: Task, data: st.DataObject) -> None:
    machine, state, tokens = automaton(task), State(), list[int]()
    for _ in range(60):
        options = [token for token in [STOP, *MARKS, *WORDS] if may_follow(machine, state, token)]
        least = machine.allowed(state).least
        options += [] if least is None else [FIRST + least, FIRST + data.draw(st.integers(least, 999))]
        assert options, state
        closing = [token for token in (STOP, 3003) if token in options and len(tokens) > 20]
        token = closing[0] if closing else data.draw(st.sampled_from(options))
        tokens.append(token)
        state = machine.advance(state, token)
        if token == STOP:
            break
    answer = parse(task, [text_of(token) for token in tokens], SIZE)
    assert not answer.truncated
    located = any(FIRST <= token < FIRST + 1000 for token in tokens)
    assert bool(answer.instances) == located or answer.text in ("", "no object detected.") or task.name == "phrase_grounding"
    for found in answer.instances:
        assert found.box[0] <= found.box[2] and found.box[1] <= found.box[3]
        assert all(len(outline) >= 3 for outline in found.outlines)
        assert found.label or task.grammar in (Grammar.PROPOSALS, Grammar.OUTLINES)


def test_names_are_only_those_of_the_list() -> None:
    machine = automaton(TASKS["object_detection"], Names([[10], [10, 11], [13]]))
    box = "<loc_1><loc_2><loc_3><loc_4>"
    for answer, fits in (
        (f"cat{box}", True),
        (f"cat dog{box}STOP{box}", True),
        (f"STOP dog{box}", False),
        (f" dog{box}", False),
    ):
        assert accepts(machine, ids_of(answer)) == fits

"""The waiting line: order, fairness, bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

from florence_blocks.runtime.line import Line


@dataclass(eq=False)
class Guest:
    name: str
    customer: Hashable = "one"
    priority: int = 0
    deadline: float | None = None


def never() -> bool:
    return False


def drained(line: Line[Guest]) -> list[str]:
    names = []
    while (guest := line.take()) is not None:
        names.append(guest.name)
    return names


def test_one_customer_is_served_in_order_of_arrival() -> None:
    line: Line[Guest] = Line(10)
    line.join([Guest("a"), Guest("b"), Guest("c")], refused=never)
    assert drained(line) == ["a", "b", "c"] and line.take() is None


def test_a_newcomer_does_not_wait_behind_a_crowd() -> None:
    line: Line[Guest] = Line(2000)
    line.join([Guest(f"{number}") for number in range(1000)], refused=never)
    for _ in range(400):
        line.take()
    line.join([Guest("new", customer="two")], refused=never)
    assert drained(line).index("new") <= 1


def test_customers_take_turns() -> None:
    line: Line[Guest] = Line(100)
    line.join([Guest(f"a{number}", "a") for number in range(3)], refused=never)
    line.join([Guest(f"b{number}", "b") for number in range(3)], refused=never)
    assert drained(line) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_priority_goes_first_and_who_was_taken_already_goes_in_front() -> None:
    line: Line[Guest] = Line(100)
    line.join([Guest("plain"), Guest("urgent", priority=1)], refused=never)
    line.put_back([Guest("again")])
    assert drained(line) == ["urgent", "again", "plain"]


def test_a_full_line_makes_callers_wait_until_there_is_room() -> None:
    line: Line[Guest] = Line(2)
    caller = threading.Thread(target=line.join, args=([Guest(str(number)) for number in range(5)],), kwargs={"refused": never})
    caller.start()
    time.sleep(0.05)
    assert len(line) == 2 and caller.is_alive()
    names = []
    while len(names) < 5:
        guest = line.take()
        names += [guest.name] if guest else []
    caller.join(5)
    assert names == ["0", "1", "2", "3", "4"] and not caller.is_alive()


def test_who_finds_no_place_before_its_deadline_is_given_back() -> None:
    line: Line[Guest] = Line(1)
    first, late = Guest("first"), Guest("late", deadline=time.monotonic() + 0.05)
    assert line.join([first, late], refused=never) == [late] and drained(line) == ["first"]


def test_a_closed_line_takes_nobody() -> None:
    line: Line[Guest] = Line(1)
    guest = Guest("a")
    assert line.join([guest], refused=lambda: True) == [guest] and len(line) == 0

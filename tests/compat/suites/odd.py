"""The query language on values that it is not made for: every operation and every comparator over a table of operands."""

from __future__ import annotations

from typing import Any

from tests.compat.writing import Case, condition, dynamic, op, query, several, statement

OPERANDS: tuple[Any, ...] = (
    None, "", "abc", "false", "12", "3.5", " 7 ", "nan", 0, -1, 2.5, True, False, [], [1, 2], ["a", None], ["b", "b", 1, "1"],
    [[1]], [True, 0], {}, {"a": 1},
)  # fmt: skip
_LOOK_UP = {"abc": 1, "12": "twelve", "a": "A", "b": "B"}
_OPERATIONS: dict[str, list[dict[str, Any]]] = {
    "StringToLowerCase": [op("StringToLowerCase")],
    "StringToUpperCase": [op("StringToUpperCase")],
    "ToString": [op("ToString")],
    "StringSubSequence": [op("StringSubSequence", start=1, end=2)],
    "StringMatches anywhere": [op("StringMatches", regex="[bc2]")],
    "StringMatches at the start": [op("StringMatches", regex="^[a1]")],
    "StringMatches nothing": [op("StringMatches", regex="")],
    "StringMatches with no expression": [op("StringMatches", regex="[")],
    "ToNumber int": [op("ToNumber", cast_to="int")],
    "ToNumber float": [op("ToNumber", cast_to="float")],
    "NumberRound": [op("NumberRound", decimal_digits=0)],
    "Multiply": [op("Multiply", other=3)],
    "Divide": [op("Divide", other=2)],
    "Divide by nothing": [op("Divide", other=0)],
    "ToBoolean": [op("ToBoolean")],
    "LookupTable": [op("LookupTable", lookup_table=_LOOK_UP)],
    "SequenceLength": [op("SequenceLength")],
    "SequenceMap": [op("SequenceMap", lookup_table=_LOOK_UP)],
    "SequenceApply": [op("SequenceApply", operations=[op("ToBoolean")])],
    "SequenceElementsCount": [op("SequenceElementsCount")],
    "SequenceJoin": [op("SequenceJoin")],
    "ConvertDictionaryToJSON": [op("ConvertDictionaryToJSON")],
    "TimestampToISOFormat": [op("TimestampToISOFormat")],
    "ExtractImageProperty": [op("ExtractImageProperty", property_name="width")],
    "ConvertImageToBase64": [op("ConvertImageToBase64")],
    "DetectionsPropertyExtract": [op("DetectionsPropertyExtract", property_name="class_name")],
    "ExtractDetectionProperty": [op("ExtractDetectionProperty", property_name="class_name")],
    "DetectionsToDictionary": [op("DetectionsToDictionary")],
    "DetectionsSelection": [op("DetectionsSelection", mode="first")],
    "SortDetections": [op("SortDetections", mode="size")],
    **{f"SequenceAggregate {mode}": [op("SequenceAggregate", mode=mode)] for mode in ("first", "most_common", "least_common")},
    **{f"NumericSequenceAggregate {function}": [op("NumericSequenceAggregate", function=function, neutral_value=-1)]
       for function in ("min", "sum")},
}  # fmt: skip
_OTHERS_HERE: dict[str, tuple[Any, ...]] = {
    "ToString": (None,),
    "Multiply": ("", "abc", "false", "12", "3.5", " 7 ", "nan", [], [1, 2], ["a", None], ["b", "b", 1, "1"], [[1]], [True, 0]),
    "ToBoolean": ("false",),
    **{f"SequenceAggregate {mode}": ("", [], {}) for mode in ("first", "most_common", "least_common")},
}
"""Operands that mean something else here: cases of their own, so that they hide no others."""
_COMPARATORS: dict[str, tuple[Any, ...]] = {
    "==": (None, "abc", 0, True, [1, 2], {"a": 1}),
    "!=": (None, "12", 0, []),
    "(Number) ==": (0, 2.5, "12"),
    "(Number) !=": (0, True),
    "(Number) >": (0, "abc", None),
    "(Number) >=": (-1,),
    "(Number) <": (2,),
    "(Number) <=": (0,),
    "(Number) in range": ([0, 3], ["a", "b"], 5),
    "(String) startsWith": ("a", "", 1),
    "(String) endsWith": ("c", "5"),
    "(String) contains": ("b", "", 1, None),
    "in (Sequence)": (["abc", None, 0], "abcdef", {"abc": 1}, 5),
    "any in (Sequence)": ([1, "a"], "abc"),
    "all in (Sequence)": ([1, 2, "a", None], "abc"),
}
_UNARY = ("Exists", "DoesNotExist", "(Boolean) is True", "(Boolean) is False", "(Sequence) is empty",
          "(Sequence) is not empty")  # fmt: skip


def _table(made: Case, operands: tuple[Any, ...]) -> Case:
    return several(made, [{"value": value} for value in operands])


def _operations() -> list[Case]:
    cases = []
    for name, operations in _OPERATIONS.items():
        others = _OTHERS_HERE.get(name, ())
        alike = tuple(value for value in OPERANDS if not any(_same(value, other) for other in others))
        cases.append(_table(query(f"odd {name}", operations, 0), alike))
        if others:
            cases.append(_table(query(f"odd {name} otherwise", operations, 0), others))
    return cases


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _conditions() -> list[Case]:
    cases = [
        _table(condition(f"odd {comparator} {right!r}", statement(dynamic("v"), comparator, right), 0), OPERANDS)
        for comparator, rights in _COMPARATORS.items()
        for right in rights
    ]
    for operator in _UNARY:
        unary = {"type": "UnaryStatement", "operand": dynamic("v"), "operator": {"type": operator}}
        cases.append(_table(condition(f"odd {operator}", unary, 0), OPERANDS))
    return cases


CASES = (*_operations(), *_conditions())

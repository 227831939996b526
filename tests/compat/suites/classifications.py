"""Classifications of one label and of several: what can be asked of them, and gates on the answers."""

from __future__ import annotations

from typing import Any

from tests.compat.writing import BLOCKS, IMAGE, case, dynamic, group, op, query, statement, step

CAT, DOG = (
    {"class": name, "class_id": number, "confidence": sure} for name, number, sure in (("cat", 0, 0.3), ("dog", 1, 0.7))
)
ONE = {"top": "dog", "confidence": 0.7, "predictions": [DOG, CAT]}
SEVERAL = {"predicted_classes": ["fox", "cat"],
           "predictions": {"fox": {"confidence": 0.6, "class_id": 2}, "cat": {"confidence": 0.8, "class_id": 0},
                           "dog": {"confidence": 0.1, "class_id": 1}}}  # fmt: skip
NONE = {"predicted_classes": [], "predictions": {"cat": {"confidence": 0.2, "class_id": 0}}}
KINDS = (("one label", ONE), ("several labels", SEVERAL), ("no label", NONE))
PROPERTIES = ("top_class", "top_class_confidence", "top_class_confidence_single", "all_classes", "all_confidences")


def asked(name: str) -> dict[str, Any]:
    """The operation that reads a property."""
    return op("ClassificationPropertyExtract", property_name=name)


def gate(name: str, condition: Any, value: Any) -> Any:
    """A gate on a classification, and what went through it."""
    return case(
        f"gate on {name}",
        step("continue_if@v1", "gate", condition_statement=group(condition), evaluation_parameters={"v": "$inputs.value"},
             next_steps=["$steps.s"]),
        step("property_definition@v1", data=IMAGE, operations=[op("ExtractImageProperty", property_name="width")]),
        out="$steps.s.output", image=BLOCKS, value=value,
    )  # fmt: skip


def top(comparator: str, right: Any, *operations: Any) -> Any:
    """A statement about the top class."""
    return statement(dynamic("v", asked("top_class"), *operations), comparator, right)


CASES = (
    *(query(f"{name} of {kind}", [asked(name)], value) for name in PROPERTIES for kind, value in KINDS),
    *(gate(f"a confidence, {kind}", statement(dynamic("v", asked("top_class_confidence_single")), "(Number) >", 0.5), value)
      for kind, value in KINDS),
    *(gate(f"all classes, {kind}", statement(dynamic("v", asked("all_classes")), "any in (Sequence)", ["dog"]), value)
      for kind, value in KINDS),
    query("all_classes of labels without a number", [asked("all_classes")],
          {"predicted_classes": ["a"], "predictions": {name: {"confidence": 0.5, "class_id": -1} for name in "ab"}}),
    gate("a label among several", top("any in (Sequence)", ["cat"]), SEVERAL),
    gate("a label that is not among several", top("any in (Sequence)", ["dog"]), SEVERAL),
    gate("how many labels", top("(Number) >=", 2, op("SequenceLength")), SEVERAL),
)  # fmt: skip

"""Classifications, of one label or of several, and what can be asked of them.

Of one label: `{"top": "cat", "confidence": 0.9, "predictions": [{"class": "cat", "class_id": 0, "confidence": 0.9}, ...]}`.
Of several: `{"predicted_classes": ["cat"], "predictions": {"cat": {"confidence": 0.9, "class_id": 0}, ...}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from workflow_engine.errors import a

Property = Literal["top_class", "top_class_confidence", "top_class_confidence_single", "all_classes", "all_confidences"]
"""What can be asked; of several labels, `top_class` and `top_class_confidence` are lists, of those that were predicted."""


def read_classification(value: Any, name: Property) -> Any:
    """A property of a classification.

    Raises:
        ValueError: the value is none.
    """
    if not isinstance(value, Mapping) or not ("top" in value or "predicted_classes" in value or "predictions" in value):
        raise ValueError(f'{a(value)} is no classification; {{"top", "confidence", "predictions"}} or '
                         '{"predicted_classes", "predictions"} would fit')  # fmt: skip
    return _PROPERTIES[name](value)


def _top(value: Mapping[str, Any]) -> Any:
    return value["top"] if "top" in value else predicted(value)


def _confidence(value: Mapping[str, Any]) -> Any:
    return value["confidence"] if "confidence" in value else _confidences(value)


def _single_confidence(value: Mapping[str, Any]) -> Any:
    return value["confidence"] if "confidence" in value else max(filter(None, _confidences(value)), default=0.0)


def predicted(value: Mapping[str, Any]) -> list[Any]:
    """The labels that were predicted."""
    return list(value.get("predicted_classes") or [])


def _confidences(value: Mapping[str, Any]) -> list[Any]:
    """The confidences of the labels that were predicted; None of one that is not listed."""
    sure = {row["class"]: row["confidence"] for row in rows(value)}
    return [sure.get(name) for name in predicted(value)]


def rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every class as `{"class", "class_id", "confidence"}`: in the order given, those of several labels by their ids.

    What is not told of a class is None; without ids the order is that given.

    Raises:
        ValueError: a class is told of in another form.
    """
    given = value.get("predictions") or []
    if not isinstance(given, Mapping):
        return [_row(told, f"predictions[{place}]") for place, told in enumerate(given)]
    listed = [_row(told, f"predictions.{name}", **{"class": name}) for name, told in given.items()]
    return sorted(listed, key=lambda row: (row["class_id"] is None, row["class_id"] or 0))


def _row(told: Any, where: str, **named: Any) -> dict[str, Any]:
    """A class; just a number is its confidence."""
    if isinstance(told, (int, float)) or told is None:
        told = {"confidence": told}
    if not isinstance(told, Mapping):
        raise ValueError(f'{where}: {a(told)}; {{"confidence", "class_id"}} would fit')
    return {"class": None, "class_id": None, "confidence": None, **told, **named}


_PROPERTIES: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "top_class": _top,
    "top_class_confidence": _confidence,
    "top_class_confidence_single": _single_confidence,
    "all_classes": lambda value: [row["class"] for row in rows(value)],
    "all_confidences": lambda value: [row["confidence"] for row in rows(value)],
}


def leading(value: Mapping[str, Any]) -> tuple[str | None, int | None, float | None]:
    """The surest class of a classification, its id and how sure it is; None for what it does not say.

    Of several labels where none was predicted, there is no such class.
    """
    if "top" in value:
        top = value["top"] or None
        own = next((row for row in rows(value) if row.get("class") == top), {})
        return top, own.get("class_id"), own.get("confidence", value.get("confidence"))
    if not predicted(value):
        return None, None, None
    surest = max(rows(value), key=lambda row: float(row["confidence"] or 0), default={"class": predicted(value)[0]})
    return surest["class"], surest.get("class_id"), surest.get("confidence")

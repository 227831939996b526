"""One-line expressions over a detection: `class_name == "star" and area > 400`.

A small language read with Python's own parser and checked node by node: comparisons, `and`/`or`/`not`, arithmetic, `in`,
numbers, texts, lists, the names below and four functions. Nothing else is accepted, so nothing can be executed, and length
and depth are bounded.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from florence_blocks.vision.detection import POINTS, PROPERTIES, Detection, read_property
from florence_blocks.vision.query import Parsed, QueryError
from workflow_engine.errors import did_you_mean

MAX_LENGTH: Final = 500
MAX_NODES: Final = 100
_NAMES: Final = (*(name for name in PROPERTIES if name not in POINTS), "text", "index")
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {"abs": abs, "min": min, "max": max, "len": len}
_OPERATORS: Final[Mapping[type, Callable[..., Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Mod: operator.mod,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda one, many: one in many, ast.NotIn: lambda one, many: one not in many,
    ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip

Evaluate = Callable[[Detection], Any]


class Where(Parsed):
    """A checked expression; call it with a detection."""

    json_schema = {"type": "string", "examples": ['class_name == "star" and area > 400']}

    def __init__(self, text: str, evaluate: Evaluate) -> None:
        self.text = text
        self._evaluate = evaluate

    def __call__(self, one: Detection) -> bool:
        """Whether the expression holds.

        Raises:
            QueryError: the values do not fit each other, or the detections lack what is asked.
        """
        try:
            return bool(self._evaluate(one))
        except (TypeError, ArithmeticError) as error:
            raise QueryError(f"`{self.text}` cannot be decided: {error}") from error

    @classmethod
    def parse(cls, value: Any) -> Where:
        """Check an expression.

        Raises:
            QueryError: with the position of what does not belong there.
        """
        if not isinstance(value, str) or not value.strip():
            raise QueryError('an expression is a text such as `class_name == "star" and area > 400`')
        if len(value) > MAX_LENGTH:
            raise QueryError(f"an expression has at most {MAX_LENGTH} characters, not {len(value)}")
        try:
            tree = ast.parse(value.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            column = getattr(error, "offset", None) or 1
            raise QueryError(
                f"column {column} of `{value}`: not an expression; `class_name == 'star' and area > 400` would fit"
            ) from None
        if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
            raise QueryError(f"an expression has at most {MAX_NODES} parts")
        return cls(value, _compile(tree.body, value))


def _compile(node: ast.expr, text: str) -> Evaluate:
    """A closure for a node of an accepted sort."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool)):
        value = node.value
        return lambda one: value
    if isinstance(node, ast.Name):
        return _name(node, text)
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_compile(item, text) for item in node.elts]
        return lambda one: [item(one) for item in items]
    if isinstance(node, ast.BoolOp):
        parts, every = [_compile(part, text) for part in node.values], all if isinstance(node.op, ast.And) else any
        return lambda one: every(part(one) for part in parts)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        apply, operand = _OPERATORS[type(node.op)], _compile(node.operand, text)
        return lambda one: apply(operand(one))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _binary(node, text)
    if isinstance(node, ast.Compare) and all(type(op) in _OPERATORS for op in node.ops):
        return _compare(node, text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _call(node, node.func.id, text)
    raise QueryError(f"column {node.col_offset + 1} of `{text}`: `{ast.unparse(node)}` has no place in an expression")


def _name(node: ast.Name, text: str) -> Evaluate:
    name = node.id
    if name == "index":
        return lambda one: one.index
    if name not in _NAMES:
        near = did_you_mean(name, _NAMES) or f"known: {', '.join(_NAMES)}"
        raise QueryError(f"column {node.col_offset + 1} of `{text}`: unknown name `{name}` ({near})")
    return lambda one: read_property(one, name)


def _binary(node: ast.BinOp, text: str) -> Evaluate:
    apply, left, right = _OPERATORS[type(node.op)], _compile(node.left, text), _compile(node.right, text)

    def evaluate(one: Detection) -> Any:
        first, second = left(one), right(one)
        if not all(isinstance(value, (int, float)) for value in (first, second)):
            raise TypeError("arithmetic needs numbers")  # a text times a number could be made as large as memory
        return apply(first, second)

    return evaluate


def _compare(node: ast.Compare, text: str) -> Evaluate:
    operands = [_compile(part, text) for part in (node.left, *node.comparators)]
    operators = [_OPERATORS[type(op)] for op in node.ops]

    def evaluate(one: Detection) -> bool:
        values = [operand(one) for operand in operands]
        return all(apply(first, second) for apply, first, second in zip(operators, values, values[1:], strict=False))

    return evaluate


def _call(node: ast.Call, name: str, text: str) -> Evaluate:
    if name not in _FUNCTIONS:
        raise QueryError(
            f"column {node.col_offset + 1} of `{text}`: unknown function `{name}` (known: {', '.join(_FUNCTIONS)})"
        )
    function, arguments = _FUNCTIONS[name], [_compile(argument, text) for argument in node.args]
    return lambda one: function(*(argument(one) for argument in arguments))

"""Checks a filter against the columns that exist, and gives every value its column's type."""

from __future__ import annotations

from collections.abc import Mapping

from hauberk.errors import BadFilter
from hauberk.schema.asset import ColumnKind
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or, Value, parse

MAX_PATTERN = 1000
_TEXT_OPS = ("~", "=~")
_ORDER_OPS = ("<", "<=", ">", ">=")
_INT64 = 2**63


def read(text: str, kinds: Mapping[str, ColumnKind]) -> Filter | None:
    """Parse and bind. Raises BadFilter."""
    tree = parse(text)
    return None if tree is None else bind(tree, kinds)


def bind(tree: Filter, kinds: Mapping[str, ColumnKind]) -> Filter:
    """The same tree with typed values.

    Raises:
        BadFilter: an unknown field (the message names the known ones), an operator or a value that
            the column cannot have.
    """
    if isinstance(tree, Not):
        return Not(bind(tree.item, kinds))
    if isinstance(tree, And):
        return And(tuple(bind(item, kinds) for item in tree.items))
    if isinstance(tree, Or):
        return Or(tuple(bind(item, kinds) for item in tree.items))
    kind = kind_of(tree.field, kinds)
    if isinstance(tree, IsNull):
        return tree
    if isinstance(tree, In):
        return In(tree.field, tuple(_value(tree.field, kind, v) for v in tree.values))
    _check_operator(tree, kind)
    return Compare(tree.field, tree.op, _value(tree.field, kind, tree.value))


def kind_of(field: str, kinds: Mapping[str, ColumnKind]) -> ColumnKind:
    """The column's kind. Raises BadFilter that names the known columns."""
    kind = kinds.get(field)
    if kind is None:
        raise BadFilter(f"no column {field[:60]!r} here; known: {', '.join(sorted(kinds))}")
    return kind


def _check_operator(item: Compare, kind: ColumnKind) -> None:
    if item.op in _TEXT_OPS and kind not in ("str", "list"):
        raise BadFilter(f"{item.field} is {_NAMES[kind]}: {item.op} works on text only")
    if item.op in _ORDER_OPS and kind in ("bool", "list"):
        raise BadFilter(f"{item.field} is {_NAMES[kind]}: {item.op} has no meaning there")
    if item.op == "=~" and len(str(item.value)) > MAX_PATTERN:
        raise BadFilter(f"the pattern on {item.field} is longer than {MAX_PATTERN} characters")


def _value(field: str, kind: ColumnKind, value: Value) -> Value:
    if kind in ("str", "list"):
        return _text(value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise BadFilter(f"{field} is true or false, not {value!r}")
        return value
    if isinstance(value, bool):
        raise BadFilter(f"{field} is {_NAMES[kind]}, not {value!r}")
    try:
        number = int(value) if kind == "int" else float(value)
    except (ValueError, OverflowError) as error:
        raise BadFilter(f"{field} is {_NAMES[kind]}, not {value!r}") from error
    if kind == "int" and (not -_INT64 <= number < _INT64 or number != _number(value)):
        raise BadFilter(f"{field} is {_NAMES[kind]}, not {value!r}")
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124
        raise BadFilter(f"{field} is a number, not {value!r}")
    return number


def _number(value: Value) -> float | int:
    return int(value) if isinstance(value, str) else value


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


_NAMES: dict[ColumnKind, str] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
}

"""The filter grammar as DuckDB SQL over an event table: declared columns, bound values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hauberk.schema.asset import ColumnKind, columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.store import query, regex
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or

_EXTRA: dict[str, tuple[ColumnKind, str]] = {
    "workload": ("str", '"workload"'),
    "agent": ("str", '"agent"'),
    "boot": ("str", '"boot"'),
    "received_ms": ("int", '("received_ns" // 1000000)'),
    "time_ms": ("int", '("time_ns" // 1000000)'),
    # Not in the lake: a name is turned into workloads before the search.
    "hostname": ("str", ""),
}


@cache
def kinds(table: str) -> dict[str, ColumnKind]:
    """Columns of a table that can be filtered, with their kind."""
    found: dict[str, ColumnKind] = {name: kind for name, (kind, _) in _EXTRA.items()}
    return found | {c.name: c.kind for c in columns_of(EVENT_CLASSES[table])}


def compile_filter(tree: Filter, table: str, hostnames: Mapping[str, str]) -> tuple[str, list[Any]]:
    """DuckDB SQL of a bound filter, never null, and its parameters."""
    if isinstance(tree, Not):
        sql, values = compile_filter(tree.item, table, hostnames)
        return f"(NOT {sql})", values
    if isinstance(tree, And | Or):
        parts = [compile_filter(item, table, hostnames) for item in tree.items]
        word = " AND " if isinstance(tree, And) else " OR "
        return f"({word.join(sql for sql, _ in parts)})", [v for _, vs in parts for v in vs]
    if tree.field == "hostname":
        known = hosts(tree, hostnames)
        return '(coalesce(list_contains(?::VARCHAR[], "workload"), false))', [known]
    if isinstance(tree, Compare):
        return _compare(tree, table)
    name, kind = column_of(tree.field, table)
    if isinstance(tree, IsNull):
        return f"({name} IS NULL)", []
    return _any_of(name, kind, tree.values), list(tree.values)


def column_of(field_name: str, table: str) -> tuple[str, ColumnKind]:
    """SQL of a column that can be filtered, and its kind."""
    name = _EXTRA[field_name][1] if field_name in _EXTRA else f'"{field_name}"'
    return name, kinds(table)[field_name]


def _compare(item: Compare, table: str) -> tuple[str, list[Any]]:
    name, kind = column_of(item.field, table)
    if item.op in ("=", "!="):
        same = _any_of(name, kind, (item.value,))
        return same if item.op == "=" else f"(NOT {same})", [item.value]
    whole = f"array_to_string({name}, ' ')" if kind == "list" else name
    if item.op == "~":
        return f"coalesce(regexp_matches({whole}, ?), false)", [literal(str(item.value))]
    if item.op == "=~":
        regex.check(str(item.value))
        return f"coalesce(regexp_matches({whole}, ?), false)", [item.value]
    return f"coalesce({whole} {item.op} ?, false)", [item.value]


def _any_of(name: str, kind: ColumnKind, values: Sequence[Any]) -> str:
    if kind == "list":
        some = " OR ".join([f"list_contains({name}, ?)"] * len(values))
        return f"coalesce({some}, false)"
    return f"coalesce({name} IN ({', '.join('?' * len(values))}), false)"


def literal(needle: str) -> str:
    """A pattern that finds the needle in any case of its ASCII letters, and of these only."""
    out = []
    for char in needle:
        if char.isascii() and char.isalpha():
            out.append(f"[{char.lower()}{char.upper()}]")
        elif char.isascii() and not char.isalnum():
            out.append(f"\\x{{{ord(char):x}}}")
        else:
            out.append(char)
    return "".join(out)


def hosts(tree: Compare | In | IsNull, hostnames: Mapping[str, str]) -> list[str]:
    """Workloads whose name a term about `hostname` holds for."""
    if isinstance(tree, IsNull):
        return []
    if isinstance(tree, In):
        return [w for w, name in hostnames.items() if name in tree.values]
    value = str(tree.value)
    if tree.op == "=~":
        names = set(regex.matching(hostnames.values(), value))
        return [w for w, name in hostnames.items() if name in names]
    return [w for w, name in hostnames.items() if _holds(name, tree.op, value)]


def _holds(name: str, op: str, value: str) -> bool:
    if op == "~":
        return value.translate(query.UPPER) in name.translate(query.UPPER)
    if op in ("=", "!="):
        return (name == value) is (op == "=")
    if op in ("<", "<="):
        return name < value or (op == "<=" and name == value)
    return name > value or (op == ">=" and name == value)

"""One filter, three readers: SQL over the state, DuckDB over the lake, and a naive evaluator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import pytest
from filterkit import KINDS, ROWS, TABLE, filters
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from hauberk.store import dialect, query, typed
from hauberk.store.database import read
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or, parse
from hauberk.store.lake_query import Search
from hauberk.store.query import Field, Listing
from hauberk.store.tables import asset


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, state_url: str) -> Iterator[apikit.Stack]:
    made = apikit.make(Path(tmp_path_factory.mktemp("filters")), state_url)
    home = made.workload("default", "one")
    for row in ROWS:
        made.asset("default", home, TABLE, str(row["ppid"]), **row)
    made.events("default", home, TABLE, ROWS)
    yield made
    made.close()


def in_sql(stack: apikit.Stack, text: str) -> set[int]:
    fields = {
        name: Field(kind, dialect.json_field(asset.c.fields, name, kind))
        for name, kind in KINDS.items()
    }
    rows = select(asset).where(asset.c.subclass == TABLE)
    listing = Listing(rows, fields, asset.c.id, "pid", ("test",))
    with read(stack.engine) as db:
        found = db.execute(query.narrow(db, listing, text)).mappings().all()
    return {int(row["key"]) for row in found}


def in_lake(stack: apikit.Stack, text: str) -> set[int]:
    search = Search("default", TABLE, text, include_self=True)
    return {row.fields["ppid"] for row in stack.context.lake.rows(search, {})}


def naive(text: str) -> set[int]:
    tree = parse(text)
    assert tree is not None
    bound = typed.bind(tree, KINDS)
    return {row["ppid"] for row in ROWS if holds(bound, row)}


def lower(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def holds(tree: Filter, row: dict[str, Any]) -> bool:
    if isinstance(tree, Not):
        return not holds(tree.item, row)
    if isinstance(tree, And):
        return all(holds(item, row) for item in tree.items)
    if isinstance(tree, Or):
        return any(holds(item, row) for item in tree.items)
    value = row[tree.field]
    if isinstance(tree, IsNull):
        return value is None
    if isinstance(tree, In):
        return equal(value, tree.values)
    return compare(tree, value)


def equal(value: Any, wanted: tuple[Any, ...]) -> bool:
    if isinstance(value, list):
        return any(item in wanted for item in value)
    return value is not None and value in wanted


def compare(tree: Compare, value: Any) -> bool:
    if tree.op in ("=", "!="):
        return equal(value, (tree.value,)) is (tree.op == "=")
    if value is None:
        return False
    if isinstance(value, list):
        value = " ".join(value)
    if tree.op == "~":
        return lower(str(tree.value)) in lower(value)
    if tree.op == "=~":
        return re.search(str(tree.value), value) is not None
    return {
        "<": value < tree.value,
        "<=": value <= tree.value,
        ">": value > tree.value,
        ">=": value >= tree.value,
    }[tree.op]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=filters)
def test_three_readers_agree(stack: apikit.Stack, text: str) -> None:
    expected = naive(text)
    assert in_sql(stack, text) == expected
    assert in_lake(stack, text) == expected


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("name = nginx", True),
        ("name = 007", True),
        ('name = "7"', True),
        ("name = 7", True),
        ("name = 1.10", True),
        ("name = true", True),
        ("name ~ gin", True),
        ("name ~ ünï", False),
        ('name ~ "kelvin"', False),
        ("argv = curl", True),
        ('argv ~ "CURL HTTP"', True),
        ('argv =~ "^curl http"', True),
        ("argv != curl", True),
        ("exit_code is null", True),
        ("not exit_code > 0", True),
        (f"pid = {2**53 + 1}", True),
    ],
)
def test_what_a_filter_means(stack: apikit.Stack, text: str, some: bool) -> None:
    expected = naive(text)
    assert bool(expected) is some
    assert in_sql(stack, text) == in_lake(stack, text) == expected

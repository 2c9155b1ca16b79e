"""One filter, three readers: SQL over the state, DuckDB over the lake, and a naive evaluator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.text import from_bytes
from hauberk.store import dialect, query, typed
from hauberk.store.database import read
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or, parse
from hauberk.store.lake_query import Search
from hauberk.store.query import Field, Listing
from hauberk.store.tables import asset

TABLE = "process_activity"
KINDS = {c.name: c.kind for c in columns_of(EVENT_CLASSES[TABLE])}
TEXTS = [
    "",
    "nginx",
    "NGINX",
    "nginx-core",
    "curl http://x/y?z=1",
    "a b",
    " ",
    "007",
    "7",
    "1.10",
    "true",
    "null",
    'say "hi" \\ there',
    "名字",
    "Ünïcode ß",
    "\u212aelvin",
    "%_[]^$.*",
    "=cmd()",
    "line\nbreak",
    from_bytes(b"raw \xff bytes"),
]
NUMBERS = [0, 1, -1, 7, 22, 443, 2**31, 2**53 + 1, 2**62, -(2**62)]
PATTERNS = ["^n", "x$", "(?i)nginx", "[0-9]+", "a.b", "^$", "\\.", "http://[a-z]+/", "名|Ü"]
LISTS: list[list[str]] = [[], ["a"], ["curl", "http://x/y"], ["A", "b", ""], ["名字", "-x"], ["7"]]


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "ppid": n,
            "pid": NUMBERS[n % len(NUMBERS)],
            "name": TEXTS[n % len(TEXTS)],
            "exe": TEXTS[(n * 7) % len(TEXTS)],
            "is_self": n % 3 == 0,
            "argv": LISTS[n % len(LISTS)],
            "exit_code": None if n % 4 else NUMBERS[n % 5],
        }
        for n in range(60)
    ]


ROWS = _rows()
FIELDS = ["pid", "name", "exe", "is_self", "argv", "exit_code"]


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


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


text_values = st.sampled_from([*TEXTS, "gin", "HTTP", "zz", "k"]).map(quoted)
bare_values = st.sampled_from(["nginx", "007", "7", "1.10", "1.5", "true", "0", "-1", "a"])
number_values = st.sampled_from([str(n) for n in NUMBERS] + ['"22"', "443"])
patterns = st.sampled_from(PATTERNS).map(quoted)


@st.composite
def leaves(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(FIELDS))
    kind = KINDS[name]
    if draw(st.integers(0, 9)) == 0:
        return f"{name} is null"
    if kind == "bool":
        return f"{name} {draw(st.sampled_from(['=', '!=']))} {draw(st.sampled_from(['true', 'false']))}"
    values = number_values if kind == "int" else st.one_of(text_values, bare_values)
    if draw(st.integers(0, 4)) == 0:
        return f"{name} in ({', '.join(draw(st.lists(values, min_size=1, max_size=4)))})"
    if kind == "int":
        return f"{name} {draw(st.sampled_from(['=', '!=', '<', '<=', '>', '>=']))} {draw(values)}"
    ops = ["=", "!=", "~", "=~"] + ([] if kind == "list" else ["<", "<=", ">", ">="])
    op = draw(st.sampled_from(ops))
    return f"{name} {op} {draw(patterns if op == '=~' else values)}"


filters = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        inner.map(lambda f: f"not ({f})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda fs: "(" + " and ".join(fs) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda fs: "(" + " or ".join(fs) + ")"),
    ),
    max_leaves=6,
)


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

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.store.inbox import _SCHEMA
from hauberk.store.spans import fold, joined, seen_before


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(_SCHEMA)
        yield made


def note(db: sqlite3.Connection, sequence: int, position: int) -> None:
    db.execute("INSERT INTO seen VALUES ('a', 'b', ?, x'01', ?)", (sequence, position))


def test_digest_then_span_then_unknown(db: sqlite3.Connection) -> None:
    note(db, 1, 1)
    note(db, 2, 2)
    fold(db, 1)
    assert seen_before(db, ("a", "b", 1)) == b""
    assert seen_before(db, ("a", "b", 2)) == b"\x01"
    assert seen_before(db, ("a", "b", 3)) is None
    assert seen_before(db, ("a", "c", 1)) is None


def test_neighbours_join(db: sqlite3.Connection) -> None:
    for position, sequence in enumerate((1, 3, 2), 1):
        note(db, sequence, position)
        fold(db, position)
    assert db.execute("SELECT first, last FROM span").fetchall() == [(1, 3)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), unique=True), st.lists(st.integers(0, 30)))
def test_exactly_what_was_seen_is_known(sequences: list[int], folds: list[int]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_SCHEMA)
        for position, sequence in enumerate(sequences, 1):
            note(db, sequence, position)
            if folds:
                fold(db, folds.pop())
        fold(db, 100)
        known = {n for n in range(32) if seen_before(db, ("a", "b", n)) is not None}
        assert known == set(sequences)


def test_spans_of_both_kinds_are_joined() -> None:
    found = joined([("a", "b", 1, 4), ("a", "b", 5, 5), ("a", "b", 7, 9), ("a", "c", 10, 11)])
    assert found == [("a", "b", 1, 5), ("a", "b", 7, 9), ("a", "c", 10, 11)]

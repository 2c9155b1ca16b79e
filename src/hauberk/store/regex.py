"""RE2 over values that SQL cannot match itself: linear time whatever the pattern."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import duckdb
import pyarrow as pa

from hauberk.errors import BadFilter

_lock = threading.Lock()
_connections: list[duckdb.DuckDBPyConnection] = []


def check(pattern: str) -> None:
    """Raises BadFilter when the pattern is not RE2."""
    matching([""], pattern)


def matching(values: Iterable[str], pattern: str) -> list[str]:
    """The values in which `pattern` is found.

    Raises:
        BadFilter: not a pattern of RE2.
    """
    table = pa.table({"v": pa.array(values, pa.string())})
    with _lock:
        if not _connections:
            _connections.append(duckdb.connect(":memory:", config={"threads": 1}))
        connection = _connections[0]
        connection.register("given", table)
        try:
            found = connection.execute(
                "SELECT v FROM given WHERE regexp_matches(v, ?)", [pattern]
            ).fetchall()
        except duckdb.InvalidInputException as error:
            raise bad(pattern, error) from error
        finally:
            connection.unregister("given")
    return [row[0] for row in found]


def bad(pattern: str, error: Exception) -> BadFilter:
    """What to say of a pattern that RE2 refuses."""
    return BadFilter(f"{pattern[:80]!r} is not a pattern of RE2: {str(error)[:200]}")

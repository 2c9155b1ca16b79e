"""Which backend of the state the tests' stores use: `pytest --state postgresql` changes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hauberk.store.database import sqlite_url

_made: dict[Path, str] = {}
_makers: list[Callable[[], str]] = []


def use(make: Callable[[], str] | None) -> None:
    """Take the URLs of empty states from `make`; None: SQLite files."""
    _makers[:] = [] if make is None else [make]
    _made.clear()


def url(folder: Path) -> str:
    """The state of the stores in a folder; the same one when they are opened again."""
    if not _makers:
        return sqlite_url(folder / "state.db")
    if folder not in _made:
        _made[folder] = _makers[0]()
    return _made[folder]

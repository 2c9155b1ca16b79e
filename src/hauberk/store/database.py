"""The SQL state: engine, pragmas, transactions and schema upgrades.

SQLite in WAL mode by default; the URL is a setting, and nothing outside this module is SQLite's
own, so that PostgreSQL can follow.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from hauberk.errors import Busy, StorageFull, Unsupported
from hauberk.store.files import sync_file

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_MS = 15_000
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={_BUSY_MS}",
    "PRAGMA cache_size=-8192",
    "PRAGMA journal_size_limit=16777216",
)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_database(url: str) -> Engine:
    """Open the state and bring its schema up to this version.

    Raises:
        Unsupported: a newer Hauberk wrote it.
    """
    engine = create_engine(url, pool_size=8, max_overflow=24)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    migrate(engine)
    return engine


class _Current(threading.local):
    """The write that this thread is in, so that what it calls joins it."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.connection: Connection | None = None
        self.afterwards: list[Callable[[], None]] = []


_current = _Current()


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """One snapshot, for reading; within a `write` of this thread, what that write sees."""
    if _current.engine is engine and _current.connection is not None:
        yield _current.connection
        return
    with engine.begin() as connection:
        yield connection


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One transaction that takes the write lock first; commits on leaving, else rolls back.

    Within another `write` of the same thread it is a part of that one: a change and its audit
    entry are stored together or not at all.

    Raises:
        Busy: another writer held the lock too long.
        StorageFull: no room; nothing was written.
    """
    if _current.engine is engine and _current.connection is not None:
        yield _current.connection
        return
    try:
        with engine.execution_options(hauberk_begin="IMMEDIATE").begin() as connection:
            _current.engine, _current.connection, _current.afterwards = engine, connection, []
            try:
                yield connection
            finally:
                _current.engine = _current.connection = None
    except OperationalError as error:
        raise translate(error) from error
    for call in _current.afterwards:
        call()


def after_commit(engine: Engine, call: Callable[[], None]) -> None:
    """Call it once this thread's open write is committed (never when it fails), else now."""
    if _current.engine is engine:
        _current.afterwards.append(call)
    else:
        call()


def sync(engine: Engine) -> None:
    """Make everything committed durable against a power cut too; each commit alone is not."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    log = Path(f"{engine.url.database}-wal")
    if log.exists():
        sync_file(log)


def translate(error: OperationalError) -> Exception:
    """A database failure as one of our errors, where it is one of ours."""
    origin = error.orig
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return StorageFull("the state database has no room left: free space on its disk")
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("the state database is locked by another writer", retry_after=2.0)
    return error


def migrate(engine: Engine) -> None:
    """Upgrade the schema to the newest revision of this code.

    Raises:
        Unsupported: the database has a revision that this code doesn't know.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise Unsupported(
            f"{engine.url.database}: written by a newer Hauberk (schema {current}): "
            "install that version or restore a backup of this one"
        )
    if current == script.get_current_head():
        return
    with engine.execution_options(hauberk_begin="IMMEDIATE").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _prepare(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `_begin` says which kind.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("hauberk_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {kind}")

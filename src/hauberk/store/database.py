"""The SQL state: engine, transactions, failures and schema upgrades.

SQLite in WAL mode by default, PostgreSQL by its URL. What else the two say differently is in
`dialect`; nothing outside these two modules is of one of them.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnection

from hauberk.errors import (
    BadInput,
    Busy,
    HauberkError,
    StorageFull,
    Temporary,
    Unreachable,
    Unsupported,
)
from hauberk.store.files import sync_file

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_MS, _STILL_MS = 15_000, 20_000
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={_BUSY_MS}",
    "PRAGMA cache_size=-8192",
    "PRAGMA journal_size_limit=16777216",
)


# What a PostgreSQL session is told first: it reads unless a transaction says otherwise, and nobody
# waits for a lock or a frozen process without end.
_SESSION = (
    "SET default_transaction_read_only = on",
    "SET default_transaction_isolation = 'repeatable read'",
    f"SET lock_timeout = {_BUSY_MS}",
    "SET statement_timeout = 60000",
    # A process that was paused in the midst of a write keeps everybody else from writing.
    f"SET idle_in_transaction_session_timeout = {_STILL_MS}",
)
_CONNECT = {
    "connect_timeout": 5,
    "application_name": "hauberk",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# The advisory lock of whoever writes: "HAUB".
_WRITER = 0x48415542
_OLDEST_POSTGRES = 13_00_00
_BEGIN = {
    "read": ("BEGIN",),
    "write": (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        f"SELECT pg_advisory_xact_lock({_WRITER})",
    ),
    "migrate": (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 600000",
        f"SELECT pg_advisory_xact_lock({_WRITER})",
    ),
}
_log = logging.getLogger(__name__)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_database(url: str, *, upgrade: bool = True) -> Engine:
    """Open the state and bring its schema up to this version.

    Args:
        url: of SQLite or PostgreSQL.
        upgrade: False leaves the schema as it is.

    Raises:
        BadInput: not a URL of SQLite or PostgreSQL (postgresql+psycopg://...).
        Unsupported: a newer Hauberk wrote it, or the server is too old or not UTF-8.
        Unreachable: PostgreSQL does not answer or lets us not in; the message says why.
        Busy, StorageFull: as `write`.
    """
    engine = _engine(url)
    try:
        if engine.dialect.name == "postgresql":
            _check_server(engine)
        if upgrade:
            migrate(engine)
    except BaseException as error:
        engine.dispose()
        ours = translate(error) if isinstance(error, DBAPIError) else error
        if isinstance(ours, Unreachable) and isinstance(error, DBAPIError):
            where = engine.url.render_as_string(hide_password=True)
            raise Unreachable(f"{where}: {error.orig}".strip(), retry_after=2.0) from error
        if ours is error:
            raise
        raise ours from error
    return engine


def _engine(url: str) -> Engine:
    try:
        if url.startswith("sqlite"):
            engine = create_engine(url, pool_size=8, max_overflow=24)
        else:
            engine = create_engine(
                url,
                pool_size=8,
                max_overflow=24,
                pool_timeout=10,
                pool_pre_ping=True,
                connect_args=dict(_CONNECT),
            )
    except (ArgumentError, ImportError) as error:
        raise BadInput(f"not a usable URL: {error}", source="database") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    elif engine.dialect.name == "postgresql" and engine.dialect.driver == "psycopg":
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "begin", _begin_postgres)
    else:
        raise BadInput("write sqlite:///FILE or postgresql+psycopg://...", source="database")
    return engine


def _check_server(engine: Engine) -> None:
    with engine.connect() as connection:
        info: Any = connection.connection.driver_connection.info  # type: ignore[union-attr]
        encoding = info.parameter_status("server_encoding")
    if info.server_version < _OLDEST_POSTGRES:
        raise Unsupported(f"PostgreSQL {info.server_version // 10_000}: 13 or newer is needed")
    if encoding != "UTF8":
        raise Unsupported(
            f"the database {engine.url.database!r} has the encoding {encoding}: "
            "make it with ENCODING 'UTF8' TEMPLATE template0"
        )


class _Current(threading.local):
    """The write that this thread is in, so that what it calls joins it."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.connection: Connection | None = None
        self.afterwards: list[Callable[[], None]] = []


_current = _Current()


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """One snapshot, for reading; within a `write` of this thread, what that write sees.

    Raises:
        Busy, Unreachable: the database does not answer now.
    """
    if _current.engine is engine and _current.connection is not None:
        yield _current.connection
        return
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        _raise(error)


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One transaction that takes the write lock first; commits on leaving, else rolls back.

    Within another `write` of the same thread it is a part of that one: a change and its audit
    entry are stored together or not at all.

    Raises:
        Busy: another writer held the lock too long.
        StorageFull: no room; nothing was written.
        Unreachable: the database went away. If it did so while it committed, the change may be
            there all the same.
    """
    if _current.engine is engine and _current.connection is not None:
        yield _current.connection
        return
    try:
        with engine.execution_options(hauberk_begin="write").begin() as connection:
            _current.engine, _current.connection, _current.afterwards = engine, connection, []
            try:
                yield connection
            finally:
                _current.engine = _current.connection = None
    except SQLAlchemyError as error:
        _raise(error)
    for call in _current.afterwards:
        call()


def after_commit(engine: Engine, call: Callable[[], None]) -> None:
    """Call it once this thread's open write is committed (never when it fails), else now."""
    if _current.engine is engine:
        _current.afterwards.append(call)
    else:
        call()


def sync(engine: Engine) -> None:
    """Make everything committed durable against a power cut too; SQLite's commits are not."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    log = Path(f"{engine.url.database}-wal")
    if log.exists():
        sync_file(log)


def size(engine: Engine) -> int:
    """Bytes that the state takes on disk."""
    if engine.dialect.name == "postgresql":
        with read(engine) as db:
            query = text("SELECT pg_database_size(current_database())")
            return int(db.execute(query).scalar_one())
    file = Path(engine.url.database or "")
    found = file.parent.glob(f"{file.name}*") if file.name else ()
    return sum(part.stat().st_size for part in found if part.is_file())


def translate(error: SQLAlchemyError) -> Exception:
    """A database failure as one of our errors, where it is one of ours: all are Temporary."""
    if isinstance(error, NoConnection):
        return Busy("all connections to the state database are in use", retry_after=2.0)
    if not isinstance(error, DBAPIError):
        return error
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig) or error
    state = getattr(error.orig, "sqlstate", None) or ""
    ours = _of_postgres(state)
    lost = error.connection_invalidated or not state
    if (
        ours is None
        and lost
        and isinstance(error, OperationalError | InterfaceError | InternalError)
    ):
        # A connection that was refused has a text, in the server's language, and no code.
        full = any(words in str(error.orig) for words in ("too many", "connection slots"))
        ours = _of_postgres("53300" if full else "08001")
    if ours is not None:
        _log.warning("state database: %s", str(error.orig).strip())
    return ours or error


def is_temporary(error: Exception) -> bool:
    """Whether the database failed and not the statement: the same one may work later."""
    return isinstance(error, SQLAlchemyError) and isinstance(translate(error), Temporary)


def _raise(error: SQLAlchemyError) -> NoReturn:
    ours = translate(error)
    if ours is error:
        raise error
    raise ours from error


def _of_sqlite(error: sqlite3.Error) -> HauberkError | None:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("the state database has no room left: free space on its disk")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("the state database is locked by another writer", retry_after=2.0)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return Unreachable(f"the state database cannot be read or written: {error}")
    return None


def _of_postgres(state: str) -> HauberkError | None:
    if state == "53100":
        return StorageFull("the state database has no room left: free space on PostgreSQL's disk")
    if state in ("55P03", "40001", "40P01"):
        return Busy("the state database is locked by another writer", retry_after=2.0)
    if state == "57014":
        return Busy("the state database took too long", retry_after=5.0)
    if state.startswith("53"):
        return Busy("PostgreSQL has no connection or memory left for us", retry_after=5.0)
    if state.startswith(("08", "57P", "58", "25P03", "F0", "XX")):
        return Unreachable("the state database does not answer", retry_after=2.0)
    return None


def migrate(engine: Engine, *, to: str = "head") -> None:
    """Upgrade the schema to the newest revision of this code, or to an older one.

    Raises:
        Unsupported: the database has a revision that this code doesn't know.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    strange = {current, None if to == "head" else to} - known - {None}
    if strange:
        raise Unsupported(
            f"{engine.url.database}: written by a newer Hauberk (schema {strange.pop()}): "
            "install that version or restore a backup of this one"
        )
    if current == (script.get_current_head() if to == "head" else to):
        return
    with engine.execution_options(hauberk_begin="migrate").begin() as connection:
        # Several servers may start at once: the lock is ours now, and alembic looks again.
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _prepare(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `_begin` says which kind.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("hauberk_begin", "read") == "read"
    connection.exec_driver_sql("BEGIN DEFERRED" if reads else "BEGIN IMMEDIATE")


def _prepare_postgres(connection: Any, _record: Any) -> None:
    # As with SQLite, `_begin_postgres` says which kind of transaction it is.
    connection.autocommit = True
    for setting in _SESSION:
        connection.execute(setting)


def _begin_postgres(connection: Connection) -> None:
    for statement in _BEGIN[connection.get_execution_options().get("hauberk_begin", "read")]:
        connection.exec_driver_sql(statement)

"""The whole SQL state as lines of JSON, and back: from one snapshot, into either database.

Rows are told by table and column, bytes in base64. They go back into the schema that they were
written with, which is upgraded afterwards: a backup of an older version can be restored.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, LargeBinary, MetaData, Table, func, insert, select, text

from hauberk.errors import BadInput, Conflict
from hauberk.store import database, tables_fleet
from hauberk.store.tables import metadata

CHUNK_BYTES = 2 * 1024 * 1024
_ROWS = 500
# Who does what now is nothing that a restored deployment has.
_PASSING = frozenset(
    {tables_fleet.lease.name, tables_fleet.member.name, "consumer", "alembic_version"}
)
Chunk = tuple[str, bytes]


def revision(engine: Engine) -> str:
    """Schema revision of a database, "" of an empty one."""
    with database.read(engine) as db:
        return MigrationContext.configure(db).get_current_revision() or ""


def save(db: Connection) -> Iterator[Chunk]:
    """(table, lines) of every row that `db`, one snapshot, shows; a few MiB at a time."""
    for table in metadata.sorted_tables:
        if table.name in _PASSING:
            continue
        lines = bytearray()
        names = [column.name for column in table.columns]
        order = [*table.primary_key.columns]
        rows = db.execution_options(yield_per=_ROWS).execute(select(table).order_by(*order))
        for row in rows:
            lines += msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n"
            if len(lines) >= CHUNK_BYTES:
                yield table.name, bytes(lines)
                lines.clear()
        if lines:
            yield table.name, bytes(lines)


def load(engine: Engine, at: str, chunks: Iterable[Chunk]) -> int:
    """Write rows into an empty database of schema `at`, then upgrade it; the number of rows.

    Raises:
        Conflict: it holds something already.
        Unsupported: a newer Hauberk wrote the rows.
        BadInput: a line is not a row of its table.
    """
    if revision(engine):
        raise Conflict(
            f"{engine.url.render_as_string(hide_password=True)}: holds a state already: choose an"
            " empty database"
        )
    database.migrate(engine, to=at)
    with database.write(engine) as db:
        known = MetaData()
        known.reflect(db)
        _type(known)
        count = sum(_insert(db, known, *chunk) for chunk in chunks)
        _go_on_counting(db, known)
    database.migrate(engine)
    return count


def _type(known: MetaData) -> None:
    """Give the tables of a database the types that ours declare: they say what text may be."""
    for table in known.tables.values():
        ours = metadata.tables.get(table.name)
        for column in table.columns:
            if ours is not None and column.name in ours.columns:
                column.type = ours.columns[column.name].type


def _insert(db: Connection, known: MetaData, name: str, lines: bytes) -> int:
    table = known.tables.get(name)
    if table is None or name in _PASSING:
        raise BadInput(f"no table {name!r} in this schema", source="backup")
    binary = {c.name for c in table.columns if isinstance(c.type, LargeBinary)}
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines.splitlines(), 1):
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
            for column in binary & row.keys():
                if row[column] is not None:
                    row[column] = base64.b64decode(row[column], validate=True)
        except ValueError as error:
            raise BadInput(f"not a row: {error}", source=f"state/{name}", line=number) from error
        if strange := row.keys() - {c.name for c in table.columns}:
            raise BadInput(f"unknown columns {sorted(strange)}", source=f"state/{name}")
        rows.append(row)
    if rows:
        db.execute(insert(table), rows)
    return len(rows)


def _go_on_counting(db: Connection, known: MetaData) -> None:
    """Let sequences of PostgreSQL go on behind the rows that were written with their numbers."""
    if db.dialect.name != "postgresql":
        return
    for table in known.tables.values():
        for column in _counted(table):
            newest = db.execute(select(func.max(column))).scalar()
            if newest is not None:
                db.execute(
                    text("SELECT setval(pg_get_serial_sequence(:t, :c), :n)"),
                    {"t": table.name, "c": column.name, "n": newest},
                )


def _counted(table: Table) -> list[Any]:
    return [c for c in table.columns if c.server_default is not None and _is_serial(c)]


def _is_serial(column: Any) -> bool:
    return "nextval" in str(getattr(column.server_default, "arg", ""))

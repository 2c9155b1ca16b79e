"""Everything of a deployment in one file, while it runs: keys, inbox, state, lake, blobs.

In this order. A batch that is acknowledged before the backup began is in the inbox as it is read
first, or its consumers have taken it already, and then it is in what is read later. What comes
meanwhile may be there or not; nothing is there twice (see `restore`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Engine, select

from hauberk import __version__
from hauberk.errors import Busy
from hauberk.ingest.positions import CONSUMERS, key
from hauberk.ports import Blobs, Clock, InboxItem, Log
from hauberk.server import archive, places
from hauberk.server.settings import Settings
from hauberk.store import dump
from hauberk.store.database import open_database, read, sqlite_url
from hauberk.store.inbox import SqliteInbox
from hauberk.store.lake import Lake
from hauberk.store.tables import consumer

if TYPE_CHECKING:  # who has no NATS does not pay for its client
    from hauberk.store.nats_inbox import NatsInbox
    from hauberk.store.nats_link import NatsLink

FORMAT = 1
_ITEMS, _ITEM_BYTES = 500, 8 * 1024 * 1024
_TRIES = 3
KEY_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,60}\.(key|pem)")
Progress = Callable[[str], None]


class LogMark(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of the inbox; `positions` by consumer, of the same moment as the state."""

    name: str
    id: str
    repeats: bool
    positions: dict[str, int] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first member: what this is."""

    format: int
    version: str
    schema: str
    host: str
    at_ms: int


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """How far the consumers were when the state was read."""

    logs: list[LogMark]


class TableMark(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the lake: position by log id that its rows reach."""

    rows: int
    written: dict[str, int]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup or a restore moved."""

    state_rows: int = 0
    events: int = 0
    batches: int = 0
    blobs: int = 0
    bytes: int = 0


def save(settings: Settings, out: Path, clock: Clock, progress: Progress) -> Summary:
    """Write a backup to the new file `out`. The servers may run or not.

    Raises:
        BadInput: `out` exists, or a setting is wrong.
        StorageFull: no room; no file is left.
        Busy: the lake changed too fast under it: try again.
        Unreachable, Unsupported: see `open_database`.
    """
    url = settings.database or sqlite_url(settings.folder / "state.db")
    engine = open_database(url, upgrade=False)
    inbox, link = _inbox(settings)
    try:
        with archive.create(out) as writer:
            manifest = Manifest(
                format=FORMAT,
                version=__version__,
                schema=dump.revision(engine),
                host=os.uname().nodename,
                at_ms=clock.wall_ns() // 1_000_000,
            )
            writer.add("manifest.json", msgspec.json.encode(manifest))
            progress("keys")
            _keys(settings.folder / "keys", writer)
            progress("inbox")
            if isinstance(inbox, SqliteInbox):
                # First: what comes in between is known by the batches themselves.
                writer.add("spans.msgpack", msgspec.msgpack.encode(inbox.spans()))
            batches = sum(_batches(engine, log, writer) for log in inbox.logs)
            progress("state")
            rows = _state(engine, inbox.logs, writer)
            progress("events")
            lake = Lake(places.lake_files(settings), app_id="backup", mends=False)
            events = sum(_table(lake, *one, inbox.logs, writer) for one in lake.tables())
            progress("blobs")
            blobs = _blobs(places.blobs(settings), writer)
            return Summary(
                state_rows=rows, events=events, batches=batches, blobs=blobs, bytes=writer.bytes
            )
    finally:
        inbox.close()
        if link is not None:
            link.close()
        engine.dispose()


def _inbox(settings: Settings) -> tuple[SqliteInbox | NatsInbox, NatsLink | None]:
    if not settings.inbox:
        return SqliteInbox(settings.folder / "inbox.db"), None
    from hauberk.store.nats_inbox import NatsInbox  # noqa: PLC0415  an extra
    from hauberk.store.nats_link import NatsLink, servers_of  # noqa: PLC0415  an extra

    link = NatsLink(
        servers_of(settings.inbox),
        name="hauberk backup",
        credentials=settings.inbox_credentials,
        ca=settings.inbox_ca,
    )
    return (
        NatsInbox(link, partitions=settings.inbox_partitions, replicas=settings.inbox_replicas),
        link,
    )


def _keys(folder: Path, writer: archive.Writer) -> None:
    for path in sorted(folder.iterdir()):
        if KEY_NAME.fullmatch(path.name) and path.is_file():
            writer.add(f"keys/{path.name}", path.read_bytes())


def _positions(db: Connection, log: Log) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in CONSUMERS:
        query = select(consumer.c.position).where(consumer.c.name == key(name, log))
        found[name] = int(db.execute(query).scalar() or 0)
    return found


def _batches(engine: Engine, log: Log, writer: archive.Writer) -> int:
    """What is not consumed yet, up to the newest batch of now."""
    with read(engine) as db:
        at = min(_positions(db, log).values())
    upto, count = log.last, 0
    while at < upto:
        items = log.read(at, max_items=_ITEMS, max_bytes=_ITEM_BYTES)
        if not items:
            break
        writer.add(f"inbox/{log.name or '-'}/{at:020d}", msgspec.msgpack.encode(packed(items)))
        at, count = items[-1].position, count + len(items)
    return count


def packed(items: list[InboxItem]) -> list[tuple[Any, ...]]:
    """Items as they lie in a backup."""
    return [
        (i.tenant, i.workload, i.agent, i.boot, i.sequence, i.received_ns, i.body, i.position)
        for i in items
    ]


def _state(engine: Engine, logs: tuple[Log, ...], writer: archive.Writer) -> int:
    rows = 0
    with read(engine) as db:
        marks = Marks(
            logs=[
                LogMark(
                    name=log.name, id=log.id, repeats=log.repeats, positions=_positions(db, log)
                )
                for log in logs
            ]
        )
        writer.add("marks.json", msgspec.json.encode(marks))
        for number, (table, lines) in enumerate(dump.save(db)):
            writer.add(f"state/{table}/{number:06d}", lines)
            rows += lines.count(b"\n")
    return rows


def _table(
    lake: Lake, tenant: str, table: str, logs: tuple[Log, ...], writer: archive.Writer
) -> int:
    """Live files of one table, and how far each log is in it."""
    for attempt in range(_TRIES):
        handle = lake.locked(tenant, table)
        with handle.lock:
            files = lake.files(tenant, table)
            # Of the same version of the table: nothing looks for a newer one in between.
            written = {
                log.id: handle.table.transaction_version(f"inbox:{log.id}") or 0 for log in logs
            }
        where = f"lake/{tenant}/{table}/{attempt}"
        try:
            for number, file in enumerate(files):
                with handle.home.local([file]) as (path,), Path(path).open("rb") as data:
                    size = os.fstat(data.fileno()).st_size
                    writer.stream(f"{where}/{number:06d}", data, size)
        except FileNotFoundError:
            continue  # compacted and vacuumed meanwhile: what was copied so far is left out
        rows = sum(file.rows for file in files)
        mark = TableMark(rows=rows, written=written)
        writer.add(f"{where}/table.json", msgspec.json.encode(mark))
        return rows
    raise Busy(f"the events of {tenant}/{table} changed too fast: try again")


def _blobs(blobs: Blobs, writer: archive.Writer) -> int:
    count = 0
    for tenant, digest in blobs.all():
        with blobs.get(tenant, digest) as data:
            size = data.seek(0, os.SEEK_END)
            data.seek(0)
            writer.stream(f"blobs/{tenant}/{digest}", data, size)
        count += 1
    return count


def tables_of(names: Iterator[str]) -> dict[tuple[str, str], str]:
    """(tenant, table) -> prefix of the members that are a whole copy of it."""
    return {
        (tenant, table): f"lake/{tenant}/{table}/{attempt}/"
        for kind, tenant, table, attempt, last in (n.split("/") for n in names if n.count("/") == 4)
        if kind == "lake" and last == "table.json"
    }

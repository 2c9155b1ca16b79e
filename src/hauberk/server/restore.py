"""A deployment out of a backup, into the stores that the settings name; they must be empty.

What waited in the inbox is consumed here, from where its consumers were: the restored deployment
begins with an empty inbox, of whatever kind, and knows which batches it has, so that what an agent
sends again is left out.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
from deltalake import Transaction
from sqlalchemy import Engine, delete, insert, select, update

from hauberk import __version__
from hauberk.errors import BadInput, Conflict
from hauberk.ingest.feed import Feed
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.live import Live
from hauberk.ingest.names import Hostnames
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import CONSUMERS, Positions
from hauberk.ingest.state import StateConsumer
from hauberk.link.wire import UNDECODABLE
from hauberk.ports import Blobs, Clock, InboxItem
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.server import archive, places
from hauberk.server.backup import (
    FORMAT,
    KEY_NAME,
    LogMark,
    Manifest,
    Marks,
    Progress,
    Summary,
    TableMark,
    tables_of,
)
from hauberk.server.settings import Settings
from hauberk.store import audit, dump
from hauberk.store import marks as mark_store
from hauberk.store.assets import Assets
from hauberk.store.database import open_database, sqlite_url, write
from hauberk.store.files import make_folder, write_atomic
from hauberk.store.inbox import SqliteInbox
from hauberk.store.lake import Lake
from hauberk.store.spans import Span, joined
from hauberk.store.tables import agent, consumer, job
from hauberk.store.tables_fleet import mark

# Orders of the time between backup and restore used numbers that the state does not know.
SKIPPED_SEQUENCES = 1_000_000
Member = tuple[str, int, Any]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored, and from when."""

    manifest: Manifest
    moved: Summary


def restore(settings: Settings, source: Path, clock: Clock, progress: Progress) -> Restored:
    """Fill empty stores from the backup `source`. No server may run on them.

    Raises:
        BadInput: the file is damaged, cut or no backup; nothing was touched.
        Conflict: there is something already.
        Unsupported: a newer Hauberk wrote it.
        StorageFull, Unreachable: the stores hold a part now: empty them and restore again.
    """
    progress("checking the file")
    names = archive.check(source)
    manifest = _manifest(source)
    _refuse_used(settings)
    make_folder(settings.folder)
    url = settings.database or sqlite_url(settings.folder / "state.db")
    engine = open_database(url, upgrade=False)
    try:
        if dump.revision(engine):
            raise Conflict("the database holds a state already: choose an empty one")
        lake = Lake(places.lake_files(settings), app_id="restore")
        if lake.tables():
            raise Conflict("there are events already: choose an empty folder or bucket")
        return Restored(
            manifest=manifest,
            moved=_Restore(settings, source, clock, engine, lake, progress).run(manifest, names),
        )
    finally:
        engine.dispose()


def _manifest(source: Path) -> Manifest:
    name, size, reader = next(archive.members(source))
    try:
        manifest = msgspec.json.decode(archive.small(name, size, reader), type=Manifest)
    except msgspec.DecodeError as error:
        raise BadInput(f"no backup of Hauberk: {error}", source=str(source)) from error
    if manifest.format != FORMAT:
        raise BadInput(
            f"format {manifest.format} of version {manifest.version}: this version reads {FORMAT}",
            source=str(source),
        )
    return manifest


def _refuse_used(settings: Settings) -> None:
    used = [n for n in ("keys", "state.db", "inbox.db", "lake") if (settings.folder / n).exists()]
    if used:
        raise Conflict(
            f"{settings.folder} holds {', '.join(used)} already: choose another data folder, or"
            " move it away"
        )


class _Restore:
    """One restore. Members come in the order in which `backup.save` wrote them."""

    def __init__(
        self,
        settings: Settings,
        source: Path,
        clock: Clock,
        engine: Engine,
        lake: Lake,
        progress: Progress,
    ) -> None:
        self._settings, self._source, self._clock = settings, source, clock
        self._engine, self._lake, self._progress = engine, lake, progress
        self._blobs: Blobs = places.blobs(settings)

    def run(self, manifest: Manifest, names: Iterable[str]) -> Summary:
        """All of it."""
        whole = tables_of(iter(names))
        with tempfile.TemporaryDirectory(dir=self._settings.folder) as folder:
            waiting = Path(folder) / "inbox"
            waiting.mkdir()
            self._progress("keys and state")
            rows = dump.load(self._engine, manifest.schema, self._chunks(waiting))
            self._progress("events and blobs")
            events, blobs = self._stores(whole, Path(folder))
            self._progress("what waited in the inbox")
            batches = self._consume(waiting)
        self._settle(manifest, waiting_spans=self._spans)
        return Summary(state_rows=rows, events=events, batches=batches, blobs=blobs)

    def _chunks(self, waiting: Path) -> Iterator[dump.Chunk]:
        """Keys and inbox are put aside on the way to the rows of the state."""
        self._marks = Marks(logs=[])
        self._spans: list[Span] = []
        for name, size, reader in archive.members(self._source):
            kind, _, rest = name.partition("/")
            if kind == "keys":
                self._key(rest, archive.small(name, size, reader))
            elif kind == "inbox":
                log, _, number = rest.partition("/")
                place = waiting / f"{log}-{number}".replace("/", "_")
                place.write_bytes(archive.small(name, size, reader))
            elif name == "spans.msgpack":
                self._spans = _read(archive.small(name, size, reader), list[Span], name)
            elif name == "marks.json":
                data = archive.small(name, size, reader)
                self._marks = msgspec.json.decode(data, type=Marks)
            elif kind == "state":
                yield rest.partition("/")[0], archive.small(name, size, reader)
            elif kind in ("lake", "blobs"):
                return

    def _key(self, name: str, data: bytes) -> None:
        if not KEY_NAME.fullmatch(name):
            raise BadInput(f"{name!r} is not a key's name", source=str(self._source))
        folder = self._settings.folder / "keys"
        make_folder(folder)
        write_atomic(folder / name, data)

    def _stores(self, whole: dict[tuple[str, str], str], folder: Path) -> tuple[int, int]:
        events = blobs = 0
        for name, size, reader in archive.members(self._source):
            kind, _, rest = name.partition("/")
            if kind == "lake":
                tenant, table, _, last = rest.split("/")
                if not name.startswith(whole.get((tenant, table), "\0")):
                    continue  # copied anew later on
                if last == "table.json":
                    data = archive.small(name, size, reader)
                    self._mark(tenant, table, msgspec.json.decode(data, type=TableMark))
                else:
                    events += self._events(tenant, table, int(last) + 1, reader, folder)
            elif kind == "blobs":
                tenant, _, digest = rest.partition("/")
                if self._blobs.put(tenant, reader) != digest:
                    raise BadInput(f"{name!r} has other content", source=str(self._source))
                blobs += 1
        return events, blobs

    def _events(self, tenant: str, table: str, number: int, reader: Any, folder: Path) -> int:
        place = folder / "part.parquet"
        with place.open("wb") as out:
            shutil.copyfileobj(reader, out)
        rows = pq.ParquetFile(place).read(use_threads=False)
        self._lake.append(tenant, table, rows, position=number, app_id="restore")
        place.unlink()
        return int(rows.num_rows)

    def _mark(self, tenant: str, table: str, told: TableMark) -> None:
        """How far the logs of then are in the table: `_consume` goes on from there."""
        handle = self._lake.locked(tenant, table)
        with handle.lock:
            for log, position in told.written.items():
                if position:
                    self._lake.commit(handle, [], Transaction(f"inbox:{log}", position))

    def _consume(self, waiting: Path) -> int:
        names = Hostnames(self._engine)
        live = Live(Feed(self._clock), names)
        poison = Poison(self._engine, self._blobs, self._clock)
        count = 0
        for told in self._marks.logs:
            log = _Waiting(told, sorted(waiting.glob(f"{told.name or '-'}-*")))
            positions = Positions(self._engine, log)
            with write(self._engine) as db:
                for name in CONSUMERS:
                    positions.advance(db, name, told.positions.get(name, 0))
            made = [
                mark_store.Marks(self._engine, name, self._clock) if told.repeats else None
                for name in CONSUMERS
            ]
            state = StateConsumer(
                log,
                Assets(self._engine, hostname=names.of),
                positions,
                live,
                poison,
                self._clock,
                marks=made[0],
            )
            events = LakeConsumer(log, self._lake, positions, poison, self._clock, marks=made[1])
            for one in (state, events):
                while one.step():
                    pass
                one.flush()
            self._spans += log.taken
            count += len(log.taken)
        return count

    def _settle(self, manifest: Manifest, *, waiting_spans: Sequence[Span]) -> None:
        """Begin with an empty inbox that knows what was taken."""
        settings = self._settings
        with write(self._engine) as db:
            marked = db.execute(select(mark.c.agent, mark.c.boot, mark.c.sequence)).all()
            db.execute(delete(consumer))
            db.execute(update(job).values(lease_owner="", lease_until_ns=None))
            db.execute(
                update(agent).values(task_sequence=agent.c.task_sequence + SKIPPED_SEQUENCES)
            )
            spans = [*waiting_spans, *((a, b, 1, n) for a, b, n in marked)]
            if settings.inbox:
                db.execute(delete(mark))
                self._remember(db, spans)
            audit.add(
                db,
                tenant=DEFAULT_TENANT,
                at_ns=self._clock.wall_ns(),
                actor="operator",
                action="backup.restore",
                target=manifest.host,
                detail={"at_ms": manifest.at_ms, "version": manifest.version, "by": __version__},
            )
        if not settings.inbox:
            inbox = SqliteInbox(settings.folder / "inbox.db")
            inbox.remember(joined(sorted(spans)))
            inbox.close()

    def _remember(self, db: Any, spans: Sequence[Span]) -> None:
        """For an inbox that may repeat: the highest sequence of each boot."""
        highest: dict[tuple[str, str], int] = {}
        for name, boot, _, last in spans:
            highest[name, boot] = max(last, highest.get((name, boot), 0))
        rows = [
            {"consumer": c, "agent": a, "boot": b, "sequence": n, "at_ns": self._clock.wall_ns()}
            for c in CONSUMERS
            for (a, b), n in sorted(highest.items())
        ]
        if rows:
            db.execute(insert(mark), rows)


class _Waiting:
    """`ports.Log` over the batches of a backup, a file at a time."""

    def __init__(self, told: LogMark, files: Sequence[Path]) -> None:
        self.id, self.name, self.repeats = told.id, told.name, told.repeats
        self._files = list(files)
        self._first = [_read(f.read_bytes(), list[Any], f.name)[0][7] for f in files]
        self.taken: list[Span] = []
        self._seen = 0

    @property
    def last(self) -> int:
        """Nobody waits for more."""
        return 0

    def read(self, after: int, *, max_items: int, max_bytes: int) -> list[InboxItem]:
        """The items of the first file that has any behind `after`."""
        del max_items, max_bytes  # a file has fewer
        for number, file in enumerate(self._files):
            following = self._first[number + 1] if number + 1 < len(self._files) else None
            if following is not None and following <= after + 1:
                continue
            rows = _read(file.read_bytes(), list[tuple[Any, ...]], file.name)
            items = [InboxItem(*row) for row in rows if row[7] > after]
            if items:
                fresh = (i for i in items if i.position > self._seen)
                self.taken += [(i.agent, i.boot, i.sequence, i.sequence) for i in fresh]
                self._seen = max(self._seen, items[-1].position)
                return items
        return []

    def wait(self, after: int, timeout_s: float) -> bool:
        """Nothing comes."""
        del after, timeout_s
        return False

    def trim(self, upto: int) -> None:
        """The backup stays as it is."""

    def depth(self) -> tuple[int, int]:
        """Not asked for."""
        return 0, 0


def _read(data: bytes, kind: Any, name: str) -> Any:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNDECODABLE as error:
        raise BadInput(f"cannot be decoded: {error}", source=name) from error

"""The durable log between ingest and its consumers: a SQLite file, fsynced per group of batches.

One writer thread commits whatever waits; while it fsyncs, the next group gathers. A batch is known
by (agent, boot, sequence): digests of the newest ones tell a repetition from other bytes under the
same sequence, older ones are kept as spans of sequences.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import secrets
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hauberk.errors import Busy, Conflict, StorageFull, Unsupported
from hauberk.ports import InboxItem
from hauberk.store.files import make_folder
from hauberk.store.spans import Span, fold, joined, seen_before

FORMAT = 1
KEEP_DIGESTS = 50_000
_GROUP = 512
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item(
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL, workload TEXT NOT NULL, agent TEXT NOT NULL, boot TEXT NOT NULL,
  sequence INTEGER NOT NULL, received_ns INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seen(
  agent TEXT NOT NULL, boot TEXT NOT NULL, sequence INTEGER NOT NULL,
  digest BLOB NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY(agent, boot, sequence)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_position ON seen(position);
CREATE TABLE IF NOT EXISTS span(
  agent TEXT NOT NULL, boot TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY(agent, boot, first)) WITHOUT ROWID;
"""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Append:
    items: Sequence[InboxItem]
    future: Future[list[int | None]]


@dataclass(slots=True)
class _Trim:
    upto: int
    future: Future[None]


class SqliteInbox:
    """`ports.Inbox` on one file, and its only `ports.Log`. For one process."""

    name = ""
    repeats = False

    def __init__(
        self,
        path: Path,
        *,
        max_items: int = 200_000,
        max_bytes: int = 2 * 1024**3,
        keep_digests: int = KEEP_DIGESTS,
    ) -> None:
        """Open or make the file.

        Raises:
            Unsupported: a newer Hauberk wrote it.
            StorageFull: no room.
        """
        make_folder(path.parent)
        self.path = path
        self._max_items, self._max_bytes = max_items, max_bytes
        self._keep_digests = keep_digests
        self._reader = _connect(path)
        self._reader_lock = threading.Lock()
        self.id = _prepare(self._reader, path)
        row = self._reader.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(position), 0) FROM item"
        ).fetchone()
        self._depth = (int(row[0]), int(row[1]))
        newest = self._reader.execute("SELECT seq FROM sqlite_sequence WHERE name='item'")
        self._last = int((newest.fetchone() or (row[2],))[0])
        self._arrived = threading.Condition()
        self._jobs: queue.SimpleQueue[_Append | _Trim | None] = queue.SimpleQueue()
        self._closed = self._refusing = False
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    @property
    def logs(self) -> tuple[SqliteInbox]:
        """Itself."""
        return (self,)

    @property
    def last(self) -> int:
        """Position of the newest durable item, 0 when there was none."""
        return self._last

    def depth(self) -> tuple[int, int]:
        """(items, bytes) not yet trimmed."""
        return self._depth

    def start_after(self, position: int) -> None:
        """Give no position up to this one: consumers that met them in another file would skip it.

        Call it before anything is appended.
        """
        if position <= self._last:
            return
        with self._reader_lock:
            row = (position,)
            found = self._reader.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name='item'", row
            )
            if not found.rowcount:
                self._reader.execute("INSERT INTO sqlite_sequence VALUES ('item', ?)", row)
        _log.warning("inbox: %s is another one than before: goes on at %d", self.path, position)
        self._last = position

    def wrong(self) -> str:
        """Why no batch is taken now, "" when they are."""
        count, size = self._depth
        if count >= self._max_items or size >= self._max_bytes:
            return f"the inbox holds {count} batches of {size} bytes: agents have to wait"
        return self._failing

    def submit(self, items: Sequence[InboxItem]) -> Future[list[int | None]]:
        """`append` without waiting; the future fails as `append` raises."""
        future: Future[list[int | None]] = Future()
        count, size = self._depth
        if self._refusing:
            future.set_exception(Busy("the server is stopping", retry_after=10.0))
        elif count >= self._max_items or size >= self._max_bytes:
            future.set_exception(
                Busy(f"the inbox holds {count} batches of {size} bytes: wait", retry_after=15.0)
            )
        else:
            self._jobs.put(_Append(items, future))
        return future

    def append(self, items: Sequence[InboxItem]) -> list[int | None]:
        """Store items durably (fsynced on return); None marks one stored before.

        Raises:
            StorageFull: no room; nothing of `items` was stored.
            Busy: too deep.
            Conflict: a sequence came before with other bytes; nothing of `items` was stored.
        """
        return self.submit(items).result()

    def read(self, after: int, *, max_items: int, max_bytes: int) -> list[InboxItem]:
        """Items with position > after, in order; at least one if there is any."""
        out: list[InboxItem] = []
        size = 0
        query = (
            "SELECT tenant, workload, agent, boot, sequence, received_ns, body, position"
            " FROM item WHERE position > ? ORDER BY position LIMIT ?"
        )
        with self._reader_lock, closing(self._reader.execute(query, (after, max_items))) as rows:
            for row in rows:
                size += len(row[6])
                if out and size > max_bytes:
                    break
                out.append(InboxItem(*row))
        return out

    def wait(self, after: int, timeout_s: float) -> bool:
        """Block until an item behind `after` is durable, or the time is over."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self._last > after or self._closed, timeout_s)

    def trim(self, upto: int) -> None:
        """Forget bodies of positions <= upto; what was seen stays known."""
        future: Future[None] = Future()
        if self._closed:
            return
        self._jobs.put(_Trim(upto, future))
        future.result()

    def spans(self) -> list[Span]:
        """(agent, boot, first, last) of the sequences that were taken, ever."""
        query = (
            "SELECT agent, boot, first, last FROM span"
            " UNION ALL SELECT agent, boot, sequence, sequence FROM seen ORDER BY 1, 2, 3"
        )
        with self._reader_lock:
            return joined(self._reader.execute(query))

    def remember(self, spans: Sequence[Span]) -> None:
        """Count sequences as taken; for a new file, before anything is appended."""
        with self._reader_lock:
            self._reader.executemany("INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?)", spans)

    def size(self) -> int:
        """Bytes on disk."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(f.stat().st_size for f in files if f.exists())

    def close_input(self) -> None:
        """Commit what waits and take nothing more; reading and trimming go on."""
        self._refusing = True
        done: Future[None] = Future()
        self._jobs.put(_Trim(0, done))
        done.result()

    def close(self) -> None:
        """Commit what waits and stop."""
        if self._closed:
            return
        self._refusing = self._closed = True
        self._jobs.put(None)
        self._thread.join()
        with self._arrived:
            self._arrived.notify_all()
        with self._reader_lock:
            self._reader.close()

    def _run(self) -> None:
        db = _connect(self.path)
        try:
            stop = False
            while not stop:
                jobs = [self._jobs.get()]
                while len(jobs) < _GROUP and not self._jobs.empty():
                    jobs.append(self._jobs.get())
                stop = None in jobs
                self._group(db, [j for j in jobs if isinstance(j, _Append)])
                for job in jobs:
                    if isinstance(job, _Trim):
                        self._trim(db, job)
        finally:
            db.close()

    def _group(self, db: sqlite3.Connection, jobs: list[_Append]) -> None:
        # Who gave up was never told that it is stored, and sends it again.
        jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        done: list[tuple[_Append, list[int | None]]] = []
        refused: list[tuple[_Append, Exception]] = []
        items, size = self._depth
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                try:
                    positions = _insert(db, job.items)
                except Conflict as error:
                    refused.append((job, error))
                    continue
                done.append((job, positions))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            _log.exception("inbox: a group of %d was not stored", len(jobs))
            self._failing = str(_translate(error, self.path))
            for job in jobs:
                job.future.set_exception(_translate(error, self.path))
            return
        self._failing = ""
        last = self._last
        for job, positions in done:
            for item, position in zip(job.items, positions, strict=True):
                if position is not None:
                    items, size, last = items + 1, size + len(item.body), position
        with self._arrived:
            self._depth, self._last = (items, size), last
            self._arrived.notify_all()
        for job, positions in done:
            job.future.set_result(positions)
        for job, refusal in refused:
            job.future.set_exception(refusal)

    def _trim(self, db: sqlite3.Connection, job: _Trim) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            count, size = db.execute(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM item WHERE position <= ?",
                (job.upto,),
            ).fetchone()
            db.execute("DELETE FROM item WHERE position <= ?", (job.upto,))
            fold(db, min(job.upto, self._last - self._keep_digests))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            job.future.set_exception(_translate(error, self.path))
            return
        self._depth = (self._depth[0] - count, self._depth[1] - size)
        job.future.set_result(None)


def _insert(db: sqlite3.Connection, items: Sequence[InboxItem]) -> list[int | None]:
    """All of `items` or, on Conflict, none."""
    fresh: dict[tuple[str, str, int], bytes] = {}
    for item in items:
        key = (item.agent, item.boot, item.sequence)
        whole = hashlib.blake2b(item.body, digest_size=16).digest()
        digest = item.digest or whole
        known = fresh.get(key, seen_before(db, key))
        if known is None:
            fresh[key] = digest
        elif known not in (b"", digest, whole):  # version 0.1 kept the digest of the whole body
            raise Conflict(
                f"sequence {item.sequence} of this boot came before with other bytes: "
                "two agents use one key, or a spool was restored"
            )
    positions: list[int | None] = []
    for item in items:
        key = (item.agent, item.boot, item.sequence)
        digest = fresh.pop(key, b"")
        if not digest:
            positions.append(None)
            continue
        row = db.execute(
            "INSERT INTO item(tenant, workload, agent, boot, sequence, received_ns, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (item.tenant, item.workload, *key, item.received_ns, item.body),
        )
        position = int(row.lastrowid or 0)
        db.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?)", (*key, digest, position))
        positions.append(position)
    return positions


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA journal_size_limit=67108864")
    db.execute("PRAGMA cache_size=-4096")
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> str:
    try:
        db.executescript(_SCHEMA)
        db.execute("INSERT OR IGNORE INTO about VALUES ('format', ?)", (str(FORMAT),))
        db.execute("INSERT OR IGNORE INTO about VALUES ('id', ?)", (secrets.token_hex(8),))
    except sqlite3.Error as error:
        raise _translate(error, path) from error
    about = dict(db.execute("SELECT name, value FROM about").fetchall())
    if int(about["format"]) > FORMAT:
        raise Unsupported(f"{path}: written by a newer Hauberk: install that version")
    return str(about["id"])


def _translate(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(f"{path}: no room left: free space on its disk", retry_after=30.0)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return StorageFull(f"{path}: cannot be written ({error})", retry_after=30.0)
    return Busy(f"{path}: {error}", retry_after=5.0)

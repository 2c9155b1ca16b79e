"""The event lake: one Delta table per tenant and OCSF class, at `<tenant>/<table>` of its place.

Columns: those of the event's Struct (`schema.event`), then ``workload``, ``agent``, ``boot``
(string), ``sequence``, ``ordinal`` (row within the batch), ``received_ns`` (int64) and the
partition ``day`` (received day, ``YYYY-MM-DD``, UTC; in the path only). (agent, boot, sequence,
ordinal) is unique. The tenant is in the path, and only there. Columns of a newer agent are added
to the table; older files read as null.

Data files are durable first, then they are committed, then the log entry is made durable, and
only then does the caller advance its position in the inbox (`lake_files` knows how, by place).
Each commit carries the Delta transaction (app id of the inbox, last position): what a crash makes
the caller repeat is left out, and a commit goes in only where the transaction is the one that its
rows begin behind, so that two writers of one log cannot both add them. A torn last log entry is
removed at open, and its rows come again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import RemoveAction

from hauberk.errors import BadWire, Conflict, LostLease, StorageFull, Temporary, Unreachable
from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.ids import TENANT_NAME
from hauberk.store import delta_log
from hauberk.store.arrow import COLUMN_NAME, LIST
from hauberk.store.lake_files import DataFile, Files, Home

ADDED: dict[str, Any] = {
    "workload": pa.string(),
    "agent": pa.string(),
    "boot": pa.string(),
    "sequence": pa.int64(),
    "ordinal": pa.int64(),
    "received_ns": pa.int64(),
}
PARTITION = "day"
MAX_TABLES, MAX_COLUMNS = 64, 160
CHECKPOINT_EVERY = 50
_RETRIES = 8
_KINDS: dict[str, Any] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "list": LIST,
}
_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 1 hours",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
    "delta.enableExpiredLogCleanup": "false",
}
_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Handle:
    """An open table; take `lock` while committing. `written`: position by app id."""

    table: Any
    schema: dict[str, Any]
    home: Home
    lock: threading.RLock
    written: dict[str, int]
    checkpointed: int


class Lake:
    """All tables of one place. Safe for several threads; several processes may write."""

    def __init__(self, files: Files, *, app_id: str, mends: bool = True) -> None:
        """Nothing is opened yet.

        Args:
            files: where the tables live.
            app_id: names the log whose positions are committed, where a call names none.
            mends: undo what a crash left; not beside a process that writes and does so itself.
        """
        self.where, self.app_id, self._mends = files, app_id, mends
        self._handles: dict[tuple[str, str], Handle] = {}
        self._lock = threading.Lock()

    def tables(self) -> list[tuple[str, str]]:
        """(tenant, table) of every table. Raises Unreachable."""
        return self.where.tables()

    def exists(self, tenant: str, table: str) -> bool:
        """Whether there is such a table. Raises Unreachable."""
        with self._lock:
            known = (tenant, table) in self._handles
        return known or self.where.home(tenant, table).exists()

    def written(self, tenant: str, table: str, app_id: str = "") -> int:
        """Position that the table has durably of a log; 0 when it has none or doesn't exist.

        What other processes wrote counts. The next `append` for this log goes on from here.
        """
        if not self.exists(tenant, table):
            return 0
        app_id = app_id or self.app_id
        handle = self.locked(tenant, table)
        with handle.lock:
            handle.written[app_id] = handle.table.transaction_version(app_id) or 0
            return handle.written[app_id]

    def columns(self, tenant: str, table: str) -> dict[str, Any]:
        """Arrow type by column of a table, which is made when it doesn't exist, without `day`.

        Raises:
            BadWire: not a name of a table, or one table too many.
        """
        return dict(self._handle(tenant, table, create=True).schema)

    def append(
        self, tenant: str, table: str, rows: Any, *, position: int, app_id: str = ""
    ) -> bool:
        """Add rows (a pyarrow.Table with the columns of `ADDED`), durable on return.

        Args:
            tenant: from the credential.
            table: name of the event class.
            rows: event columns and those of `ADDED`, without the partition.
            position: inbox position of the newest row; all rows of positions that `written` does
                not tell yet and up to this one must be in `rows`.
            app_id: names the log that `position` is of.

        Returns:
            False when that position was written before.

        Raises:
            BadWire: a column has another type than the table's, or there are too many.
            StorageFull: no room; nothing was committed.
            Unreachable: the store does not answer. Call again with the same position and rows:
                should the commit be there after all, it is found.
            LostLease: another process wrote rows of this log since `written` was asked; nothing
                was committed. Ask again and begin there.
            Temporary: other writers kept winning.
        """
        handle = self._handle(tenant, table, create=True)
        app_id = app_id or self.app_id
        with handle.lock:
            if app_id not in handle.written:
                handle.written[app_id] = handle.table.transaction_version(app_id) or 0
            after = handle.written[app_id]
            if position <= after:
                return False
            self._evolve(handle, rows.schema)
            actions = [handle.home.write(day, part, level=1) for day, part in _by_day(rows)]
            handle.home.settle(actions)
            self.commit(handle, actions, Transaction(app_id, position), after=after)
            handle.written[app_id] = position
            if handle.table.version() - handle.checkpointed >= CHECKPOINT_EVERY:
                try:
                    self._checkpoint(handle)
                except (OSError, DeltaError, StorageFull, Unreachable) as error:
                    # The rows are in; the next commit tries again.
                    _log.warning("lake: %s: no checkpoint: %s", handle.home.url, error)
        return True

    def commit(
        self, handle: Handle, actions: Sequence[Any], mark: Transaction, *, after: int | None = None
    ) -> None:
        """Commit actions whose data is durable; the log entry is durable on return.

        Every commit has a transaction as its last action, so that a torn entry can be told.
        `after`: the version of that transaction that the actions build upon.

        Raises:
            LostLease: the table has another version of that transaction.
            Conflict: a file that would be removed is gone already.
            StorageFull, Unreachable, Temporary: see `append`.
        """
        removed = {a.path for a in actions if isinstance(a, RemoveAction)}
        with handle.home.guard():
            self._commit(handle, actions, removed, mark, after)

    def _commit(
        self,
        handle: Handle,
        actions: Sequence[Any],
        removed: set[str],
        mark: Transaction,
        after: int | None,
    ) -> None:
        before = handle.table.version()
        for attempt in range(_RETRIES):
            there = handle.table.transaction_version(mark.app_id) or 0
            if there == mark.version:
                break  # it is in the log: the answer to an earlier try got lost
            if after is not None and there != after:
                raise LostLease(
                    f"{handle.home.url}: another process wrote {mark.app_id} up to {there},"
                    f" this one began behind {after}"
                )
            if removed and not removed <= _paths(handle):
                raise Conflict(f"{handle.home.url}: files to be replaced are gone already")
            try:
                handle.table.create_write_transaction(
                    list(actions),
                    mode="append",
                    schema=handle.table.schema(),
                    partition_by=[PARTITION],
                    commit_properties=CommitProperties(
                        custom_metadata={delta_log.MARK: "1"}, app_transactions=[mark]
                    ),
                    post_commithook_properties=_HOOKS,
                )
                break
            except CommitFailedError:
                handle.table.update_incremental()
                _log.info("lake: %s: another commit won, try %d", handle.home.url, attempt + 1)
        else:
            raise Temporary(f"{handle.home.url}: other writers kept winning", retry_after=2.0)
        handle.table.update_incremental()
        handle.home.logged(before, handle.table.version())

    def locked(self, tenant: str, table: str) -> Handle:
        """A table's handle, fresh; take its `lock` while committing.

        Raises:
            TableNotFoundError: no such table.
            Unreachable: the store does not answer.
        """
        handle = self._handle(tenant, table)
        with handle.lock, handle.home.guard():
            handle.table.update_incremental()
        return handle

    def files(self, tenant: str, table: str) -> list[DataFile]:
        """Live files of a table, oldest received first."""
        handle = self.locked(tenant, table)
        with handle.lock:
            actions = pa.table(handle.table.get_add_actions(flatten=True))
        if not actions.num_rows:
            return []
        first, last = "min.received_ns", "max.received_ns"
        names = ["path", "size_bytes", "num_records", f"partition.{PARTITION}", first, last]
        columns = [
            actions.column(name).to_pylist()
            if name in actions.column_names
            else [None] * actions.num_rows
            for name in names
        ]
        files = [
            # A file without statistics may hold anything.
            DataFile(str(p), int(b), int(n or 0), str(d), int(f or 0), int(t or 2**63 - 1))
            for p, b, n, d, f, t in zip(*columns, strict=True)
        ]
        return sorted(files, key=lambda f: (f.day, f.first_ns, f.path))

    def checkpoint(self, tenant: str, table: str) -> None:
        """Write a checkpoint if there were commits since the last, then drop old log entries."""
        handle = self.locked(tenant, table)
        with handle.lock, handle.home.guard():
            if handle.table.version() > handle.checkpointed:
                self._checkpoint(handle)
            handle.table.cleanup_metadata()

    def vacuum(self, tenant: str, table: str, *, hours: int = 1) -> int:
        """Delete files that no live version names since `hours`; how many."""
        handle = self.locked(tenant, table)
        with handle.lock, handle.home.guard():
            gone = handle.table.vacuum(
                retention_hours=hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                commit_properties=CommitProperties(custom_metadata={delta_log.MARK: "1"}),
                post_commithook_properties=_HOOKS,
            )
            before = handle.checkpointed
            handle.table.update_incremental()
            handle.home.logged(max(before, 0), handle.table.version())
        return len(gone)

    def _checkpoint(self, handle: Handle) -> None:
        with handle.home.guard():
            handle.table.create_checkpoint()
            handle.home.kept_checkpoint()
        handle.checkpointed = handle.table.version()

    def _handle(self, tenant: str, table: str, *, create: bool = False) -> Handle:
        with self._lock:
            handle = self._handles.get((tenant, table))
            if handle is None:
                handle = self._open(tenant, table, create=create)
                self._handles[tenant, table] = handle
            return handle

    def _open(self, tenant: str, table: str, *, create: bool) -> Handle:
        if not TENANT_NAME.fullmatch(tenant) or not COLUMN_NAME.fullmatch(table):
            raise BadWire(f"{tenant!r}/{table!r} is not the name of a table")
        home = self.where.home(tenant, table)
        if self._mends:
            home.repair()
        with home.guard():
            try:
                delta = DeltaTable(home.url, storage_options=home.options)
            except TableNotFoundError:
                if not create:
                    raise
                if len(self.where.names(tenant)) >= MAX_TABLES:
                    raise BadWire(
                        f"tenant {tenant} has {MAX_TABLES} event tables already"
                    ) from None
                delta = _create(home, table)
        return Handle(delta, _types(delta), home, threading.RLock(), {}, home.checkpointed())

    def _evolve(self, handle: Handle, schema: Any) -> None:
        """Add columns of a newer agent. Raises BadWire for another type or too many."""
        if not _fresh(handle, schema):
            return
        with handle.home.guard():
            self._add_columns(handle, schema)

    def _add_columns(self, handle: Handle, schema: Any) -> None:
        for _ in range(_RETRIES):
            # Another process may have added them, with other types at worst.
            before = handle.table.version()
            handle.table.update_incremental()
            handle.schema = _types(handle.table)
            fresh = _fresh(handle, schema)
            if not fresh:
                return
            if len(handle.schema) + len(fresh) > MAX_COLUMNS:
                raise BadWire(f"{handle.home.url} would get over {MAX_COLUMNS} columns")
            try:
                handle.table.alter.add_columns([Field.from_arrow(f) for f in fresh])
            except CommitFailedError:
                continue
            handle.table.update_incremental()
            handle.home.logged(before, handle.table.version())
            handle.schema |= {f.name: f.type for f in fresh}
            return
        raise Temporary(f"{handle.home.url}: other writers kept winning", retry_after=2.0)


def _create(home: Home, table: str) -> Any:
    home.prepare()
    known = EVENT_CLASSES.get(table)
    fields = [] if known is None else [(c.name, _KINDS[c.kind]) for c in columns_of(known)]
    schema = pa.schema([*fields, *ADDED.items(), (PARTITION, pa.string())])
    try:
        delta = DeltaTable.create(
            home.url,
            schema=schema,
            partition_by=[PARTITION],
            configuration=_CONFIGURATION,
            storage_options=home.options,
        )
    except (OSError, DeltaError):
        if not home.exists():
            raise
        return DeltaTable(home.url, storage_options=home.options)  # another process was faster
    home.logged(-1, delta.version())
    return delta


def _paths(handle: Handle) -> set[str]:
    return set(pa.table(handle.table.get_add_actions(flatten=True)).column("path").to_pylist())


def _types(delta: Any) -> dict[str, Any]:
    """Arrow type by column, without the partition."""
    fields = [pa.field(f) for f in pa.schema(delta.schema())]
    return {f.name: f.type for f in fields if f.name != PARTITION}


def _fresh(handle: Handle, schema: Any) -> list[Any]:
    """Fields that the table has not yet. Raises BadWire for one that has another type there."""
    fresh: list[Any] = []
    for field in schema:
        known = handle.schema.get(field.name)
        if known is None and field.name != PARTITION:
            fresh.append(field)
        elif known != field.type:
            raise BadWire(f"column {field.name!r} is {field.type} here and {known} in the lake")
    return fresh


def day_of(received_ns: int) -> str:
    """The partition of a received time."""
    return datetime.fromtimestamp(received_ns / 1e9, UTC).strftime("%Y-%m-%d")


def _by_day(rows: Any) -> Iterator[tuple[str, Any]]:
    """Split rows at midnight UTC; they come in received order, give or take."""
    ns = 86_400 * 1_000_000_000
    days = pa.compute.divide(rows.column("received_ns"), ns)
    for day in pa.compute.unique(days).to_pylist():
        part = rows.filter(pa.compute.equal(days, day)) if len(days) else rows
        yield day_of(day * ns), part

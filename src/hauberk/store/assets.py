"""Inventory tables of batches -> rows, changes, collections, relations and roles of the state.

One SQL transaction takes many batches and the consumer's position, so that a crash repeats nothing.
Times are the server's (received): clocks of workloads lie.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, func, select, tuple_, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from hauberk.errors import BadWire
from hauberk.link import rows as kinds
from hauberk.link import wire
from hauberk.link.wire import Table
from hauberk.schema.ids import row_id
from hauberk.schema.view import Change
from hauberk.store import desired
from hauberk.store.database import is_temporary, write
from hauberk.store.dialect import index_key, storable_fields
from hauberk.store.labels import kind_of
from hauberk.store.labels import kinds as kinds_here
from hauberk.store.sets import Incoming, collections, relations, roles, structs
from hauberk.store.tables import asset, asset_change, collection, snapshot_part, workload

CONSUMER = "state"
MAX_PARTS = 100_000
_CHUNK = 400
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
Rows = list[dict[str, Any]]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Applied:
    """What one transaction did: change rows per tenant, tables that could not be used."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    collected: set[tuple[str, str]] = field(default_factory=set)
    poison: list[tuple[Incoming, Table, str]] = field(default_factory=list)


def is_inventory(name: str) -> bool:
    """Whether a table of a batch belongs to the state rather than to the event lake."""
    return name.startswith((kinds.ASSET, kinds.GONE)) or name in (
        kinds.COLLECTION,
        kinds.RELATION,
        kinds.ROLE,
    )


class Assets:
    """Applies inventory. One thread at a time."""

    def __init__(self, engine: Engine, *, hostname: Callable[[str, str], str]) -> None:
        """`hostname(tenant, workload)` fills the change rows that are published."""
        self._engine, self._hostname = engine, hostname
        kinds_here()  # a broken collector stops the start, not the first batch

    def apply(
        self, batches: Sequence[Incoming], keep: Callable[[Connection, Applied], object]
    ) -> Applied:
        """Apply batches, all or nothing, with what `keep` writes: the consumer's position.

        A table that cannot be used is left out whole and told in `poison`. What still waited of a
        workload that was removed is passed over.
        """
        done = Applied()
        with write(self._engine) as db:
            homes = _homes(db, batches)
            for batch in batches:
                if (batch.tenant, batch.workload) not in homes:
                    _log.info("state: a batch of workload %s, which was removed", batch.workload)
                    continue
                for table in batch.tables:
                    try:
                        with db.begin_nested():
                            fresh = _apply(db, batch, table)
                    except BadWire as error:
                        done.poison.append((batch, table, str(error)))
                        continue
                    except Exception as error:  # one table must not stop all
                        if is_temporary(error):
                            raise
                        _log.exception("state: %s of workload %s", table.name, batch.workload)
                        reason = f"{type(error).__name__}: {error}"
                        done.poison.append((batch, table, reason))
                        continue
                    if fresh:
                        changes = self._publishable(fresh)
                        done.changes.setdefault(batch.tenant, []).extend(changes)
                    if table.name == kinds.COLLECTION:
                        done.collected.add((batch.tenant, batch.workload))
            keep(db, done)
        return done

    def _publishable(self, fresh: Rows) -> list[Change]:
        return [
            Change(
                seq=row["seq"],
                at_ms=row["at_ns"] // 1_000_000,
                workload=row["workload"],
                hostname=self._hostname(row["tenant"], row["workload"]),
                subclass=row["subclass"],
                asset=row["asset"],
                label=row["label"],
                kind=row["kind"],
                before=_decode(row["before"]),
                after=_decode(row["after"]),
            )
            for row in fresh
        ]


def _homes(db: Connection, batches: Sequence[Incoming]) -> set[tuple[str, str]]:
    """(tenant, workload) of those that exist."""
    asked = sorted({(batch.tenant, batch.workload) for batch in batches})
    found: set[tuple[str, str]] = set()
    for first in range(0, len(asked), _CHUNK):
        some = asked[first : first + _CHUNK]
        query = select(workload.c.tenant, workload.c.id).where(
            tuple_(workload.c.tenant, workload.c.id).in_(some)
        )
        found |= {(row[0], row[1]) for row in db.execute(query)}
    return found


def _apply(db: Connection, batch: Incoming, table: Table) -> Rows:
    name = table.name
    if name.startswith(kinds.ASSET):
        return _assets(db, batch, table, name.removeprefix(kinds.ASSET))
    if name.startswith(kinds.GONE):
        return _gone(db, batch, table, name.removeprefix(kinds.GONE))
    if name == kinds.COLLECTION:
        collections(db, batch, structs(table, kinds.CollectionRow))
    elif name == kinds.RELATION:
        relations(db, batch, structs(table, kinds.RelationRow))
    else:
        roles(db, batch, structs(table, kinds.RoleRow))
    return []


def _assets(db: Connection, batch: Incoming, table: Table, subclass: str) -> Rows:
    kind = kind_of(subclass)
    stored = [storable_fields(row) for row in wire.decode_rows(table)]
    rows = {kind.key(row): row for row in stored}
    epoch, full = _meta(table, "epoch"), bool(_meta(table, "full"))
    here = _here(batch, subclass)
    proved = any(t.name == kinds.COLLECTION for t in batch.tables)
    if not full and not proved and _newest_epoch(db, batch, subclass) is None:
        # Upserts over nothing: this server lost the snapshot they build on.
        desired.request_resync(db, batch.tenant, batch.workload)
    old = _existing(db, here, None if full else list(rows))
    upserts: Rows = []
    touched: list[str] = []
    changes: Rows = []
    for key, fields in rows.items():
        before = old.get(key)
        row = _row(batch, subclass, key, kind.label(fields, key), fields, epoch)
        if before is not None:
            row["first_seen_ns"] = before["first_seen_ns"]
        if before is None or before["gone_ns"] is not None:
            changes.append(_change(batch, row, "added", {}, fields))
            upserts.append(row)
            continue
        row["changed_ns"] = before["changed_ns"]
        if row["fields"] == before["fields"]:
            touched.append(key)
            continue
        past, now = kind.difference(_decode(before["fields"]), fields)
        if past or now:
            row["changed_ns"] = batch.received_ns
            changes.append(_change(batch, row, "changed", past, now))
        upserts.append(row)
    seen = {"last_seen_ns": batch.received_ns, "epoch": epoch}
    _store(db, here, seen, upserts, touched)
    if full and _complete(db, batch, table, subclass, epoch):
        changes += _sweep(db, batch, subclass, epoch)
    return _log_changes(db, changes)


def _gone(db: Connection, batch: Incoming, table: Table, subclass: str) -> Rows:
    keys = [index_key(row.key) for row in structs(table, kinds.GoneRow)]
    here = _here(batch, subclass)
    old = {k: v for k, v in _existing(db, here, keys).items() if v["gone_ns"] is None}
    return _log_changes(db, _remove(db, batch, here, list(old.values())))


def _sweep(db: Connection, batch: Incoming, subclass: str, epoch: int) -> Rows:
    """Remove what a complete snapshot did not name.

    Epochs are compared for equality only: the workload's clock may jump back.
    """
    here = _here(batch, subclass)
    stale = here & (asset.c.epoch != epoch) & asset.c.gone_ns.is_(None)
    rows = [dict(r) for r in db.execute(select(asset).where(stale)).mappings()]
    return _remove(db, batch, here, rows)


def _remove(db: Connection, batch: Incoming, here: Any, rows: Rows) -> Rows:
    keys = [row["key"] for row in rows]
    for part in _chunks(keys):
        gone = {"gone_ns": batch.received_ns, "changed_ns": batch.received_ns}
        db.execute(update(asset).where(here, asset.c.key.in_(part)).values(**gone))
    return [_change(batch, row, "removed", _decode(row["fields"]), {}) for row in rows]


def _complete(db: Connection, batch: Incoming, table: Table, subclass: str, epoch: int) -> bool:
    """Note a part of a snapshot; True when all parts of this epoch have come, in any order."""
    part, parts = _meta(table, "part", 0), _meta(table, "parts", 1)
    if not 1 <= parts <= MAX_PARTS:
        raise BadWire(f"table {table.name!r}: {parts} parts; at most {MAX_PARTS}")
    where = (
        (snapshot_part.c.tenant == batch.tenant)
        & (snapshot_part.c.workload == batch.workload)
        & (snapshot_part.c.subclass == subclass)
    )
    db.execute(delete(snapshot_part).where(where, snapshot_part.c.epoch != epoch))
    if parts == 1:
        return True
    mine = {"tenant": batch.tenant, "workload": batch.workload, "subclass": subclass}
    noted = insert(snapshot_part).values(mine | {"epoch": epoch, "part": part})
    db.execute(noted.on_conflict_do_nothing())
    if int(db.execute(select(func.count()).where(where)).scalar() or 0) < parts:
        return False
    db.execute(delete(snapshot_part).where(where))
    return True


def _existing(db: Connection, here: Any, keys: list[str] | None) -> dict[str, dict[str, Any]]:
    if keys is None:
        return {r["key"]: dict(r) for r in db.execute(select(asset).where(here)).mappings()}
    found: dict[str, dict[str, Any]] = {}
    for part in _chunks(keys):
        query = select(asset).where(here, asset.c.key.in_(part))
        found |= {r["key"]: dict(r) for r in db.execute(query).mappings()}
    return found


def _store(
    db: Connection, here: Any, seen: dict[str, int], upserts: Rows, touched: list[str]
) -> None:
    if upserts:
        statement = insert(asset)
        set_ = {c.name: statement.excluded[c.name] for c in asset.c if not c.primary_key}
        db.execute(
            statement.on_conflict_do_update(index_elements=asset.primary_key, set_=set_), upserts
        )
    for part in _chunks(touched):
        db.execute(update(asset).where(here, asset.c.key.in_(part)).values(**seen))


def _row(
    batch: Incoming, subclass: str, key: str, label: str, fields: dict[str, Any], epoch: int
) -> dict[str, Any]:
    now = batch.received_ns
    return {
        "tenant": batch.tenant,
        "workload": batch.workload,
        "subclass": subclass,
        "key": key,
        "id": row_id(batch.workload, subclass, key),
        "label": label,
        "fields": _encode(fields).decode(),
        "first_seen_ns": now,
        "changed_ns": now,
        "last_seen_ns": now,
        "gone_ns": None,
        "epoch": epoch,
    }


def _change(
    batch: Incoming, row: dict[str, Any], kind: str, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    return {
        "tenant": batch.tenant,
        "workload": batch.workload,
        "subclass": row["subclass"],
        "asset": row["id"],
        "label": row["label"],
        "at_ns": batch.received_ns,
        "kind": kind,
        "before": _encode(before).decode(),
        "after": _encode(after).decode(),
    }


def _log_changes(db: Connection, changes: Rows) -> Rows:
    """Write the change log; the rows with their `seq`."""
    if not changes:
        return []
    last = int(db.execute(select(func.max(asset_change.c.seq))).scalar() or 0)
    # The write lock is ours: sequence numbers are given here, in order.
    numbered = [row | {"seq": last + i} for i, row in enumerate(changes, 1)]
    db.execute(plain_insert(asset_change), numbered)
    return numbered


def _newest_epoch(db: Connection, batch: Incoming, subclass: str) -> int | None:
    query = select(collection.c.epoch).where(
        collection.c.tenant == batch.tenant,
        collection.c.workload == batch.workload,
        collection.c.subclass == subclass,
    )
    return db.execute(query).scalar()


def _here(batch: Incoming, subclass: str) -> Any:
    return (
        (asset.c.tenant == batch.tenant)
        & (asset.c.workload == batch.workload)
        & (asset.c.subclass == subclass)
    )


def _meta(table: Table, name: str, default: int = 0) -> int:
    value = table.meta.get(name, default)
    if not isinstance(value, int):
        raise BadWire(f"table {table.name!r}: meta {name} is not a number")
    return value


def _chunks(values: list[str]) -> list[list[str]]:
    return [values[i : i + _CHUNK] for i in range(0, len(values), _CHUNK)]

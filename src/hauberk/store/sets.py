"""Tables of a batch that say a whole set anew: collections, relations, roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from hauberk.errors import BadWire
from hauberk.link import rows as kinds
from hauberk.link import wire
from hauberk.link.wire import Table
from hauberk.store.dialect import index_key, storable_fields
from hauberk.store.tables import collection
from hauberk.store.tables import relation as relation_table
from hauberk.store.tables import role as role_table

_MAX_NAME = 100
_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Incoming:
    """The inventory tables of one batch, with where it came from."""

    tenant: str
    workload: str
    received_ns: int
    position: int
    tables: Sequence[Table]


def collections(db: Connection, batch: Incoming, rows: list[kinds.CollectionRow]) -> None:
    """Keep the newest proof per subclass."""
    for row in rows:
        _names(row.subclass)
        values = {
            "outcome": row.outcome,
            "rows": row.rows,
            "epoch": row.epoch,
            "ended_ns": row.ended_ns,
            "received_ns": batch.received_ns,
            "cpu_s": row.cpu_s,
            "problems": _encode(row.problems()).decode(),
        }
        if row.outcome == "ok" and row.full:
            values["proved_ns"] = batch.received_ns
        mine = {"tenant": batch.tenant, "workload": batch.workload, "subclass": row.subclass}
        statement = insert(collection).values(mine | values)
        db.execute(statement.on_conflict_do_update(index_elements=list(mine), set_=values))


def relations(db: Connection, batch: Incoming, rows: list[kinds.RelationRow]) -> None:
    """Make the workload's relations these."""
    names = ("kind", "src_subclass", "src_key", "dst_subclass", "dst_key")
    for r in rows:
        _names(r.kind, r.src_subclass, r.dst_subclass)
    fresh = {tuple(index_key(getattr(r, n)) for n in names): r.evidence for r in rows}
    here = (relation_table.c.tenant == batch.tenant) & (relation_table.c.workload == batch.workload)
    stored = db.execute(select(relation_table).where(here)).mappings()
    old = {tuple(r[n] for n in names): r["evidence"] for r in stored}
    mine = {"tenant": batch.tenant, "workload": batch.workload}
    stale = [dict(zip(names, k, strict=True)) for k in old if fresh.get(k) != old[k]]
    for row in stale:
        match = [relation_table.c[n] == v for n, v in row.items()]
        db.execute(delete(relation_table).where(here, *match))
    added = [
        mine | dict(zip(names, k, strict=True)) | {"evidence": e}
        for k, e in fresh.items()
        if old.get(k) != e
    ]
    if added:
        db.execute(plain_insert(relation_table), added)


def roles(db: Connection, batch: Incoming, rows: list[kinds.RoleRow]) -> None:
    """Make the workload's role tags these."""
    mine = {"tenant": batch.tenant, "workload": batch.workload}
    _names(*(r.role for r in rows))
    db.execute(
        delete(role_table).where(
            role_table.c.tenant == batch.tenant, role_table.c.workload == batch.workload
        )
    )
    fresh = {
        r.role: mine
        | {
            "role": r.role,
            "title_en": r.title_en,
            "title_zh": r.title_zh,
            "confidence": r.confidence,
            "evidence": _encode(r.evidence).decode(),
        }
        for r in rows
    }
    if fresh:
        db.execute(plain_insert(role_table), list(fresh.values()))


def _names(*names: str) -> None:
    """Raises BadWire for a name that no content has and no index takes."""
    for name in names:
        if len(name) > _MAX_NAME:
            raise BadWire(f"a name of {len(name)} characters: {name[:40]!r}")


def structs(table: Table, kind: type[Any]) -> list[Any]:
    """A table's rows as Structs. Raises BadWire."""
    try:
        rows = [storable_fields(row) for row in wire.decode_rows(table)]
        return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise BadWire(f"table {table.name!r}: {error}") from error

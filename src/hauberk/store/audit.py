"""The audit log: one hash chain per tenant. Each entry's hash covers it and the hash before."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.engine import RowMapping

from hauberk.schema.view import AuditCheck, AuditView, Page
from hauberk.store import query
from hauberk.store.database import read, write
from hauberk.store.dialect import storable, storable_json
from hauberk.store.query import Field, Listing
from hauberk.store.tables import audit

_MS = 1_000_000
_MAX_TEXT = 500
_MAX_DETAIL = 8192
_FIELDS = ("tenant", "seq", "at_ns", "actor", "action", "target", "detail", "prev_hash")


def append(
    engine: Engine,
    *,
    tenant: str,
    at_ns: int,
    actor: str,
    action: str,
    target: str = "",
    detail: Mapping[str, Any] | None = None,
) -> str:
    """Add an entry in a transaction of its own; returns its hash. Raises Busy, StorageFull."""
    with write(engine) as db:
        return add(
            db,
            tenant=tenant,
            at_ns=at_ns,
            actor=actor,
            action=action,
            target=target,
            detail=detail,
        )


def add(
    db: Connection,
    *,
    tenant: str,
    at_ns: int,
    actor: str,
    action: str,
    target: str = "",
    detail: Mapping[str, Any] | None = None,
) -> str:
    """Add an entry within a transaction of `database.write`: its lock keeps the chain single."""
    last = db.execute(
        select(audit.c.seq, audit.c.hash)
        .where(audit.c.tenant == tenant)
        .order_by(audit.c.seq.desc())
        .limit(1)
    ).first()
    # The hash is of what the database keeps.
    text = storable_json(msgspec.json.encode(dict(detail or {}), order="sorted").decode())
    if len(text) > _MAX_DETAIL:
        text = msgspec.json.encode({"cut": text[:_MAX_TEXT]}).decode()
    entry: dict[str, Any] = {
        "tenant": tenant,
        "seq": 1 if last is None else last[0] + 1,
        "at_ns": at_ns,
        "actor": storable(actor[:_MAX_TEXT]),
        "action": action,
        "target": storable(target[:_MAX_TEXT]),
        "detail": text,
        "prev_hash": "" if last is None else last[1],
    }
    entry["hash"] = hash_of(entry)
    db.execute(insert(audit).values(entry))
    return str(entry["hash"])


def hash_of(entry: Mapping[str, Any]) -> str:
    """SHA-256 over the entry's fields, unambiguously joined (a JSON array)."""
    return hashlib.sha256(msgspec.json.encode([entry[name] for name in _FIELDS])).hexdigest()


def page(
    engine: Engine, tenant: str, text: str, cursor: str | None, limit: int, now_ms: int
) -> Page[AuditView]:
    """One page, newest first. Raises BadFilter, BadInput."""
    listing = _listing(tenant)
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
    items = [_view(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ms)


def every(engine: Engine, tenant: str, text: str) -> Iterator[AuditView]:
    """The whole chain, newest first, without a cap. Raises BadFilter."""
    rows = query.every(partial(read, engine), _listing(tenant), text=text, sort="")
    return (_view(row) for row in rows)


def _listing(tenant: str) -> Listing:
    c = audit.c
    fields = {
        "seq": Field("int", c.seq, nullable=False),
        "at_ms": Field("int", c.at_ns // _MS, nullable=False),
        "actor": Field("str", c.actor, nullable=False),
        "action": Field("str", c.action, nullable=False),
        "target": Field("str", c.target, nullable=False),
        "detail": Field("str", c.detail, nullable=False),
    }
    rows = select(audit).where(c.tenant == tenant)
    return Listing(rows, fields, c.seq, "-seq", ("audit", tenant), "int")


def verify(engine: Engine, tenant: str) -> AuditCheck:
    """Walk the chain from its first entry.

    A chain whose newest entries were cut off is still whole in itself: compare `head` and
    `entries` with what was noted before.
    """
    count, before = 0, ""
    with read(engine) as db:
        query_ = select(audit).where(audit.c.tenant == tenant).order_by(audit.c.seq)
        with db.execute(query_.execution_options(yield_per=1000)) as found:
            for row in found.mappings():
                whole = (
                    row["seq"] == count + 1
                    and hmac.compare_digest(row["prev_hash"].encode(), before.encode())
                    and hmac.compare_digest(row["hash"].encode(), hash_of(dict(row)).encode())
                )
                if not whole:
                    return AuditCheck(
                        entries=count, intact=False, broken_at=row["seq"], head=before
                    )
                count, before = count + 1, row["hash"]
    return AuditCheck(entries=count, intact=True, head=before)


def _view(row: RowMapping) -> AuditView:
    return AuditView(
        seq=row["seq"],
        at_ms=row["at_ns"] // _MS,
        actor=row["actor"],
        action=row["action"],
        target=row["target"],
        detail=msgspec.json.decode(row["detail"], type=dict[str, Any]),
        hash=row["hash"],
    )

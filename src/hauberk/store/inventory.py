"""What the inventory of a tenant holds: taxonomy, asset lists, details, changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, and_, case, func, or_, select
from sqlalchemy.engine import RowMapping

from hauberk.errors import NotFound
from hauberk.ports import Collector
from hauberk.registry import discover
from hauberk.schema.asset import Column, columns_of
from hauberk.schema.taxonomy import CLASSES, SUBCLASSES
from hauberk.schema.view import (
    AssetDetail,
    AssetRow,
    AssetState,
    Change,
    ClassState,
    Edge,
    Facets,
    FacetValue,
    Page,
    SubclassState,
)
from hauberk.store import dialect, query, typed
from hauberk.store.database import read
from hauberk.store.query import Field, Listing
from hauberk.store.tables import asset, asset_change, collection, relation, workload

MS = 1_000_000
MAX_FACETS = 50
MAX_EDGES = 500
_decode: Callable[[str], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class AssetScope:
    """Which asset list: rows of one subclass in one tenant, narrowed."""

    tenant: str
    subclass: str
    text: str = ""
    sort: str = ""
    workload: str | None = None
    gone: bool = False
    changed_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeScope:
    """Which part of the change log."""

    tenant: str
    text: str = ""
    workload: str | None = None
    since_ms: int | None = None


@cache
def collectors() -> dict[str, Collector]:
    """Collector per subclass, as this version ships them."""
    found = discover("hauberk.assets", "COLLECTOR", Collector)
    return {c.subclass: c for c in found.values()}


@cache
def columns(subclass: str) -> tuple[Column, ...]:
    """Columns of a subclass; none where nothing collects it yet.

    Raises:
        NotFound: no such subclass.
    """
    if subclass not in SUBCLASSES:
        raise NotFound(f"no asset subclass {subclass[:60]!r}; GET /taxonomy lists them")
    collector = collectors().get(subclass)
    return columns_of(collector.struct) if collector else ()


def assets(
    engine: Engine, scope: AssetScope, cursor: str | None, limit: int, now_ms: int
) -> Page[AssetRow]:
    """One page of the list. Raises NotFound, BadFilter, BadInput."""
    listing = _asset_listing(scope)
    with read(engine) as db:
        found = query.page(
            db, listing, text=scope.text, sort=scope.sort, cursor=cursor, limit=limit
        )
    items = [asset_row(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ms)


def all_assets(engine: Engine, scope: AssetScope) -> Iterator[AssetRow]:
    """Every row of the list, without a cap."""
    rows = query.every(
        partial(read, engine), _asset_listing(scope), text=scope.text, sort=scope.sort
    )
    return (asset_row(row) for row in rows)


def facets(engine: Engine, scope: AssetScope, name: str, now_ms: int) -> Facets:
    """The most frequent values of one column. Raises NotFound, BadFilter."""
    listing = _asset_listing(scope)
    kind = typed.kind_of(name, listing.kinds())
    with read(engine) as db:
        value = listing.fields[name].expression.label("value")
        inner = query.narrow(db, listing, scope.text)
        rows = inner.with_only_columns(value, maintain_column_froms=True).subquery()
        counted: Select[Any]
        if kind == "list":
            item = dialect.json_items(rows.c.value, joins=True)
            one: ColumnElement[Any] = item.c.value
            counted = select(one, func.count().label("n")).select_from(rows, item)
        else:
            one = rows.c.value
            counted = select(one, func.count().label("n"))
        counted = counted.group_by(one).order_by(func.count().desc(), one.nulls_first())
        found = db.execute(counted.limit(MAX_FACETS + 1)).all()
    values = [FacetValue(value=_facet(kind, v), count=n) for v, n in found[:MAX_FACETS]]
    return Facets(field=name, values=values, more=len(found) > MAX_FACETS, as_of_ms=now_ms)


def _facet(kind: str, value: Any) -> Any:
    return bool(value) if kind == "bool" and value is not None else query.plain(value)


def detail(engine: Engine, tenant: str, asset_id: str) -> AssetDetail:
    """One asset with relations and history. Raises NotFound."""
    with read(engine) as db:
        row = db.execute(_asset_rows(tenant).where(asset.c.id == asset_id)).mappings().one_or_none()
        if row is None:
            raise NotFound("no such asset in this tenant; it may have been forgotten")
        edges = db.execute(_edges(tenant, row).limit(MAX_EDGES)).mappings().all()
        others = {}
        ids = {e["other_id"] for e in edges if e["other_id"]}
        if ids:
            found = db.execute(_asset_rows(tenant).where(asset.c.id.in_(ids))).mappings()
            others = {r["id"]: asset_row(r) for r in found}
        log = db.execute(
            _change_rows(tenant)
            .where(asset_change.c.asset == asset_id)
            .order_by(asset_change.c.seq.desc())
            .limit(100)
        ).mappings()
        changes_ = [change(r) for r in log]
    views = [
        Edge(
            kind=e["kind"],
            direction="out" if e["outward"] else "in",
            asset=others.get(e["other_id"]),
            subclass=e["subclass"],
            key=e["key"],
            evidence=e["evidence"],
        )
        for e in edges
    ]
    return AssetDetail(
        asset=asset_row(row), columns=list(columns(row["subclass"])), edges=views, changes=changes_
    )


def changes(
    engine: Engine, scope: ChangeScope, cursor: str | None, limit: int, now_ms: int
) -> Page[Change]:
    """One page of the change log, newest first. Raises BadFilter, BadInput."""
    listing = _change_listing(scope)
    with read(engine) as db:
        found = query.page(db, listing, text=scope.text, sort="", cursor=cursor, limit=limit)
    items = [change(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ms)


def all_changes(engine: Engine, scope: ChangeScope) -> Iterator[Change]:
    """The whole change log, newest first, without a cap. Raises BadFilter."""
    rows = query.every(partial(read, engine), _change_listing(scope), text=scope.text, sort="")
    return (change(row) for row in rows)


def _change_listing(scope: ChangeScope) -> Listing:
    rows = _change_rows(scope.tenant)
    if scope.workload is not None:
        rows = rows.where(asset_change.c.workload == scope.workload)
    if scope.since_ms is not None:
        rows = rows.where(asset_change.c.at_ns >= scope.since_ms * MS)
    c = asset_change.c
    fields = {
        "seq": Field("int", c.seq, nullable=False),
        "at_ms": Field("int", c.at_ns // MS, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "subclass": Field("str", c.subclass, nullable=False),
        "asset": Field("str", c.asset, nullable=False),
        "label": Field("str", c.label, nullable=False),
        "kind": Field("str", c.kind, nullable=False),
    }
    name = ("changes", scope.tenant, scope.workload, scope.since_ms)
    return Listing(rows, fields, c.seq, "-seq", name, "int")


def taxonomy(engine: Engine, tenant: str) -> list[ClassState]:
    """All classes and subclasses with what is known of each."""
    ok = collection.c.outcome.in_(("ok", "not_applicable"))
    looked = collection.c.outcome != "error"
    at = ended_by_then()
    states = select(
        collection.c.subclass,
        func.count().label("all"),
        func.sum(case((ok, 1), else_=0)).label("good"),
        func.sum(case((looked, 1), else_=0)).label("looked"),
        func.min(at).label("oldest"),
        func.max(at).label("newest"),
    )
    counts = select(asset.c.subclass, func.count()).where(
        asset.c.tenant == tenant, asset.c.gone_ns.is_(None)
    )
    with read(engine) as db:
        known = {
            r["subclass"]: r
            for r in db.execute(
                states.where(collection.c.tenant == tenant).group_by(collection.c.subclass)
            ).mappings()
        }
        rows = query.counted(db.execute(counts.group_by(asset.c.subclass)))
    classes = []
    for class_ in CLASSES:
        subs = [_subclass(s.id, known.get(s.id), rows.get(s.id, 0)) for s in class_.subclasses]
        seen = [s.rows for s in subs if s.rows is not None]
        classes.append(
            ClassState(
                id=class_.id,
                title=class_.title,
                rows=sum(seen) if seen else None,
                subclasses=subs,
            )
        )
    return classes


def ended_by_then() -> ColumnElement[int]:
    """When a collection ended: a workload's clock may be ahead, but not of its own report."""
    ended, received = collection.c.ended_ns, collection.c.received_ns
    return case((ended < received, ended), else_=received)


def _seen_ns() -> ColumnElement[int]:
    """When an asset was last seen: rows that did not change are proved by the collection."""
    proved = collection.c.proved_ns
    still = and_(asset.c.gone_ns.is_(None), proved > asset.c.last_seen_ns)
    return case((still, proved), else_=asset.c.last_seen_ns)


def _subclass(name: str, known: RowMapping | None, rows: int) -> SubclassState:
    state: AssetState
    if known is None:
        state = "not_assessed" if name in collectors() else "not_collected"
        return SubclassState(
            id=name, title=SUBCLASSES[name].title, state=state, columns=list(columns(name))
        )
    if known["good"] == known["all"]:
        state = "assessed"
    else:
        state = "partial" if known["looked"] else "error"
    return SubclassState(
        id=name,
        title=SUBCLASSES[name].title,
        state=state,
        rows=rows if known["looked"] else None,
        workloads=known["looked"],
        oldest_ms=known["oldest"] // MS,
        newest_ms=known["newest"] // MS,
        columns=list(columns(name)),
    )


def asset_row(row: RowMapping) -> AssetRow:
    """The view of a row of `_asset_rows`."""
    return AssetRow(
        id=row["id"],
        workload=row["workload"],
        hostname=row["hostname"] or "",
        subclass=row["subclass"],
        key=row["key"],
        label=row["label"],
        first_seen_ms=row["first_seen_ns"] // MS,
        last_seen_ms=row["seen_ns"] // MS,
        changed_ms=row["changed_ns"] // MS,
        gone_ms=None if row["gone_ns"] is None else row["gone_ns"] // MS,
        fields={name: query.plain(v) for name, v in _decode(row["fields"]).items()},
    )


def change(row: RowMapping) -> Change:
    """The view of a row of the change log."""
    return Change(
        seq=row["seq"],
        at_ms=row["at_ns"] // MS,
        workload=row["workload"],
        hostname=row["hostname"] or "",
        subclass=row["subclass"],
        asset=row["asset"],
        label=row["label"],
        kind=row["kind"],
        before={name: query.plain(v) for name, v in _decode(row["before"]).items()},
        after={name: query.plain(v) for name, v in _decode(row["after"]).items()},
    )


def _asset_rows(tenant: str) -> Select[Any]:
    home = and_(workload.c.tenant == asset.c.tenant, workload.c.id == asset.c.workload)
    proof = and_(
        collection.c.tenant == asset.c.tenant,
        collection.c.workload == asset.c.workload,
        collection.c.subclass == asset.c.subclass,
    )
    return (
        select(asset, _seen_ns().label("seen_ns"), workload.c.hostname)
        .select_from(asset.outerjoin(workload, home).outerjoin(collection, proof))
        .where(asset.c.tenant == tenant)
    )


def _change_rows(tenant: str) -> Select[Any]:
    home = and_(
        workload.c.tenant == asset_change.c.tenant, workload.c.id == asset_change.c.workload
    )
    return (
        select(asset_change, workload.c.hostname)
        .select_from(asset_change.outerjoin(workload, home))
        .where(asset_change.c.tenant == tenant)
    )


def _asset_listing(scope: AssetScope) -> Listing:
    shown = columns(scope.subclass)
    rows = _asset_rows(scope.tenant).where(asset.c.subclass == scope.subclass)
    if scope.workload is not None:
        rows = rows.where(asset.c.workload == scope.workload)
    if not scope.gone:
        rows = rows.where(asset.c.gone_ns.is_(None))
    if scope.changed_since_ms is not None:
        rows = rows.where(asset.c.changed_ns >= scope.changed_since_ms * MS)
    c = asset.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "key": Field("str", c.key, nullable=False),
        "label": Field("str", c.label, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "first_seen_ms": Field("int", c.first_seen_ns // MS, nullable=False),
        "changed_ms": Field("int", c.changed_ns // MS, nullable=False),
        "last_seen_ms": Field("int", _seen_ns() // MS, nullable=False),
        "gone_ms": Field("int", c.gone_ns // MS),
    }
    # A column of the subclass wins over a common one of the same name.
    fields |= {
        col.name: Field(col.kind, dialect.json_field(c.fields, col.name, col.kind)) for col in shown
    }
    default = "label" if not any(col.name == "label" for col in shown) else "id"
    name = ("assets", scope.tenant, scope.subclass, scope.workload, scope.gone)
    return Listing(rows, fields, c.id, default, (*name, scope.changed_since_ms))


def _edges(tenant: str, row: RowMapping) -> Select[Any]:
    r, other = relation.c, asset.alias("other")
    out = and_(r.src_subclass == row["subclass"], r.src_key == row["key"])
    into = and_(r.dst_subclass == row["subclass"], r.dst_key == row["key"])
    subclass = case((out, r.dst_subclass), else_=r.src_subclass)
    key = case((out, r.dst_key), else_=r.src_key)
    same = and_(
        other.c.tenant == tenant,
        other.c.workload == r.workload,
        other.c.subclass == subclass,
        other.c.key == key,
    )
    return (
        select(
            r.kind,
            r.evidence,
            case((out, 1), else_=0).label("outward"),
            subclass.label("subclass"),
            key.label("key"),
            other.c.id.label("other_id"),
        )
        .select_from(relation.outerjoin(other, same))
        .where(r.tenant == tenant, r.workload == row["workload"], or_(out, into))
        .order_by(r.kind, "subclass", "key")
    )

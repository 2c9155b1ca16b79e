"""The ledger over a fleet: what each capability or each machine cost; and older windows folded."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Engine, Select, cast, delete, func, insert, literal, select
from sqlalchemy.types import Double

from hauberk.ports import Clock
from hauberk.schema.view import Page
from hauberk.schema.view_fleet import LedgerRow
from hauberk.store import fleet, query
from hauberk.store.database import read, write
from hauberk.store.query import Field, Listing
from hauberk.store.tables import ledger, workload

By = Literal["capability", "workload"]
HOUR_NS = 3600 * 1_000_000_000
# Windows of a minute are kept so long; older ones become one an hour, their sums unchanged.
FINE_NS = 2 * HOUR_NS
# Late windows (of machines that were cut off) are folded for so long; later ones just stay.
LATE_NS = 26 * HOUR_NS
CHUNK = 200
MS = 1_000_000
_SUMS = ("cpu_s", "bytes_out", "rows", "runs", "shed")


def page(
    engine: Engine,
    tenant: str,
    *,
    by: By,
    since_ns: int | None,
    text: str,
    sort: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[LedgerRow]:
    """Cost since a time, dearest first.

    Args:
        engine: the state.
        tenant: whose.
        by: what a row is of.
        since_ns: None: the last hour. Two hours ago and before, it means the whole hour.
        text: filter over machines, in the grammar of the list of workloads.
        sort: column of the row, or -column.
        cursor: `next` of the page before.
        limit: rows.
        now_ns: wall clock.

    Raises:
        BadFilter, BadInput: the filter, the sort or the cursor is wrong.
    """
    since = now_ns - HOUR_NS if since_ns is None else since_ns
    if since < now_ns - FINE_NS:
        since -= since % HOUR_NS
    with read(engine) as db:
        machines = query.narrow(db, fleet.workload_listing(tenant), text).with_only_columns(
            workload.c.id, maintain_column_froms=True
        )
        # The default slides: the pages of one list are told by what was asked.
        scope = ("ledger", tenant, by, since_ns, text)
        listing = _listing(tenant, by, machines if text else None, since, scope)
        found = query.page(db, listing, text="", sort=sort, cursor=cursor, limit=limit)
        names = _hostnames(db, tenant, [r["workload"] for r in found.rows if r["workload"]])
    items = [
        LedgerRow(
            capability=row["capability"],
            workload=row["workload"],
            hostname=names.get(row["workload"], ""),
            workloads=row["workloads"],
            cpu_pct=100.0 * row["cpu_s"] / row["covered_s"] if row["covered_s"] else None,
            **{name: row[name] for name in _SUMS},
        )
        for row in found.rows
    ]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def fold(engine: Engine, clock: Clock) -> int:
    """Make one window an hour of those older than two hours; sums stay equal.

    Returns:
        How many windows fewer there are.
    """
    end = clock.wall_ns() - FINE_NS
    end -= end % HOUR_NS
    hour = ledger.c.window_start_ns - ledger.c.window_start_ns % literal(HOUR_NS)
    todo: dict[tuple[str, int], dict[str, None]] = {}
    with read(engine) as db:
        for tenant in db.execute(select(workload.c.tenant).distinct()).scalars().all():
            several = (
                select(ledger.c.workload, hour.label("hour"))
                .where(
                    ledger.c.tenant == tenant,
                    ledger.c.window_start_ns >= end - LATE_NS,
                    ledger.c.window_start_ns < end,
                )
                .group_by(ledger.c.workload, ledger.c.agent, ledger.c.capability, hour)
                .having(func.count() > 1)
            )
            for home, start in db.execute(several):
                todo.setdefault((tenant, start), {})[home] = None
    fewer = 0
    for (tenant, start), homes in todo.items():
        names = list(homes)
        for first in range(0, len(names), CHUNK):
            with write(engine) as db:
                fewer += _fold_hour(db, tenant, start, names[first : first + CHUNK])
    return fewer


def _fold_hour(db: Connection, tenant: str, start: int, homes: list[str]) -> int:
    where = (
        ledger.c.tenant == tenant,
        ledger.c.workload.in_(homes),
        ledger.c.window_start_ns >= start,
        ledger.c.window_start_ns < start + HOUR_NS,
    )
    keys = (ledger.c.tenant, ledger.c.workload, ledger.c.agent, ledger.c.capability)
    sums = [_sum(name) for name in ("window_s", *_SUMS)]
    whole = select(*keys, literal(start).label("window_start_ns"), *sums)
    rows = [dict(r) for r in db.execute(whole.where(*where).group_by(*keys)).mappings()]
    gone = db.execute(delete(ledger).where(*where)).rowcount
    if rows:
        db.execute(insert(ledger), rows)
    return gone - len(rows)


def _listing(
    tenant: str, by: By, machines: Select[Any] | None, since: int, scope: tuple[object, ...]
) -> Listing:
    where = [ledger.c.tenant == tenant, ledger.c.window_start_ns >= since]
    if machines is not None:
        where.append(ledger.c.workload.in_(machines))
    # A machine's windows hold all of its capabilities: their time must be counted once.
    window = (
        select(ledger.c.workload, func.max(ledger.c.window_s).label("s"))
        .where(*where)
        .group_by(ledger.c.workload, ledger.c.agent, ledger.c.window_start_ns)
        .subquery("covered")
    )
    key = ledger.c[by]
    sums = select(
        (ledger.c.capability if by == "capability" else literal("")).label("capability"),
        (ledger.c.workload if by == "workload" else literal("")).label("workload"),
        func.count(ledger.c.workload.distinct()).label("workloads"),
        *(_sum(name) for name in _SUMS),
    ).where(*where)
    found = sums.group_by(key).subquery("spent")
    if by == "workload":
        per = select(window.c.workload, func.sum(window.c.s).label("s"))
        per_home = per.group_by(window.c.workload).subquery("per_home")
        source: Any = found.join(per_home, per_home.c.workload == found.c.workload)
        covered: Any = per_home.c.s
    else:
        source = found
        covered = select(func.sum(window.c.s)).scalar_subquery()
    rows = select(*found.c, cast(covered, Double).label("covered_s")).select_from(source)
    fields = {
        "capability": Field("str", found.c.capability, nullable=False),
        "workload": Field("str", found.c.workload, nullable=False),
        "workloads": Field("int", found.c.workloads, nullable=False),
        "cpu_s": Field("float", found.c.cpu_s, nullable=False),
    }
    fields |= {n: Field("int", found.c[n], nullable=False) for n in _SUMS[1:]}
    return Listing(rows, fields, found.c[by], "-cpu_s", scope)


def _sum(name: str) -> Any:
    # PostgreSQL adds 64-bit numbers up to a decimal one.
    column = ledger.c[name]
    return cast(func.sum(column), column.type).label(name)


def _hostnames(db: Connection, tenant: str, ids: list[str]) -> dict[str, str]:
    rows = select(workload.c.id, workload.c.hostname).where(
        workload.c.tenant == tenant, workload.c.id.in_(ids)
    )
    return {row[0]: row[1] for row in db.execute(rows)} if ids else {}

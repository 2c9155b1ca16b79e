"""What each capability of each agent spent, window by window."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from hauberk.schema.link import LedgerEntry
from hauberk.store.tables import ledger

_MAX_NAME = 100
_FIELDS = (
    "capability",
    "window_start_ns",
    "window_s",
    "cpu_s",
    "bytes_out",
    "rows",
    "runs",
    "shed",
)

_insert = insert(ledger)
_RECORD = _insert.on_conflict_do_update(
    index_elements=ledger.primary_key, set_={name: _insert.excluded[name] for name in _FIELDS[2:]}
)


def record(
    connection: Connection,
    tenant: str,
    workload: str,
    agent: str,
    entries: Sequence[LedgerEntry],
    *,
    now_ns: int,
) -> None:
    """Keep entries; the same window said again replaces itself.

    A window that a machine's clock puts after `now_ns` starts now, so that it ends some day.
    """
    if not entries:
        return
    rows = [
        {"tenant": tenant, "workload": workload, "agent": agent}
        | {name: getattr(entry, name) for name in _FIELDS}
        | {
            "capability": entry.capability[:_MAX_NAME],
            "window_start_ns": min(entry.window_start_ns, now_ns),
        }
        for entry in entries
    ]
    connection.execute(_RECORD, rows)


def totals(
    connection: Connection, tenant: str, workload: str, *, since_ns: int
) -> list[LedgerEntry]:
    """Sums per capability over windows that started at or after `since_ns`, dearest first."""
    # PostgreSQL adds 64-bit numbers up to a decimal one.
    sums = [cast(func.sum(c := ledger.c[name]), c.type).label(name) for name in _FIELDS[2:]]
    cpu = func.sum(ledger.c.cpu_s)
    query = (
        select(
            ledger.c.capability, func.min(ledger.c.window_start_ns).label("window_start_ns"), *sums
        )
        .where(
            ledger.c.tenant == tenant,
            ledger.c.workload == workload,
            ledger.c.window_start_ns >= since_ns,
        )
        .group_by(ledger.c.capability)
        .order_by(cpu.desc(), ledger.c.capability)
    )
    return [LedgerEntry(**row) for row in connection.execute(query).mappings()]


def trim(connection: Connection, tenant: str, *, before_ns: int) -> int:
    """Forget a tenant's windows that started before; the number of rows."""
    old = (ledger.c.tenant == tenant, ledger.c.window_start_ns < before_ns)
    return connection.execute(delete(ledger).where(*old)).rowcount

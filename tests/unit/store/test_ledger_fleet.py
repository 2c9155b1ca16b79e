from __future__ import annotations

import pytest
from sqlalchemy import func, insert, select
from storekit import NOW_NS, Clock, Kit

from hauberk.errors import BadFilter, BadInput
from hauberk.schema.link import LedgerEntry
from hauberk.schema.view import Page
from hauberk.schema.view_fleet import LedgerRow
from hauberk.store import ledger, ledger_fleet
from hauberk.store.database import read, write
from hauberk.store.ledger_fleet import HOUR_NS
from hauberk.store.tables import ledger as table
from hauberk.store.tables import workload

MINUTE_NS = 60 * 10**9


def machine(kit: Kit, id_: str, tenant: str = "t") -> None:
    with write(kit.engine) as db:
        db.execute(
            insert(workload).values(
                id=id_, tenant=tenant, hostname=f"host-{id_}", created_ns=1, last_seen_ns=1
            )
        )


def spend(kit: Kit, home: str, minutes: int, tenant: str = "t", until: int = NOW_NS) -> None:
    entries = [
        LedgerEntry(
            capability=capability,
            window_start_ns=until - (n + 1) * MINUTE_NS,
            window_s=60.0,
            cpu_s=cpu,
            bytes_out=10,
            rows=1,
            runs=2,
            shed=3,
        )
        for n in range(minutes)
        for capability, cpu in (("sensor", 0.6), ("collect/x", 0.03))
        if capability == "sensor" or n % 5 == 0
    ]
    with write(kit.engine) as db:
        ledger.record(db, tenant, home, f"agent-{home}", entries, now_ns=NOW_NS)


def page(kit: Kit, **more: object) -> Page[LedgerRow]:
    values: dict[str, object] = {
        "by": "capability",
        "since_ns": None,
        "text": "",
        "sort": "",
        "cursor": None,
        "limit": 100,
        "now_ns": NOW_NS,
    }
    return ledger_fleet.page(kit.engine, "t", **(values | more))  # type: ignore[arg-type]


@pytest.fixture
def fleet(kit: Kit) -> Kit:
    for home in ("w1", "w2"):
        machine(kit, home)
    machine(kit, "w3", "other")
    spend(kit, "w1", 50)
    spend(kit, "w2", 10)
    spend(kit, "w3", 50, "other")
    return kit


def test_by_capability_dearest_first(fleet: Kit) -> None:
    found = page(fleet)
    first, second = found.items
    assert (first.capability, first.workloads, first.runs, first.shed) == ("sensor", 2, 120, 180)
    assert first.cpu_s == pytest.approx(36.0)
    # 36 CPU-seconds of 60 machine-minutes: one per cent of a core.
    assert first.cpu_pct == pytest.approx(1.0)
    assert (second.capability, second.cpu_pct) == ("collect/x", pytest.approx(0.01))
    assert found.total == 2


def test_by_machine_with_its_name_and_paging(fleet: Kit) -> None:
    first = page(fleet, by="workload", limit=1)
    (row,) = first.items
    assert (row.workload, row.hostname, row.workloads) == ("w1", "host-w1", 1)
    assert row.cpu_pct == pytest.approx(100 * (50 * 0.6 + 10 * 0.03) / 3000)
    rest = page(fleet, by="workload", limit=1, cursor=first.next)
    assert [r.hostname for r in rest.items] == ["host-w2"]
    assert rest.next is None
    with pytest.raises(BadInput, match="another list"):
        page(fleet, cursor=first.next)
    later = page(fleet, by="workload", limit=1, cursor=first.next, now_ns=NOW_NS + 10**9)
    assert [r.hostname for r in later.items] == ["host-w2"]


def test_filter_and_sort(fleet: Kit) -> None:
    only = page(fleet, text="hostname = host-w2")
    assert [r.workloads for r in only.items] == [1, 1]
    assert only.items[0].cpu_s == pytest.approx(6.0)
    assert [r.capability for r in page(fleet, sort="cpu_s").items] == ["collect/x", "sensor"]
    with pytest.raises(BadFilter):
        page(fleet, text="nothing = 1")
    with pytest.raises(BadFilter):
        page(fleet, sort="nothing")


def test_since(fleet: Kit) -> None:
    assert page(fleet, since_ns=NOW_NS - 10 * MINUTE_NS).items[0].runs == 40
    assert page(fleet, since_ns=NOW_NS).items == []


def count(kit: Kit) -> int:
    with read(kit.engine) as db:
        return int(db.execute(select(func.count()).select_from(table)).scalar_one())


def test_folding_keeps_every_sum(kit: Kit) -> None:
    for home in ("w1", "w2"):
        machine(kit, home)
        spend(kit, home, 600)
    week = NOW_NS - 7 * 24 * HOUR_NS
    before, rows = page(kit, since_ns=week), count(kit)
    by_home = page(kit, since_ns=week, by="workload")
    fewer = ledger_fleet.fold(kit.engine, Clock(NOW_NS))
    assert count(kit) == rows - fewer
    assert rows > 4 * count(kit)
    for old, new in (
        (before, page(kit, since_ns=week)),
        (by_home, page(kit, since_ns=week, by="workload")),
    ):
        for a, b in zip(old.items, new.items, strict=True):
            assert (b.bytes_out, b.rows, b.runs, b.shed) == (a.bytes_out, a.rows, a.runs, a.shed)
            assert b.cpu_s == pytest.approx(a.cpu_s)
            assert b.cpu_pct == pytest.approx(a.cpu_pct)
    # The last two hours are as fine as they were.
    assert page(kit, since_ns=NOW_NS - 5 * MINUTE_NS).items[0].runs == 20
    assert ledger_fleet.fold(kit.engine, Clock(NOW_NS)) == 0


def test_a_late_window_joins_its_hour(kit: Kit) -> None:
    machine(kit, "w1")
    spend(kit, "w1", 240)
    ledger_fleet.fold(kit.engine, Clock(NOW_NS))
    spend(kit, "w1", 5, until=NOW_NS - 4 * HOUR_NS)
    before = page(kit, since_ns=0).items[0].runs
    assert ledger_fleet.fold(kit.engine, Clock(NOW_NS)) > 0
    assert page(kit, since_ns=0).items[0].runs == before

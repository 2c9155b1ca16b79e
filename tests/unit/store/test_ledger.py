from __future__ import annotations

from storekit import NOW_NS, Kit

from hauberk.schema.link import LedgerEntry
from hauberk.store import ledger
from hauberk.store.database import write


def entry(capability: str, start: int, cpu: float, rows: int = 1) -> LedgerEntry:
    return LedgerEntry(
        capability=capability, window_start_ns=start, window_s=60, cpu_s=cpu, rows=rows
    )


def test_totals_add_windows_and_repetitions_replace(kit: Kit) -> None:
    with write(kit.engine) as db:
        ledger.record(
            db,
            "t",
            "w",
            "a",
            [entry("x", 1, 1.0), entry("x", 2, 2.0), entry("y", 1, 9)],
            now_ns=NOW_NS,
        )
        ledger.record(db, "t", "w", "a", [entry("x", 2, 3.0)], now_ns=NOW_NS)
        ledger.record(db, "t", "w", "a", [], now_ns=NOW_NS)
        ledger.record(db, "other", "w", "a", [entry("x", 1, 50.0)], now_ns=NOW_NS)
        found = ledger.totals(db, "t", "w", since_ns=0)
        assert [(e.capability, e.cpu_s, e.rows) for e in found] == [("y", 9.0, 1), ("x", 4.0, 2)]
        assert [e.cpu_s for e in ledger.totals(db, "t", "w", since_ns=2)] == [3.0]
        assert ledger.trim(db, "t", before_ns=2) == 2
        assert len(ledger.totals(db, "t", "w", since_ns=0)) == 1


def test_windows_of_a_clock_that_is_ahead_end_some_day(kit: Kit) -> None:
    with write(kit.engine) as db:
        ledger.record(db, "t", "w", "a", [entry("x" * 300, 2**61, 1.0)], now_ns=5)
        found = ledger.totals(db, "t", "w", since_ns=0)
        assert (len(found[0].capability), found[0].window_start_ns) == (100, 5)
        assert ledger.trim(db, "t", before_ns=6) == 1

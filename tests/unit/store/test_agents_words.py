from __future__ import annotations

import math

import msgspec
import pytest
from storekit import beat

from hauberk.errors import BadWire
from hauberk.schema.link import BudgetState, LedgerEntry, PackageState, SensorHealth, WorkloadFacts
from hauberk.store.agents_words import (
    budget_of,
    check,
    facts_of,
    json_of,
    package_of,
    sensor_of,
)


def test_words_are_short() -> None:
    facts = facts_of(WorkloadFacts(hostname="h" * 9999, addresses=["a" * 99] * 999))
    assert (len(facts.hostname), len(facts.addresses), len(facts.addresses[0])) == (256, 256, 64)
    sensor = sensor_of(SensorHealth(tier="A", sources=["s" * 999] * 99, reasons=["r" * 9999] * 99))
    assert (len(sensor.sources), len(sensor.reasons[0])) == (64, 1024)
    package = package_of(PackageState(state="failed", sha256="x" * 999, message="m" * 9999))
    assert package is not None
    assert (len(package.sha256), len(package.message)) == (100, 1024)
    assert package_of(None) is None
    assert json_of(None) == "null"


def test_impossible_pressure_is_left_out() -> None:
    told = {"cpu": 3.5, "io": math.nan, "memory": 1e9, **{f"x{i}": 1.0 for i in range(99)}}
    state = budget_of(BudgetState(by="pacing", pressure=told, detail="d" * 9999))
    assert state is not None
    assert state.pressure is not None
    assert (state.pressure["cpu"], "io" in state.pressure, len(state.pressure)) == (3.5, False, 6)
    assert msgspec.json.decode(json_of(state), type=BudgetState).pressure == state.pressure
    bare = budget_of(BudgetState(by="cgroup2"))
    assert bare is not None
    assert bare.pressure is None
    assert budget_of(None) is None


def test_absurd_beats_are_refused() -> None:
    entry = LedgerEntry(capability="x", window_start_ns=2**63 - 1, window_s=1, cpu_s=1)
    nan = msgspec.structs.replace(entry, window_start_ns=1, cpu_s=math.nan)
    for wrong in (
        beat(""),
        beat("i" * 999),
        beat(desired_version=-1),
        beat(wall_ns=2**63 - 1),
        beat(ledger=[entry]),
        beat(ledger=[nan]),
    ):
        with pytest.raises(BadWire):
            check(wrong)
    check(beat())

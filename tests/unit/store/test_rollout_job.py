from __future__ import annotations

from typing import Any

import msgspec
import pytest
from storekit import NOW_NS

from hauberk.schema.link import PackageState, Schedule, Window
from hauberk.store.rollout_job import CONFIRM, STALE, STALE_S, STUCK_S, TRIAL_S, Verdict, judge

SHA = "a" * 64
S = 10**9


def row(state: str, said: PackageState | None = None, **more: Any) -> dict[str, Any]:
    schedule = more.pop("windows", [])
    return {
        "state": state,
        "message": "",
        "at_ns": NOW_NS - 10 * S,
        "identity": "active",
        "package_state": msgspec.json.encode(said).decode(),
        "last_beat_ns": NOW_NS - S,
        "acknowledged_version": 3,
        "desired_version": 3,
        "schedule": msgspec.json.encode(Schedule(windows=schedule)).decode(),
    } | more


def verdict(*args: Any, patient: bool = False, **more: Any) -> Verdict | None:
    return judge(row(*args, **more), SHA, NOW_NS, patient=patient)  # type: ignore[arg-type]


def said(state: str, **more: Any) -> PackageState:
    return PackageState(state=state, **({"wanted": SHA} | more))  # type: ignore[arg-type]


RUNS = said("current", sha256=SHA)
OLD = said("current", sha256="b" * 64)


def test_healthy_takes_one_more_beat_after_it_runs() -> None:
    first = verdict("offered", RUNS)
    assert first == Verdict("trial", CONFIRM, NOW_NS - S)
    assert verdict("trial", RUNS, message=CONFIRM, at_ns=NOW_NS - S) is None
    later = verdict("trial", RUNS, message=CONFIRM, at_ns=NOW_NS - 9 * S)
    assert later == Verdict("healthy", "", NOW_NS)
    assert verdict("healthy", RUNS) is None


def test_the_way_there() -> None:
    assert verdict("waiting", RUNS) is None
    assert verdict("offered", OLD) is None
    fetches = verdict("offered", said("fetching"))
    assert fetches is not None
    assert (fetches.state, fetches.at_ns) == ("offered", NOW_NS - 10 * S)
    assert verdict("offered", said("fetching"), message=fetches.message) is None
    assert verdict("offered", said("trial", sha256=SHA)) == Verdict("trial", "", NOW_NS)
    assert verdict("trial", said("trial", sha256=SHA)) is None
    back = verdict("trial", said("rolled_back", sha256="b" * 64, message="crashed"))
    assert back == Verdict("rolled_back", "crashed", NOW_NS)
    assert verdict("offered", said("failed", message="no room")) == Verdict(
        "failed", "no room", NOW_NS
    )
    assert verdict("offered", said("failed", wanted="c" * 64)) is None
    broken = verdict("offered", None)
    assert broken is not None
    assert broken.state == "failed"


def test_a_failure_of_before_does_not_count() -> None:
    failed = said("failed")
    assert verdict("offered", failed, acknowledged_version=2) is None
    assert verdict("offered", failed, message=STALE) is None
    late = verdict("offered", failed, message=STALE, at_ns=NOW_NS - (STALE_S + 1) * S)
    assert late is not None
    assert late.state == "failed"


def test_a_canary_that_leaves_the_package_while_it_soaks() -> None:
    for now in (OLD, said("rolled_back"), None):
        left = verdict("healthy", now)
        assert left is not None
        assert left.state in ("failed", "rolled_back")


def test_an_agent_that_is_gone() -> None:
    for identity in (None, "revoked", "cloned"):
        for state in ("waiting", "offered", "trial"):
            gone = verdict(state, RUNS, identity=identity)
            assert gone is not None
            assert gone.state == "skipped"
        assert verdict("healthy", RUNS, identity=identity) is None


@pytest.mark.parametrize("patient", [False, True])
def test_taking_too_long(patient: bool) -> None:
    old = NOW_NS - (STUCK_S + 1) * S
    silent = {"last_beat_ns": NOW_NS - (TRIAL_S + 5) * S, "at_ns": NOW_NS - (TRIAL_S + 9) * S}
    stuck = verdict("offered", OLD, at_ns=old, patient=patient)
    dead = verdict("trial", said("trial"), **silent, patient=patient)
    assert [v and v.state for v in (stuck, dead)] == ([None, None] if patient else ["failed"] * 2)
    # Offline, or waiting for its window: not its fault.
    assert verdict("offered", OLD, at_ns=old, last_beat_ns=old) is None
    window = Window(start="02:00", minutes=60)
    assert verdict("offered", OLD, at_ns=old, windows=[window]) is None
    assert verdict("offered", OLD, at_ns=old, acknowledged_version=1) is None

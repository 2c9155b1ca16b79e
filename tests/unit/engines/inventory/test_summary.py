"""Counts that never say 0 where nothing looked."""

from hauberk.assets.runtime_process import Process
from hauberk.assets.software_os_package import OsPackage
from hauberk.engines.inventory.summary import summarise
from hauberk.schema.asset import Collection

STRUCTS = {"software.os_package": OsPackage, "runtime.process": Process}


def collection(subclass, outcome="ok", rows=0, ended_ms=1_000):
    return Collection(
        subclass=subclass, outcome=outcome, rows=rows, epoch=1, ended_ns=ended_ms * 1_000_000
    )


def state_of(collections, subclass):
    states = {s.id: s for c in summarise(collections, STRUCTS) for s in c.subclasses}
    return states[subclass]


def test_all_classes_and_subclasses_are_there():
    classes = summarise([], STRUCTS)
    assert (len(classes), sum(len(c.subclasses) for c in classes)) == (9, 38)
    assert all(c.rows is None for c in classes)


def test_not_collected_is_not_not_assessed():
    assert state_of([], "container.pod").state == "not_collected"
    assert state_of([], "runtime.process").state == "not_assessed"
    assert state_of([], "runtime.process").rows is None


def test_looked_and_found_nothing_is_zero():
    state = state_of([collection("runtime.process")], "runtime.process")
    assert (state.state, state.rows, state.workloads) == ("assessed", 0, 1)


def test_workloads_add_up_and_the_worst_state_shows():
    found = state_of(
        [
            collection("software.os_package", rows=5, ended_ms=10),
            collection("software.os_package", "partial", rows=3, ended_ms=30),
            collection("software.os_package", "error", rows=2),
            collection("software.os_package", "not_applicable"),
        ],
        "software.os_package",
    )
    assert (found.state, found.rows, found.workloads) == ("error", 8, 2)
    assert (found.oldest_ms, found.newest_ms) == (10, 30)


def test_only_not_applicable_or_only_errors_have_no_count():
    state = state_of([collection("runtime.process", "not_applicable")], "runtime.process")
    assert (state.state, state.rows) == ("not_assessed", None)
    state = state_of([collection("runtime.process", "error", rows=4)], "runtime.process")
    assert (state.state, state.rows) == ("error", None)


def test_a_class_adds_up_only_what_is_known():
    classes = {c.id: c for c in summarise([collection("runtime.process", rows=7)], STRUCTS)}
    assert classes["runtime"].rows == 7
    assert classes["network"].rows is None


def test_columns_come_from_the_row_type():
    state = state_of([], "software.os_package")
    assert [c.name for c in state.columns][:2] == ["manager", "name"]
    assert state_of([], "container.pod").columns == []

import struct
from collections.abc import Iterator
from typing import Annotated

import pytest

from hauberk.errors import BadInput, HostError, NotLive, PathDenied
from hauberk.host import collect
from hauberk.host.memory import DictHost
from hauberk.ports import Collector
from hauberk.schema.asset import Asset, column
from hauberk.schema.taxonomy import SUBCLASSES


class Thing(Asset, frozen=True, kw_only=True):
    KEY = ("name",)
    name: Annotated[str, column("Name", "名称")]


class Other(Asset, frozen=True, kw_only=True):
    KEY = ("name",)
    name: Annotated[str, column("Name", "名称")]


class FixedClock:
    def wall_ns(self) -> int:
        return 42

    def mono_ns(self) -> int:
        return 7


def run(function, **more):
    collector = Collector("os.kernel", Thing, function, 60)
    return collect.run(collector, DictHost(name="box"), epoch=9, clock=FixedClock(), **more)


def names(rows):
    return [r.name for r in rows]


def test_ok_with_proof():
    def good(host, notes) -> Iterator[Thing]:
        yield Thing(name=host.name)

    rows, proof = run(good)
    assert names(rows) == ["box"]
    assert (proof.outcome, proof.rows, proof.epoch, proof.ended_ns) == ("ok", 1, 9, 42)
    assert proof.full
    assert proof.problems == []
    assert proof.cpu_s >= 0


def test_nothing_found_is_ok_and_full():
    rows, proof = run(lambda _host, _notes: iter(()))
    assert (rows, proof.outcome, proof.full) == ([], "ok", True)


def test_notes_make_it_partial():
    def partly(host, notes):
        notes.add("/etc/x", "denied")
        yield Thing(name="a")

    rows, proof = run(partly)
    assert names(rows) == ["a"]
    assert (proof.outcome, proof.full) == ("partial", True)
    assert proof.problems[0].where == "/etc/x"


def test_rows_that_may_be_hidden_make_the_snapshot_not_full():
    def function(host, notes):
        notes.add("/srv", "permission denied", hides=True)
        yield Thing(name="a")

    rows, proof = run(function)
    assert names(rows) == ["a"]
    assert (proof.outcome, proof.full) == ("partial", False)


def test_not_live():
    def dead(host, notes):
        raise NotLive("files only")
        yield

    rows, proof = run(dead)
    assert (rows, proof.outcome, proof.full) == ([], "not_applicable", False)
    assert proof.problems[0].what == "files only"


@pytest.mark.parametrize("error", [PathDenied("/x: denied"), HostError("broken")])
def test_host_error_ends_it(error):
    def broken(host, notes):
        yield Thing(name="a")
        raise error

    rows, proof = run(broken)
    assert names(rows) == ["a"]
    assert (proof.outcome, proof.full) == ("error", False)
    assert proof.problems[0].what == str(error)


@pytest.mark.parametrize(
    "error",
    [
        BadInput("bad", source="/etc/f", line=3),
        ValueError("v"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "r"),
        struct.error("short"),
        KeyError("k"),
        IndexError("i"),
        TypeError("t"),
        OverflowError("o"),
        RecursionError("r"),
    ],
)
def test_a_parsers_bug_is_located_and_stops_nobody(error):
    def buggy(host, notes):
        yield Thing(name="a")
        raise error

    _, proof = run(buggy)
    assert proof.outcome == "error"
    assert "test_collect.py:" in proof.problems[0].where
    assert type(error).__name__ in proof.problems[0].what


def test_a_bug_before_the_first_row():
    def plain(host, notes):
        return {}["nothing"]

    assert run(plain)[1].outcome == "error"


def test_programming_errors_of_the_caller_pass_through():
    def stop():
        raise RuntimeError("pace")

    with pytest.raises(RuntimeError, match="pace"):
        run(lambda _h, _n: (Thing(name=str(i)) for i in range(64)), pace=stop)


def test_duplicates_are_dropped_and_noted():
    rows, proof = run(lambda _h, _n: iter([Thing(name="a"), Thing(name="b"), Thing(name="a")]))
    assert names(rows) == ["a", "b"]
    assert (proof.rows, proof.outcome) == (2, "partial")
    assert "'a'" in proof.problems[0].what


def test_rows_of_another_kind_are_a_bug():
    rows, proof = run(lambda _h, _n: iter([Thing(name="a"), Other(name="b")]))
    assert names(rows) == ["a"]
    assert proof.outcome == "error"


def test_pace_is_called_every_64_rows():
    calls = []
    run(
        lambda _h, _n: (Thing(name=str(i)) for i in range(200)),
        pace=lambda: calls.append(1),
    )
    assert len(calls) == 200 // 64


def test_long_problems_are_cut():
    def noisy(host, notes):
        notes.add("w" * 10_000, "x" * 10_000)
        yield Thing(name="a")

    (problem,) = run(noisy)[1].problems
    assert len(problem.where) == 400
    assert len(problem.what) == 600


def test_every_collector_has_a_known_subclass():
    found = collect.collectors()
    assert set(found) <= set(SUBCLASSES)
    assert len(found) >= 16
    for subclass, collector in found.items():
        assert collector.subclass == subclass
        assert collector.struct.KEY
        assert set(collector.struct.KEY) <= set(collector.struct.__struct_fields__)
        assert set(collector.struct.VOLATILE) <= set(collector.struct.__struct_fields__)
        assert not collector.struct.VOLATILE & set(collector.struct.KEY)


def test_two_modules_with_one_subclass_are_refused(monkeypatch):
    twin = Collector("os.kernel", Thing, lambda _h, _n: iter(()), 1)
    monkeypatch.setattr(collect, "discover", lambda *_: {"a": twin, "b": twin})
    with pytest.raises(TypeError, match="has a collector already"):
        collect.collectors()

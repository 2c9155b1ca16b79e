from typing import Annotated, ClassVar

import pytest

from hauberk.agent import batches
from hauberk.agent.reporter import RESEND_S, Reporter
from hauberk.link.client.spool import Spool
from hauberk.schema.asset import Asset, Collection, Relation, RoleTag, column
from hauberk.schema.taxonomy import Title


class Thing(Asset, frozen=True, kw_only=True):
    KEY: ClassVar = ("name",)
    VOLATILE: ClassVar = frozenset({"load"})
    name: Annotated[str, column("Name", "名称")]
    version: Annotated[str, column("Version", "版本")] = ""
    load: Annotated[int, column("Load", "负载")] = 0


def things(*names, **more):
    return [Thing(name=n, **more) for n in names]


@pytest.fixture
def reporter(spool, ledger, clock):
    return Reporter(spool, ledger, clock)


@pytest.fixture
def report(reporter, clock):
    def run(rows, outcome="ok", subclass="os.module", *, hidden=False):
        proof = Collection(
            subclass=subclass,
            outcome=outcome,
            rows=len(rows),
            epoch=reporter.next_epoch(),
            ended_ns=clock.wall,
            full=outcome in ("ok", "partial") and not hidden,
        )
        return reporter.report(proof, Thing, rows)

    return run


def shape(got):
    return [
        (
            t.name,
            t.meta.get("full"),
            [r.get("name") or r.get("key") or r.get("outcome") for r in rows],
        )
        for t, rows in got
    ]


def test_first_full_then_differences(report, spool, tables):
    assert report(things("a", "b", "c"))
    assert shape(tables(spool)) == [
        ("asset/os.module", 1, ["a", "b", "c"]),
        ("collection", None, ["ok"]),
    ]
    assert not report(things("a", "b", "c"))
    assert shape(tables(spool)) == [("collection", None, ["ok"])]
    assert report([*things("a"), Thing(name="b", version="2"), *things("d")])
    got = tables(spool)
    assert shape(got) == [
        ("asset/os.module", 0, ["b", "d"]),
        ("gone/os.module", None, ["c"]),
        ("collection", None, ["ok"]),
    ]
    assert len({t.meta["epoch"] for t, _ in got[:2]} | {got[2][1][0]["epoch"]}) == 1


def test_volatile_fields_are_refreshed_but_do_not_count_as_change(report, spool, tables):
    report(things("a"))
    tables(spool)
    assert not report(things("a", load=5))
    assert shape(tables(spool))[0] == ("asset/os.module", 0, ["a"])


def test_nothing_there_is_told_in_full(report, spool, tables):
    report([])
    got = tables(spool)
    assert shape(got)[0] == ("asset/os.module", 1, [])
    assert got[0][0].meta["parts"] == 1


def test_an_error_never_removes_anything(report, spool, tables, reporter):
    report(things("a", "b"))
    tables(spool)
    report(things("a"), outcome="error")
    assert shape(tables(spool)) == [("collection", None, ["error"])]
    assert [r.name for r in reporter.snapshot["os.module"]] == ["a", "b"]
    report(things("b"))
    assert ("gone/os.module", None, ["a"]) in shape(tables(spool))


def test_one_unreadable_place_does_not_hide_what_was_found(report, spool, tables, reporter):
    assert report(things("a", "b"), outcome="partial", hidden=True)
    assert shape(tables(spool)) == [
        ("collection", None, ["partial"]),
        ("asset/os.module", 0, ["a", "b"]),
    ]
    assert [r.name for r in reporter.snapshot["os.module"]] == ["a", "b"]
    assert not report(things("b"), outcome="partial", hidden=True)
    assert shape(tables(spool)) == [("collection", None, ["partial"])]
    report(things("b", "c"))
    assert shape(tables(spool))[0] == ("asset/os.module", 1, ["b", "c"])


def test_never_looking_everywhere_fills_no_memory(report, spool, tables, reporter, monkeypatch):
    monkeypatch.setattr("hauberk.agent.reporter.MOST_UNSEEN", 10)
    report(things("a"))
    for n in range(100):
        report(things(f"x{n}"), outcome="partial", hidden=True)
        assert len(reporter._digests["os.module"]) <= 12
    tables(spool)
    report(things("b"))
    assert shape(tables(spool))[0] == ("asset/os.module", 1, ["b"])


def test_an_error_at_first_is_told_and_the_next_report_is_full(report, spool, tables):
    report([], outcome="error")
    assert shape(tables(spool)) == [("collection", None, ["error"])]
    report([], outcome="not_applicable", subclass="os.kernel")
    tables(spool)
    report(things("a", "b"))
    assert shape(tables(spool))[0] == ("asset/os.module", 1, ["a", "b"])


def test_parts_are_numbered(report, spool, tables, monkeypatch):
    monkeypatch.setattr("hauberk.agent.reporter.INVENTORY_ROWS", 2)
    report(things("a", "b", "c", "d", "e"))
    metas = [t.meta for t, _ in tables(spool) if t.name.startswith("asset/")]
    assert [(m["part"], m["parts"], m["full"]) for m in metas] == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]


def test_a_row_that_cannot_travel_is_a_problem_of_the_collection(
    report, spool, tables, monkeypatch
):
    monkeypatch.setattr(batches, "MAX_BYTES", 1500)
    report([*things("a"), Thing(name="big", version="v" * 5000), *things("c")])
    got = tables(spool)
    names = [r["name"] for t, rows in got for r in rows if t.name.startswith("asset/")]
    assert names == ["a", "c"]
    (proof,) = (rows[0] for t, rows in got if t.name == "collection")
    assert proof["outcome"] == "partial"
    assert proof["where"] == ["big"]


def test_resync_sends_everything_again_but_not_without_pause(
    report, reporter, spool, tables, clock
):
    report(things("a"))
    report(things("x"), subclass="os.kernel")
    reporter.relate([], [])
    tables(spool)
    assert not reporter.resend()
    reporter.full_next()
    assert reporter.resend()
    got = shape(tables(spool))
    assert ("asset/os.module", 1, ["a"]) in got
    assert ("asset/os.kernel", 1, ["x"]) in got
    reporter.relate([], [])
    assert [n for n, _, _ in shape(tables(spool))] == ["relation", "role"]
    reporter.full_next()
    assert not reporter.resend()
    pauses = []
    for _ in range(4):
        waited = 0
        while not reporter.resend():
            clock.advance(RESEND_S)
            waited += 1
        pauses.append(waited)
        reporter.full_next()
    assert pauses == [1, 2, 4, 8]
    clock.advance(RESEND_S * 1000)
    assert reporter.resend()
    reporter.full_next()
    clock.advance(RESEND_S)
    assert reporter.resend()


def test_what_found_no_room_is_sent_in_full_next_time(tmp_path, ledger, clock, tables):
    small = Spool(tmp_path / "small", boot="b", clock=clock, max_bytes=6000)
    reporter = Reporter(small, ledger, clock)

    def report(rows):
        proof = Collection(
            subclass="os.module",
            outcome="ok",
            rows=len(rows),
            epoch=reporter.next_epoch(),
            ended_ns=0,
        )
        reporter.report(proof, Thing, rows)

    report([Thing(name=str(n), version="v" * 100 + str(n)) for n in range(100)])
    assert small.take_losses().inventory > 0
    small.max_bytes = 1 << 20
    report(things("a"))
    assert ("asset/os.module", 1, ["a"]) in shape(tables(small))
    small.close()


def test_relations_and_roles_go_when_they_change(reporter, spool, tables):
    edge = Relation(
        kind="owns", src_subclass="s", src_key="1", dst_subclass="d", dst_key="2", evidence="e"
    )
    tag = RoleTag(role="nginx", title=Title("Web", "网页"), confidence=70)
    reporter.relate([edge], [tag])
    got = tables(spool)
    assert [(t.name, len(rows)) for t, rows in got] == [("relation", 1), ("role", 1)]
    assert all(t.meta["epoch"] > 0 for t, _ in got)
    reporter.relate([edge], [tag])
    assert tables(spool) == []
    reporter.relate([], [tag])
    assert [(t.name, len(rows)) for t, rows in tables(spool)] == [("relation", 0)]


def test_epochs_rise_also_when_the_clock_is_set_back(reporter, clock):
    first = reporter.next_epoch()
    clock.jump(-86400)
    assert reporter.next_epoch() == first + 1
    clock.jump(2 * 86400)
    assert reporter.next_epoch() > first + 10**6

import pytest

from hauberk.agent import batches, events
from hauberk.agent.budget import EventPath
from hauberk.agent.events import TELL_LOSSES_S, EventBuffer
from hauberk.link import wire
from hauberk.link.client.spool import Spool
from hauberk.schema.event import ProcessActivity


def launch(n, **more):
    return ProcessActivity(activity_id=1, time_ns=n, mono_ns=n, pid=n, argv=["x", str(n)], **more)


@pytest.fixture
def path(clock):
    return EventPath(10.0, clock)


@pytest.fixture
def lost():
    return []


@pytest.fixture
def buffer(spool, path, ledger, clock, lost):
    return EventBuffer(
        spool, path, ledger, clock, flush_s=0.4, own_pid=77, inventory_lost=lambda: lost.append(1)
    )


def test_rows_wait_at_most_the_flush_time(buffer, spool, clock, tables):
    buffer("process_activity", [launch(1)])
    buffer.turn()
    assert spool.depth == 0
    clock.advance(0.41)
    buffer.turn()
    ((table, rows),) = tables(spool)
    assert table.name == "process_activity"
    assert rows[0]["argv"] == ["x", "1"]
    clock.advance(10)
    buffer.turn()
    assert spool.depth == 0


def test_a_burst_goes_at_once_in_batches_of_500(buffer, spool):
    for start in range(0, 1200, 100):
        buffer("process_activity", [launch(n) for n in range(start, start + 100)])
    buffer.turn()
    seen = []
    while (item := spool.peek()) is not None:
        assert item.rows <= 500
        for table in wire.decode_batch(item.batch).tables:
            seen += [r["pid"] for r in wire.decode_rows(table)]
        spool.done(item)
    assert seen == list(range(1200))


def test_shedding_is_told_with_its_count(buffer, spool, path, clock, tables):
    path.spend(5.0)
    clock.advance(5)
    path.turn()
    assert path.level == 2
    short = ProcessActivity(activity_id=2, time_ns=1, mono_ns=1, pid=1, duration_ns=5)
    buffer("process_activity", [launch(1)] + [short] * 40)
    clock.advance(5)
    buffer.turn()
    clock.advance(1)
    buffer.turn()
    got = {t.name: rows for t, rows in tables(spool)}
    assert len(got["process_activity"]) == 1
    (blind,) = got["blind_time"]
    assert (blind["activity_id"], blind["lost"], blind["source"]) == (2, 40, "budget")
    assert blind["is_self"]


def test_a_source_that_is_down_is_told(buffer, spool, tables):
    buffer.source_down("sensor", "crashed")
    buffer.flush()
    ((table, (row,)),) = tables(spool)
    assert (table.name, row["activity_id"], row["lost"]) == ("blind_time", 3, -1)


def test_what_the_spool_dropped_is_told_once(tmp_path, path, ledger, clock, lost, tables):
    small = Spool(tmp_path / "small", boot="b", clock=clock, max_bytes=20_000)
    buffer = EventBuffer(
        small, path, ledger, clock, flush_s=0.4, own_pid=1, inventory_lost=lambda: lost.append(1)
    )
    for _ in range(10):
        small.append("e", b"x" * 4000, 7)
    dropped = small.take_losses().events
    while (item := small.peek()) is not None:
        small.done(item)
    clock.advance(TELL_LOSSES_S)
    buffer.turn()
    ((_, (row,)),) = tables(small)
    assert (row["activity_id"], row["lost"], row["source"]) == (4, dropped, "spool")
    assert small.take_losses() is None
    clock.advance(TELL_LOSSES_S)
    buffer.turn()
    assert small.depth == 0
    assert lost == []
    small.append("i", b"x" * 30_000, 3)
    clock.advance(TELL_LOSSES_S)
    buffer.turn()
    assert lost == [1]
    small.close()


def test_a_report_of_losses_without_room_does_not_count_as_a_loss(tmp_path, path, ledger, clock):
    tiny = Spool(tmp_path / "tiny", boot="b", clock=clock, max_bytes=300)
    buffer = EventBuffer(
        tiny, path, ledger, clock, flush_s=0.4, own_pid=1, inventory_lost=lambda: None
    )
    tiny.append("e", b"x" * 500, 7)
    for _ in range(5):
        clock.advance(TELL_LOSSES_S)
        buffer.turn()
    assert tiny.take_losses().events == 7
    tiny.close()


def test_an_oversized_command_line_is_cut_and_never_hides_its_exec(buffer, spool, tables):
    huge = ["/tmp/evil", "\U0010ffff" * batches.MAX_BYTES, "tail"]
    buffer(
        "process_activity",
        [ProcessActivity(activity_id=1, time_ns=1, mono_ns=1, pid=5, argv=huge)],
    )
    buffer.flush()
    ((table, (row,)),) = tables(spool)
    assert table.name == "process_activity"
    assert row["argv_truncated"]
    assert (row["pid"], row["argv"][0]) == (5, "/tmp/evil")
    assert huge[1].startswith(row["argv"][1])
    assert len(row["argv"][1]) > 100_000


def test_few_huge_command_lines_are_not_held(buffer, spool, monkeypatch):
    monkeypatch.setattr(events, "MAX_WEIGHT", 100_000)
    argv = ["ab"] * 1000
    row = ProcessActivity(activity_id=1, time_ns=1, mono_ns=1, pid=5, argv=argv)
    buffer("process_activity", [row])
    assert spool.depth == 0
    buffer("process_activity", [row])
    assert spool.depth == 1


def test_a_row_larger_than_a_batch_is_told_and_the_rest_goes(
    buffer, spool, clock, tables, monkeypatch
):
    monkeypatch.setattr(batches, "MAX_BYTES", 3000)
    buffer("process_activity", [launch(1), launch(2, exe="e" * 5000), launch(3)])
    buffer.flush()
    buffer.flush()
    got = tables(spool)
    assert [r["pid"] for t, rows in got for r in rows if t.name == "process_activity"] == [1, 3]
    blind = [r for t, rows in got for r in rows if t.name == "blind_time"]
    assert [(b["lost"], b["source"]) for b in blind] == [(1, "process_activity")]

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hauberk.host.clock import SystemClock
from hauberk.link.client.spool import Losses, Spool

CHILD = Path(__file__).with_name("spool_child.py")


@pytest.fixture
def make(tmp_path, clock):
    opened = []

    def build(boot="boot-1", max_bytes=1 << 20, folder=None):
        spool = Spool(folder or tmp_path / "spool", boot=boot, clock=clock, max_bytes=max_bytes)
        opened.append(spool)
        return spool

    yield build
    for spool in opened:
        spool.close()


def drain(spool):
    out = []
    while (item := spool.peek()) is not None:
        out.append(item)
        spool.done(item)
    return out


def test_lanes_share_one_rising_sequence(make, clock):
    spool = make()
    for lane in "eieeii":
        clock.advance(1)
        assert spool.append(lane, lane.encode(), 2) is not None
    assert spool.depth == 6
    assert spool.pending_bytes == 6 * (37 + 1)
    items = drain(spool)
    assert [i.sequence for i in items] == [1, 2, 3, 4, 5, 6]
    assert [i.lane for i in items] == list("eieeii")
    assert spool.pending_bytes == 0
    assert spool.size_bytes > 0
    assert items[0].mono_ns < items[5].mono_ns
    assert spool.peek() is None


def test_peek_without_done_gives_the_same_again(make):
    spool = make()
    spool.append("e", b"a", 1)
    assert spool.peek() == spool.peek()
    item = spool.peek()
    spool.done(item)
    spool.done(item)
    assert spool.depth == 0


def test_reopening_continues_the_sequence_and_forgets_what_was_done(make):
    spool = make()
    for _ in range(5):
        spool.append("e", b"x" * 100, 1)
    for _ in range(2):
        spool.done(spool.peek())
    spool.close()
    again = make()
    assert [i.sequence for i in drain(again)] == [3, 4, 5]
    again.close()
    empty = make()
    assert empty.peek() is None
    assert empty.append("i", b"y", 1) == 6


def test_the_sequence_survives_the_loss_of_every_segment(make, tmp_path):
    spool = make()
    for _ in range(9):
        spool.append("e", b"x", 1)
    spool.close()
    for path in (tmp_path / "spool").glob("*.seg"):
        path.unlink()
    assert make().append("e", b"x", 1) == 10


def test_a_damaged_sequence_file_skips_ahead(make, tmp_path):
    spool = make()
    spool.append("e", b"x", 1)
    spool.close()
    (tmp_path / "spool/sequence").write_bytes(b"garbage")
    assert make().append("e", b"x", 1) > 1_000_000


def test_another_boot_starts_over_and_old_batches_go_first(make):
    spool = make("boot-1")
    for _ in range(3):
        spool.append("e", b"old", 1)
    spool.append("i", b"old", 1)
    spool.close()
    again = make("boot-2")
    assert again.append("e", b"new", 1) == 1
    assert [(i.boot, i.sequence) for i in drain(again)] == [
        ("boot-1", 1),
        ("boot-1", 2),
        ("boot-1", 3),
        ("boot-1", 4),
        ("boot-2", 1),
    ]


def test_over_the_bound_the_oldest_events_go_and_are_counted(make, clock):
    spool = make(max_bytes=64 * 1024)
    for _ in range(10):
        spool.append("i", b"i" * 1000, 7)
    start = clock.wall
    for _ in range(200):
        clock.advance(1)
        spool.append("e", b"e" * 1000, 10)
    assert spool.size_bytes <= 64 * 1024
    losses = spool.take_losses()
    items = drain(spool)
    events = [i for i in items if i.lane == "e"]
    assert sum(i.lane == "i" for i in items) == 10
    assert losses.inventory == 0
    assert losses.events == (200 - len(events)) * 10 > 0
    assert [i.sequence for i in events] == list(range(211 - len(events), 211))
    assert start < losses.since_ns < losses.until_ns < events[0].wall_ns
    assert "bound" in losses.reason
    assert spool.dropped_rows == losses.events


def test_inventory_pushes_out_events_and_only_then_itself(make):
    spool = make(max_bytes=32 * 1024)
    for _ in range(20):
        spool.append("e", b"e" * 1000, 1)
    for _ in range(40):
        spool.append("i", b"i" * 1000, 1)
    losses = spool.take_losses()
    items = drain(spool)
    assert losses.events == 20
    assert {i.lane for i in items} == {"i"}
    assert losses.inventory == 40 - len(items) > 0
    assert items[-1].sequence == 60


def test_events_never_push_out_inventory(make):
    spool = make(max_bytes=16 * 1024)
    while spool.take_losses() is None:
        spool.append("i", b"i" * 1000, 1)
    inventory = spool.depth
    before = spool.take_losses()
    lost = 0
    for _ in range(20):
        lost += spool.append("e", b"e" * 5000, 3) is None
    assert lost == 20
    assert spool.depth == inventory
    assert spool.take_losses().events - before.events == 60


def test_a_batch_larger_than_the_spool_is_counted(make):
    spool = make(max_bytes=4096)
    assert spool.append("i", b"x" * 5000, 9) is None
    assert spool.take_losses().inventory == 9
    assert spool.append("i", b"x" * 5000, 9, counted=False) is None
    assert spool.take_losses().inventory == 9


def test_losses_survive_a_restart_until_they_are_told(make, clock):
    spool = make(max_bytes=4096)
    spool.append("e", b"x" * 5000, 4)
    spool.close()
    again = make(max_bytes=4096)
    told = again.take_losses()
    assert (told.events, told.since_ns) == (4, clock.wall)
    clock.advance(5)
    again.append("e", b"x" * 5000, 2)
    again.losses_told(told)
    assert again.take_losses().events == 2
    again.losses_told(again.take_losses())
    assert again.take_losses() is None
    again.close()
    assert make(max_bytes=4096).take_losses() is None


def test_an_item_dropped_in_flight_is_not_anothers_acknowledgement(make):
    spool = make(max_bytes=8192)
    spool.append("e", b"first" + b"x" * 3000, 1)
    item = spool.peek()
    for _ in range(6):
        spool.append("e", b"x" * 3000, 1)
    left = spool.depth
    spool.done(item)
    assert spool.depth == left


def test_done_segments_are_deleted_and_room_is_used_again(make, tmp_path):
    spool = make(max_bytes=64 * 1024)
    for _ in range(300):
        assert spool.append("e", b"x" * 3000, 1) is not None
        spool.done(spool.peek())
    assert spool.take_losses() is None
    assert len(list((tmp_path / "spool").glob("*.seg"))) <= 2


def test_a_file_without_header_is_no_obstacle(make, tmp_path):
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/000000000004-e.seg").write_bytes(b"\0" * 4096)
    spool = make()
    assert spool.append("e", b"x", 1) == 1
    assert [i.batch for i in drain(spool)] == [b"x"]


def test_an_unreadable_segment_is_counted_and_passed_over(make, monkeypatch):
    spool = make()
    spool.append("e", b"bad", 5)
    spool.append("i", b"good", 1)
    real = os.pread

    def broken(descriptor, size, offset):
        if size == 3:
            raise OSError(5, "Input/output error")
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", broken)
    assert spool.peek().batch == b"good"
    assert spool.take_losses().events == 5
    assert "Input/output" in spool.take_losses().reason


def test_wall_clock_jumps_change_no_order(make, clock):
    spool = make()
    for jump in (0, 3600, -7200, 86400):
        clock.jump(jump)
        spool.append("e", str(jump).encode(), 1)
    assert [i.batch for i in drain(spool)] == [b"0", b"3600", b"-7200", b"86400"]


def test_wait_returns_when_something_is_put_in(make):
    spool = make()
    assert spool.wait(0) is False
    spool.append("e", b"x", 1)
    assert spool.wait(60) is True


def test_boot_ids_are_bounded(make):
    with pytest.raises(ValueError, match="boot"):
        make("")
    with pytest.raises(ValueError, match="boot"):
        make("x" * 65)


def test_losses_add_up():
    losses = Losses()
    losses.add("e", 2, 20, 30, "a")
    losses.add("i", 3, 10, 25, "b")
    assert (losses.events, losses.inventory) == (2, 3)
    assert (losses.since_ns, losses.until_ns, losses.reason) == (10, 30, "b")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_counts_and_never_raises(tmp_path, clock):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    try:
        spool = Spool(folder / "spool", boot="b", clock=clock, max_bytes=1 << 30)
        kept, lost = [], 0
        for number in range(100):
            sequence = spool.append("e", number.to_bytes(4, "big") * 2000, 5)
            if sequence is None:
                lost += 1
            else:
                kept.append((sequence, number))
        assert lost > 0
        assert kept
        assert spool.take_losses().events == lost * 5
        assert "disk full" in spool.take_losses().reason
        # Inventory takes the room of the oldest events.
        assert spool.append("i", b"i" * 8000, 1) is not None
        # What is acknowledged makes room for what comes.
        while (item := spool.peek()) is not None:
            spool.done(item)
        spool.append("e", b"after" * 1000, 1)
        spool.close()
        again = Spool(folder / "spool", boot="b", clock=clock, max_bytes=1 << 30)
        assert again.append("e", b"x", 1) > max(s for s, _ in kept)
        assert again.take_losses().events >= lost * 5
        again.close()
    finally:
        # Lazily: a failed test may still hold files open.
        subprocess.run(["umount", "-l", folder], check=True)


def test_kill_9_under_load_loses_nothing_doubles_nothing_repeats_no_sequence(tmp_path):
    chance = random.Random(7)
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, CHILD, tmp_path], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "running\n"
        time.sleep(chance.uniform(0.0, 0.15))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    subprocess.run([sys.executable, CHILD, tmp_path, "drain"], check=True)
    made = (tmp_path / "made").read_text().split()
    by_sequence, by_name = defaultdict(set), defaultdict(set)
    for line in (tmp_path / "server").read_text().splitlines():
        boot, sequence, name = line.split(" ")
        by_sequence[boot, sequence].add(name)
        by_name[name].add(sequence)
    assert len(made) > 500
    assert set(made) <= set(by_name)
    assert all(len(names) == 1 for names in by_sequence.values())
    assert all(len(sequences) == 1 for sequences in by_name.values())


def test_damage_in_the_middle_is_never_silent(make, tmp_path):
    spool = make()
    for number in range(9):
        spool.append("e", f"batch {number}".encode(), 50)
    spool.close()
    (path,) = (tmp_path / "spool").glob("*-e.seg")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"batch 3")] ^= 1
    path.write_bytes(raw)
    again = make()
    assert again.depth == 3
    losses = again.take_losses()
    assert (losses.events, losses.reason) == (1, "spool file damaged, rows uncounted")
    again.losses_told(losses)
    again.close()
    assert make().take_losses() is None


class SpoolModel(RuleBasedStateMachine):
    """Any order of calls, restarts and torn tails against a list."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.boots = 1
        self.waiting = []
        self.used = set()
        self.damaged = 0
        self.open()

    def open(self):
        boot = f"boot-{self.boots}"
        self.spool = Spool(self.folder, boot=boot, clock=SystemClock(), max_bytes=1 << 30)

    def teardown(self):
        self.spool.close()
        shutil.rmtree(self.folder)

    @rule(lane=st.sampled_from("ei"), body=st.binary(max_size=200), big=st.booleans())
    def append(self, lane, body, big):
        batch = body + bytes(600_000 if big else 0)
        sequence = self.spool.append(lane, batch, 1)
        mark = (f"boot-{self.boots}", sequence)
        assert mark not in self.used
        self.used.add(mark)
        self.waiting.append((*mark, batch))

    @rule(times=st.integers(1, 4))
    def deliver(self, times):
        for _ in range(times):
            item = self.spool.peek()
            if not self.waiting:
                assert item is None
                return
            assert (item.boot, item.sequence, item.batch) == self.waiting.pop(0)
            self.spool.done(item)

    @rule(reboot=st.booleans(), torn=st.binary(max_size=60))
    def restart(self, reboot, torn):
        self.spool.close()
        self.boots += reboot
        newest = sorted(self.folder.glob("*.seg"))[-1:]
        for path in newest:
            path.write_bytes(path.read_bytes() + torn)
            self.damaged += bool(torn)
        self.open()

    @invariant()
    def counts_agree(self):
        assert self.spool.depth == len(self.waiting)
        losses = self.spool.take_losses()
        assert (losses.events + losses.inventory if losses else 0) == self.damaged


TestSpoolModel = SpoolModel.TestCase
TestSpoolModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_writers_and_the_sender_may_run_at_once(make):
    spool = make(max_bytes=1 << 26)
    got, stop = [], threading.Event()

    def send():
        while not (stop.is_set() and spool.depth == 0):
            if (item := spool.peek()) is None:
                spool.wait(0.01)
                continue
            got.append((item.sequence, item.batch))
            spool.done(item)

    def write(lane):
        for number in range(300):
            assert spool.append(lane, f"{lane}{number}".encode(), 1) is not None

    sender = threading.Thread(target=send)
    writers = [threading.Thread(target=write, args=(lane,)) for lane in "ei"]
    for thread in (sender, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    sender.join()
    assert sorted(s for s, _ in got) == list(range(1, 601))
    for lane in (b"e", b"i"):
        assert [b for _, b in got if b[:1] == lane] == [lane + str(n).encode() for n in range(300)]

import itertools
import os
import time

import pytest

from hauberk.agent import canary as module
from hauberk.agent.canary import AGAIN_S, DEADLINE_S, EVERY_S, TOLD_S, Canary
from hauberk.schema.event import ProcessActivity
from hauberk.schema.link import SensorHealth

BPF = SensorHealth(tier="B", sources=["bpf:tp_btf/sched_process_exec"])


def launched(pid):
    return ProcessActivity(activity_id=1, time_ns=1, mono_ns=1, pid=pid, is_self=True)


def ended(pid):
    return ProcessActivity(activity_id=2, time_ns=1, mono_ns=1, pid=pid, is_self=True)


class World:
    def __init__(self, clock):
        self.rows, self.started, self.ended = [], [], []
        self.error = None
        self.canary = Canary(
            lambda table, rows: self.rows.append((table, rows)),
            clock,
            start=self.start,
            end=self.ended.append,
        )

    def start(self, marker, polled):
        if self.error:
            raise self.error
        self.started.append((marker, polled))
        return 1000 + len(self.started)


@pytest.fixture
def world(clock):
    return World(clock)


def test_a_canary_that_comes_back_is_the_proof(world, clock):
    canary = world.canary
    assert canary.age_s() is None
    assert canary.turn(BPF) == ""
    ((marker, polled),) = world.started
    assert (marker[:15], polled) == ("hauberk-canary-", False)
    rows = [launched(5), launched(1001), ended(1001)]
    canary.sink("process_activity", rows)
    assert world.rows == [("process_activity", rows)]  # recorded like everything else
    assert canary.turn(BPF) == ""
    assert world.ended == [1001]
    assert canary.age_s() == 0
    clock.advance(EVERY_S - 1)
    canary.turn(BPF)
    assert len(world.started) == 1
    clock.advance(1)
    canary.turn(BPF)
    assert len(world.started) == 2
    assert canary.alarms() == []


def test_one_that_does_not_is_an_alarm_until_another_does(world, clock):
    canary = world.canary
    canary.turn(BPF)
    canary.sink("process_activity", [launched(1001), ended(1001)])
    canary.turn(BPF)
    proof = clock.wall_ns()
    clock.advance(EVERY_S)
    canary.turn(BPF)
    clock.advance(DEADLINE_S - 1)
    assert canary.turn(BPF) == ""
    clock.advance(1)
    assert canary.turn(BPF) == ""  # one alone may have met a machine that slept
    assert canary.alarms() == []
    canary.turn(BPF)
    clock.advance(DEADLINE_S)
    assert "did not come back" in canary.turn(BPF)
    (alarm,) = canary.alarms()
    assert (alarm.kind, alarm.since_ns) == ("sensor_detached", proof)
    assert "bpf:" in alarm.what
    assert canary.blind_since_ns() == proof
    clock.advance(AGAIN_S)
    canary.turn(BPF)
    canary.sink("process_activity", [launched(1004), ended(1004)])
    canary.turn(BPF)
    assert canary.alarms() == [alarm]  # every beat shall have seen it
    clock.advance(TOLD_S + 1)
    assert canary.alarms() == []


def test_a_sensor_that_counts_pids_otherwise_knows_it_by_its_marker(world):
    world.canary.turn(BPF)
    ((marker, _),) = world.started
    for kind in (1, 2):
        argv = ["/bin/true", marker]
        row = ProcessActivity(activity_id=kind, time_ns=1, mono_ns=1, pid=77, argv=argv)
        world.canary.sink("process_activity", [row])
    world.canary.turn(BPF)
    assert world.canary.age_s() == 0


def test_a_sensor_that_hears_no_ends_any_more_is_noticed(world, clock):
    for pid in (1001, 1002):
        assert world.canary.turn(BPF) == ""
        world.canary.sink("process_activity", [launched(pid)])
        assert world.canary.turn(BPF) == ""
        clock.advance(DEADLINE_S)
        why = world.canary.turn(BPF)
    assert "the end of " in why
    assert [a.kind for a in world.canary.alarms()] == ["sensor_detached"]


def test_one_that_stays_deaf_is_opened_anew_ever_more_rarely(world, clock):
    anew = []
    for second in range(4 * 3600):
        if world.canary.turn(BPF):
            anew.append(second)
        clock.advance(1)
    pauses = [b - a for a, b in itertools.pairwise(anew)]
    assert pauses[0] < 3 * DEADLINE_S
    assert pauses[:4] == sorted(pauses[:4])
    assert len(anew) < 60
    assert max(pauses) <= EVERY_S + DEADLINE_S + 5


def test_one_that_may_have_drowned_proves_nothing(world, clock):
    canary = world.canary
    canary.turn(BPF)
    clock.advance(DEADLINE_S)
    assert canary.turn(SensorHealth(tier="B", sources=BPF.sources, lost=7)) == ""
    assert canary.alarms() == []
    clock.advance(AGAIN_S)
    canary.turn(BPF)
    assert len(world.started) == 2


def test_no_sensor_no_canary_and_a_failed_start_is_told(world, clock):
    canary = world.canary
    assert canary.turn(SensorHealth(tier="none")) == ""
    assert world.started == []
    world.error = OSError("no more processes")
    assert canary.turn(BPF) == ""
    assert "no more processes" in canary.failed_starts
    world.error = None
    clock.advance(EVERY_S)
    canary.turn(BPF)
    assert canary.failed_starts == ""


def test_where_proc_is_polled_the_program_stays_alive(world):
    world.canary.turn(SensorHealth(tier="D", sources=["poll:/proc", "poll:/proc/net/tcp"]))
    assert world.started[0][1]
    world.canary.close()
    assert world.ended == [1001]


def test_the_real_programs_end():
    short = module.launch("hauberk-canary-test", False)
    deadline = time.monotonic() + 5
    while os.waitid(os.P_PID, short, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    module.reap(short)
    long = module.launch("hauberk-canary-test", True)
    time.sleep(0.1)
    assert os.waitid(os.P_PID, long, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    module.reap(long)
    module.reap(long)
    with pytest.raises(ChildProcessError):
        os.waitpid(long, 0)

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from hauberk.errors import Unsupported
from hauberk.schema.event import ProcessActivity
from hauberk.sensor.choose import Choice
from hauberk.sensor.sensor import TRIES_BEFORE_FALLBACK, Sensor


class Scripted:
    """A source that does what it is told."""

    def __init__(self, name="scripted"):
        self.names = [name]
        self.rounds = []
        self.lost_now = 0
        self.error = None
        self.closed = 0

    def wait(self, timeout_s):
        pass

    def drain(self, batch):
        if self.error is not None:
            raise self.error
        if not self.rounds:
            return False
        batch.process += self.rounds.pop(0)
        return bool(self.rounds)

    def lost(self):
        return self.lost_now

    def close(self):
        self.closed += 1


def event(pid):
    return ProcessActivity(activity_id=1, time_ns=1, mono_ns=1, pid=pid)


class World:
    """A sensor over scripted sources, and what its sink was given."""

    def __init__(self, settings, clock):
        self.given = []
        self.source = Scripted()
        self.second = Scripted("fallback")
        self.openings = []
        self.refuse = False
        self.sensor = Sensor(
            lambda t, r: self.given.append((t, list(r))), clock, settings, self.choose
        )

    def open(self, state):
        self.openings.append(state)
        if self.refuse:
            raise Unsupported("still down")
        self.source = Scripted()
        return self.source

    def choose(self, _state, *, without_bpf=""):
        if without_bpf:
            return Choice("D", [(self.open, self.second)], [f"no eBPF: {without_bpf}"])
        return Choice("B", [(self.open, self.source)], [])

    def blind(self):
        return [row for table, rows in self.given if table == "blind_time" for row in rows]


@pytest.fixture
def world(settings, clock):
    return World(settings, clock)


def test_poll_gives_all_rounds_and_counts(world):
    world.source.rounds = [[event(1)], [event(2), event(3)]]
    assert world.sensor.poll(0) == 3
    assert [t for t, _ in world.given] == ["process_activity", "process_activity"]
    assert world.sensor.health().events == 3
    assert world.sensor.poll(0) == 0


def test_losses_are_told_once_and_add_up(world, clock, settings):
    world.source.lost_now = 5
    clock.pass_s(settings.lost_check_s)
    world.sensor.poll(0)
    (blind,) = world.blind()
    assert (blind.activity_id, blind.lost, blind.source) == (1, 5, "scripted")
    assert blind.until_ns == clock.wall_ns()
    assert blind.time_ns == clock.wall_ns() - int(settings.lost_check_s * 1e9)
    clock.pass_s(settings.lost_check_s)
    world.sensor.poll(0)
    assert len(world.blind()) == 1
    world.source.lost_now = 7
    clock.pass_s(settings.lost_check_s)
    world.sensor.poll(0)
    assert world.blind()[1].lost == 2
    assert world.sensor.health().lost == 7


def test_losses_are_told_when_the_wall_clock_jumps_back(world, clock):
    clock.wall -= 10**15
    world.source.lost_now = 1
    world.sensor.poll(0)
    (blind,) = world.blind()
    assert blind.time_ns <= blind.until_ns


def test_a_dead_source_is_told_and_opened_again(world, clock, caplog):
    first = world.source
    first.error = OSError("ring gone")
    with caplog.at_level(logging.ERROR):
        world.sensor.poll(0)
    assert first.closed == 1
    assert "ring gone" in caplog.text
    (down,) = world.blind()
    assert (down.activity_id, down.lost, down.until_ns) == (3, -1, 0)
    health = world.sensor.health()
    assert (health.tier, health.sources) == ("none", [])
    assert "ring gone" in health.reasons[0]
    world.sensor.poll(0)
    assert world.openings == []
    clock.pass_s(2)
    world.sensor.poll(0)
    assert len(world.openings) == 1
    closed = world.blind()[1]
    assert closed.until_ns == clock.wall_ns()
    assert closed.time_ns == down.time_ns
    assert world.sensor.health().tier == "B"
    world.source.rounds = [[event(9)]]
    assert world.sensor.poll(0) == 1


def test_a_distrusted_source_is_opened_anew_at_once_and_the_gap_is_told(world, clock, caplog):
    first, since = world.source, clock.wall_ns() - 300 * 10**9
    world.sensor.distrust("its canary did not come back", since)
    assert first.closed == 1
    world.sensor.poll(0)
    assert len(world.openings) == 1
    assert world.sensor.health().tier == "B"
    down, up = world.blind()
    assert (down.time_ns, down.until_ns) == (since, 0)
    assert (up.time_ns, up.until_ns) == (since, clock.wall_ns())
    assert "canary" in up.reason
    assert caplog.text == ""


def test_reopening_backs_off_and_then_gives_up_ebpf(world, clock, caplog):
    world.refuse = True
    world.source.error = OSError("ring gone")
    world.sensor.poll(0)
    tried_at = []
    for _ in range(200):
        before = len(world.openings)
        clock.pass_s(0.5)
        world.sensor.poll(0)
        if len(world.openings) > before:
            tried_at.append(clock.mono_ns())
    gaps = [b - a for a, b in pairwise(tried_at)]
    assert len(tried_at) == TRIES_BEFORE_FALLBACK
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]
    health = world.sensor.health()
    assert (health.tier, health.sources) == ("D", ["fallback"])
    assert health.reasons == ["no eBPF: still down"]
    assert "ring gone" in caplog.text


def test_a_sink_that_fails_is_the_callers_matter(settings, clock):
    def sink(table, rows):
        raise RuntimeError("spool")

    world = World(settings, clock)
    world.sensor = Sensor(sink, clock, settings, world.choose)
    world.source.rounds = [[event(1)]]
    with pytest.raises(RuntimeError, match="spool"):
        world.sensor.poll(0)
    assert world.sensor.health().tier == "B"


def test_close_is_final_and_may_be_repeated(world, clock):
    world.sensor.close()
    world.sensor.close()
    assert world.source.closed == 1
    clock.pass_s(1000)
    assert world.sensor.poll(0) == 0
    assert world.openings == []
    assert world.sensor.health().tier == "none"


def test_labels_reach_the_shared_state(world, proc):
    proc.add(5, "agent")
    world.sensor.set_self_roots([5])
    world.sensor.set_containers({77: "web"})
    state = world.sensor._state
    assert state.processes.parent(5).is_self
    assert state.containers.name(77, 0) == "web"


def test_existing_processes_are_known_from_the_start(settings, clock, proc):
    proc.add(5, "before")
    assert World(settings, clock).sensor._state.processes.get(5).name == "before"

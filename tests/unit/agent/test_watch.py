import threading
import time

import pytest

from hauberk.agent.watch import WatchLoop
from hauberk.schema.link import SensorHealth


class Path:
    def __init__(self):
        self.spent = []

        self.pauses = []

    def spend(self, seconds):
        self.spent.append(seconds)

    def pause_s(self):
        return self.pauses.pop() if self.pauses else 0.0


class Buffer:
    def __init__(self):
        self.turns = self.flushes = 0

    def turn(self):
        self.turns += 1

    def flush(self):
        self.flushes += 1


class Source:
    def __init__(self, stop, polls=3, error=None):
        self.stop, self.polls, self.error, self.closed = stop, polls, error, False

    def poll(self, timeout_s):
        assert 0 < timeout_s <= 0.5
        self.polls -= 1
        if self.polls == 0:
            if self.error:
                raise self.error
            self.stop.set()
        return 2

    def health(self):
        return SensorHealth(tier="B", sources=["x"], events=5)

    def close(self):
        self.closed = True


@pytest.fixture
def loop(ledger):
    stop, buffer, path = threading.Event(), Buffer(), Path()
    source = Source(stop)
    made = WatchLoop(lambda: source, buffer, path, ledger, stop)
    made.parts = source, buffer, path
    return made


def test_before_the_start_there_is_no_tier(loop):
    assert loop.health().tier == "none"
    assert "not started" in loop.health().reasons[0]


def test_polls_until_stopped_then_closes_and_flushes(loop):
    source, buffer, path = loop.parts
    loop.run()
    assert buffer.turns == len(path.spent) == 3
    assert buffer.flushes == 1
    assert source.closed
    assert loop.health() == SensorHealth(tier="B", sources=["x"], events=5)


def test_a_crash_is_seen_in_the_health_and_passes_on(loop):
    source, buffer, _ = loop.parts
    source.error = RuntimeError("ring gone")
    with pytest.raises(RuntimeError):
        loop.run()
    assert source.closed
    assert buffer.flushes == 1
    assert loop.health().tier == "none"
    assert "ring gone" in loop.health().reasons[0]
    loop.crashed["link"] = "KeyError: 1"
    assert loop.health().reasons[0] == "thread link crashed: KeyError: 1"


def test_sending_is_paid_from_the_same_grant(loop, ledger):
    source, _, path = loop.parts
    source.polls = 100
    ledger.add("send", cpu_s=2.0)
    loop.turn(source)
    ledger.add("send", cpu_s=5.0)
    loop.turn(source)
    loop.turn(source)
    assert [round(s) for s in path.spent] == [2, 5, 0]


def test_the_sensor_is_looked_at_every_second_and_notes_are_told(ledger):
    stop, ticks = threading.Event(), []
    source = Source(stop)
    loop = WatchLoop(
        lambda: source,
        Buffer(),
        Path(),
        ledger,
        stop,
        tick=lambda s, h: ticks.append((s, h.tier)),
        notes=lambda: ["own files are not checked"],
        proven_s=lambda: 3.0,
    )
    loop.turn(source)
    assert ticks == [(source, "B")]
    loop.turn(source)
    assert len(ticks) == 1
    assert loop.health().reasons == ["own files are not checked"]
    assert loop.health().proven_s == 3.0


def test_it_rests_when_the_path_must(loop, ledger):
    source, _, path = loop.parts
    source.polls, path.pauses = 100, [0.05]
    began = time.monotonic()
    loop.turn(source)
    assert time.monotonic() - began >= 0.05

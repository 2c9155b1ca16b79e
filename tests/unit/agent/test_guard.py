import pytest

from hauberk.agent.budget import EventPath
from hauberk.agent.guard import MEMORY_S, RELIEVE_S, Guard
from hauberk.schema.link import Alarm, Budget, SensorHealth

MIB = 1 << 20


@pytest.fixture
def guard(tmp_path, clock):
    path = EventPath(10.0, clock)
    made = Guard(tmp_path, Budget(memory_bytes=100 * MIB), path, lambda *_: None, clock)
    made.path, made.used = path, 10 * MIB
    made.cgroup.memory = lambda: (made.used, 100 * MIB)
    made.relieved = []
    made.relieve = lambda: made.relieved.append(1)
    return made


def look(guard, clock, used, seconds=MEMORY_S):
    guard.used = used * MIB
    clock.advance(seconds)
    guard.look_at_memory()


def test_short_of_memory_it_gives_up_caches_then_events_and_recovers(guard, clock):
    clock.advance(RELIEVE_S)
    look(guard, clock, 50)
    assert (guard.relieved, guard.path.squeezed) == ([], False)
    look(guard, clock, 65)
    assert (guard.relieved, guard.path.squeezed) == ([1], False)
    look(guard, clock, 85)
    assert (guard.relieved, guard.path.squeezed) == ([1], True)
    assert guard.state(window_open=True).shed_level == 1
    assert "short of memory" in guard.state(window_open=True).shed
    look(guard, clock, 75, RELIEVE_S + 1)
    assert (guard.relieved, guard.path.squeezed) == ([1, 1], True)
    look(guard, clock, 65)
    assert not guard.path.squeezed


def test_without_a_bound_of_a_group_its_own_size_counts(guard, clock):
    guard.cgroup.memory = lambda: None
    guard.change(Budget(memory_bytes=1 * MIB))
    clock.advance(MEMORY_S)
    guard.look_at_memory()
    assert guard.path.squeezed


def test_the_state_tells_how_the_grant_is_kept(guard, clock):
    guard.pressure.now, guard.pressure.backing_off = {"cpu": 50.0}, True
    state = guard.state(window_open=False)
    assert (state.by, state.backing_off, state.window_open) == ("pacing", True, False)
    assert state.pressure == {"cpu": 50.0}
    assert "not tried yet" in state.detail


class Source:
    told = None

    def distrust(self, why, since_ns):
        self.told = why, since_ns


def test_a_lost_canary_opens_the_sensor_anew(guard, monkeypatch):
    source, health = Source(), SensorHealth(tier="B")
    guard.tick(source, health)
    assert source.told is None
    urged = []
    monkeypatch.setattr(guard.cgroup, "urge", urged.append)
    monkeypatch.setattr(guard.pressure, "look", lambda: True)
    guard.pressure.backing_off = True
    guard.tick(source, health)
    assert urged == [True]
    monkeypatch.setattr(guard.canary, "turn", lambda _h: "did not come back")
    monkeypatch.setattr(guard.canary, "blind_since_ns", lambda: 7)
    guard.tick(source, health)
    assert source.told == ("did not come back", 7)
    guard.stop()


def test_alarms_and_notes_of_both(guard, monkeypatch):
    lost = Alarm(kind="sensor_detached", what="x", since_ns=1)
    monkeypatch.setattr(guard.canary, "alarms", lambda: [lost])
    assert guard.alarms() == [lost]
    guard.integrity.unchecked = "no list"
    guard.canary.failed_starts = "canary could not start: x"
    assert guard.notes() == ["own files are not checked: no list", "canary could not start: x"]

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.agent.schedule import SHORTEST_S, Plan
from hauberk.schema.link import Schedule

DEFAULTS = {"os.kernel": 100, "os.module": 300, "runtime.process": 60}
S = 10**9


def plan(schedule=None, random=lambda: 0.0):
    return Plan(DEFAULTS, schedule or Schedule(), random)


def test_everything_is_due_at_first_then_by_interval():
    p = plan()
    assert p.due(5) == list(DEFAULTS)
    for name in DEFAULTS:
        p.ran(name, 0)
    assert p.due(59 * S) == []
    assert p.due(60 * S) == ["runtime.process"]
    assert p.next_ns() == 60 * S
    assert p.due(400 * S) == ["runtime.process", "os.kernel", "os.module"]


@given(st.floats(0, 1), st.floats(0, 0.999))
def test_jitter_only_delays_and_within_its_share(jitter, x):
    p = plan(Schedule(jitter=jitter), lambda: x)
    p.ran("os.kernel", 0)
    assert p.due(100 * S - 1).count("os.kernel") == 0
    assert p.due(int(100 * S * (1 + jitter * x)) + 1).count("os.kernel") == 1


def test_desired_intervals_count_from_the_last_run():
    p = plan()
    for name in DEFAULTS:
        p.ran(name, 0)
    p.change(Schedule(every_s={"os.module": 30, "unknown.thing": 1}, jitter=0))
    assert p.due(30 * S) == ["os.module"]
    p.change(Schedule(every_s={"os.module": 0}, jitter=-5))
    assert p.every_s("os.module") == SHORTEST_S


def test_paused_ones_wait_but_an_order_still_collects_them():
    p = plan(Schedule(paused=list(DEFAULTS)))
    assert p.due(10**15) == []
    assert p.next_ns() is None
    assert p.collect_now(["os.kernel", "no.such"]) == ["os.kernel"]
    assert p.next_ns() == 0
    assert p.due(0) == ["os.kernel"]
    p.ran("os.kernel", 0)
    assert p.due(10**15) == []


def test_an_empty_order_means_all_and_goes_first():
    p = plan()
    for name in DEFAULTS:
        p.ran(name, 0)
    assert p.collect_now([]) == list(DEFAULTS)
    assert p.due(0) == list(DEFAULTS)
    with pytest.raises(KeyError):
        p.every_s("no.such")

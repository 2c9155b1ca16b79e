from __future__ import annotations

from storekit import DAY_NS, NOW_NS, Kit

from hauberk.store.steady import Steady


def test_ordinary_time_passes(kit: Kit) -> None:
    steady = Steady(kit.engine, kit.clock)
    for _ in range(3):
        assert steady.now_ns() == kit.clock.wall
        assert steady.doubt(kit.clock.wall) == ""
        kit.clock.forward(600)


def test_a_jump_is_followed_slowly_and_kept_over_restarts(kit: Kit) -> None:
    steady = Steady(kit.engine, kit.clock)
    steady.now_ns()
    kit.clock.wall += 100 * DAY_NS
    assert steady.now_ns() == NOW_NS
    assert Steady(kit.engine, kit.clock).now_ns() == NOW_NS
    kit.clock.forward(3600)
    believed = steady.now_ns()
    assert believed == NOW_NS + 49 * 3600 * 10**9
    assert "97 days ahead" in steady.doubt(believed) or "98 days ahead" in steady.doubt(believed)
    kit.clock.forward(3 * 86_400)
    assert steady.now_ns() == kit.clock.wall


def test_a_clock_that_goes_back_is_believed(kit: Kit) -> None:
    steady = Steady(kit.engine, kit.clock)
    steady.now_ns()
    kit.clock.wall -= 5 * DAY_NS
    assert steady.now_ns() == kit.clock.wall

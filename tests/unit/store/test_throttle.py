from __future__ import annotations

import pytest
from apikit import TestClock

from hauberk.errors import Busy
from hauberk.store.throttle import Throttle


def test_waits_double_up_to_the_longest_and_are_forgotten():
    clock = TestClock()
    throttle = Throttle(clock, free=3, longest_s=8)
    waits = []
    for _ in range(8):
        throttle.fail("a")
        try:
            throttle.check("a")
            waits.append(0.0)
        except Busy as error:
            waits.append(error.retry_after)
    assert waits == [0, 0, 1, 2, 4, 8, 8, 8]
    throttle.check("b")
    clock.forward(8)
    throttle.check("a")
    throttle.fail("a")
    with pytest.raises(Busy):
        throttle.check("a")
    throttle.succeed("a")
    throttle.check("a")


def test_old_failures_do_not_count():
    clock = TestClock()
    throttle = Throttle(clock, free=2, longest_s=8)
    throttle.fail("a")
    clock.forward(1000)
    throttle.fail("a")
    throttle.check("a")


def test_memory_is_bounded():
    throttle = Throttle(TestClock(), free=1, longest_s=8, max_keys=10)
    for n in range(1000):
        throttle.fail(str(n))
    assert len(throttle) == 10
    with pytest.raises(Busy):
        throttle.check("999")

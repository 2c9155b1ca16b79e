from __future__ import annotations

from apikit import TestClock

from hauberk.errors import Busy
from hauberk.store.throttle import Throttle


def waiting(throttle, key):
    """Seconds to wait; without a wait the attempt is taken back."""
    try:
        throttle.attempt(key)
    except Busy as error:
        return error.retry_after
    throttle.undo(key)
    return 0


def test_waits_double_up_to_the_longest_and_are_forgotten():
    clock = TestClock()
    throttle = Throttle(clock, free=2, longest_s=8)
    waits = []
    for _ in range(8):
        throttle.attempt("a")
        waits.append(waiting(throttle, "a"))
        clock.forward(waits[-1])
    assert waits == [0, 1, 2, 4, 8, 8, 8, 8]
    throttle.attempt("b")
    throttle.attempt("a")
    assert waiting(throttle, "a") == 8
    throttle.succeed("a")
    assert waiting(throttle, "a") == 0


def test_old_failures_do_not_count():
    clock = TestClock()
    throttle = Throttle(clock, free=2, longest_s=8)
    throttle.attempt("a")
    clock.forward(1000)
    throttle.attempt("a")
    throttle.attempt("a")
    assert waiting(throttle, "a") == 1


def test_memory_is_bounded():
    throttle = Throttle(TestClock(), free=1, longest_s=8, max_keys=10)
    for n in range(1000):
        throttle.attempt(str(n))
    assert len(throttle) == 10
    assert waiting(throttle, "999") == 1


def test_an_attempt_that_was_none_does_not_count():
    throttle = Throttle(TestClock(), free=2, longest_s=8)
    for _ in range(20):
        throttle.attempt("a")
        throttle.undo("a")
    throttle.attempt("a")
    throttle.attempt("a")
    assert waiting(throttle, "a") == 1
    throttle.undo("a")
    throttle.undo("unknown")
    assert waiting(throttle, "a") == 0

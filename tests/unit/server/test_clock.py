from __future__ import annotations

import time

from hauberk.server.clock import SystemClock


def test_units_are_nanoseconds() -> None:
    clock = SystemClock()
    before = time.time_ns()
    assert before <= clock.wall_ns() <= time.time_ns()
    first = clock.mono_ns()
    assert clock.mono_ns() >= first > 10**9

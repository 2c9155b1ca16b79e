import time

from hauberk.host.clock import SystemClock
from hauberk.ports import Clock


def test_clocks_are_the_kernels():
    clock: Clock = SystemClock()
    before = (time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    wall, mono = clock.wall_ns(), clock.mono_ns()
    after = (time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    assert before[0] <= wall <= after[0]
    assert before[1] <= mono <= after[1]

"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` of this machine."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """Nanoseconds since boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

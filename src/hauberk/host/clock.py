"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` of this machine; monotonic time counts suspended time too."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, may jump."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """Nanoseconds since boot (CLOCK_BOOTTIME)."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

"""What can be set on the sensor."""

from __future__ import annotations

import msgspec

MIB = 1024 * 1024


class SensorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    `ring_bytes` is a power of two; a reader is woken early once `wake_bytes` pend (0: a quarter of
    the ring). `native` False leaves the kernel programs out, so tier D runs. `lost_check_s` is how
    often lost counters are read. `sockets_every_s` is the interval of tier D's socket polling.
    """

    ring_bytes: int = 8 * MIB
    wake_bytes: int = 0
    batch_bytes: int = MIB
    processes: int = 16384
    native: bool = True
    lost_check_s: float = 1.0
    sockets_every_s: float = 2.0
    proc: str = "/proc"
    cgroup_roots: tuple[str, ...] = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0

"""What one peer may cost: requests per second, and bytes held at once by all of them."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from hauberk.errors import Busy
from hauberk.ports import Clock

_MAX_KEYS = 20_000


def network_of(address: str) -> str:
    """Who is slowed down for an address: of IPv6 the /64, since one peer has all of it."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if known.version == 4 or known.ipv4_mapped is not None:
        return str(known if known.version == 4 else known.ipv4_mapped)
    return str(ipaddress.ip_network((int(known) >> 64 << 64, 64)))


class Rate:
    """A token bucket per key; the least recently used keys are forgotten."""

    def __init__(self, clock: Clock, *, per_s: float, burst: float) -> None:
        self._clock, self._per_s, self._burst = clock, per_s, burst
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request. Raises Busy when the bucket is empty."""
        now = self._clock.mono_ns()
        level, then = self._buckets.get(key, (self._burst, now))
        level = min(self._burst, level + (now - then) / 1e9 * self._per_s)
        if level < 1.0:
            wait = (1.0 - level) / self._per_s
            raise Busy("too many requests: slow down", retry_after=max(wait, 1.0))
        self._buckets[key] = (level - 1.0, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > _MAX_KEYS:
            self._buckets.popitem(last=False)


class Held:
    """Body bytes that all requests in flight hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of: dict[str, int] = {}
        self.bytes = 0

    @contextmanager
    def hold(self, size: int, key: str) -> Iterator[None]:
        """Reserve `size` bytes for a peer meanwhile; one has at most a quarter of all.

        Raises:
            Busy: that is too much.
        """
        mine = self._of.get(key, 0)
        if (self.bytes and self.bytes + size > self._limit) or (
            mine and mine + size > self._limit // 4
        ):
            raise Busy("the gateway holds too many requests at once: wait", retry_after=2.0)
        self.bytes += size
        self._of[key] = mine + size
        try:
            yield
        finally:
            self.bytes -= size
            self._of[key] -= size
            if not self._of[key]:
                del self._of[key]

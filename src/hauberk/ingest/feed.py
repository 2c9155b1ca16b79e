"""Live notices per tenant, in this process: bounded for each reader, what is dropped is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Lock, Timer

from hauberk.ports import Clock
from hauberk.schema.view import Notice

LOST = "lost"
# Rows that wait for one reader: a notice may hold hundreds.
MAX_ROWS = 4000
TOPICS = ("events", "changes", "agents", "collections", "tasks", "runs", "alarms", "rollouts")
# Topics whose notices say only that something is new: a tenant hears the first at once, and then
# one for all that came within GATHER_S. Thousands of agents beat hundreds of times a second.
GATHERED = frozenset(TOPICS) - {"events", "changes"}
GATHER_S = 0.5


class Subscription:
    """One reader. Iterate on the event loop that made it."""

    def __init__(
        self, topics: frozenset[str], limit: int, now_ms: Callable[[], int], *, rows: int = MAX_ROWS
    ) -> None:
        self.topics = topics
        self.dropped = 0
        self._told = 0
        self._waiting: deque[Notice] = deque()
        self._limit, self._max_rows, self._now_ms = limit, rows, now_ms
        self._rows = 0
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._lock = Lock()

    def offer(self, notice: Notice) -> None:
        """Queue a notice, from any thread; over the limit the oldest one goes."""
        with self._lock:
            self._waiting.append(notice)
            self._rows += _rows(notice)
            while len(self._waiting) > 1 and (
                len(self._waiting) > self._limit or self._rows > self._max_rows
            ):
                self._rows -= _rows(self._waiting.popleft())
                self.dropped += 1
            first = len(self._waiting) == 1
        if first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def __aiter__(self) -> AsyncIterator[Notice]:
        return self

    async def __anext__(self) -> Notice:
        while True:
            with self._lock:
                if self.dropped > self._told:
                    self._told = self.dropped
                    return Notice(topic=LOST, at_ms=self._now_ms())
                if self._waiting:
                    notice = self._waiting.popleft()
                    self._rows -= _rows(notice)
                    return notice
                self._wake.clear()
            await self._wake.wait()


def _joined(before: Notice | None, notice: Notice) -> Notice:
    if before is None or before.workload == notice.workload:
        return notice
    return Notice(topic=notice.topic, at_ms=notice.at_ms)


def _rows(notice: Notice) -> int:
    return len(notice.events) + len(notice.changes)


class Feed:
    """Publishes to the subscriptions of one tenant; never across tenants."""

    def __init__(self, clock: Clock, *, limit: int = 256) -> None:
        """`limit`: notices that wait for one reader at most."""
        self._clock, self._limit = clock, limit
        self._readers: dict[str, list[Subscription]] = {}
        self._lock = Lock()
        self._gathering: dict[tuple[str, str], Notice | None] = {}
        self._gather_lock = Lock()
        self._relay: Callable[[str, Notice], object] = lambda _tenant, _notice: None
        self._elsewhere: Callable[[str, str], bool] = lambda _tenant, _topic: False
        self._interest: Callable[[], object] = lambda: None

    def connect(
        self,
        *,
        relay: Callable[[str, Notice], object],
        elsewhere: Callable[[str, str], bool],
        interest: Callable[[], object],
    ) -> None:
        """Let readers in other processes hear what is published here.

        Args:
            relay: sends a notice to the others; must not block.
            elsewhere: whether somebody there wants a topic of a tenant.
            interest: called when `interests` changed.
        """
        self._relay, self._elsewhere, self._interest = relay, elsewhere, interest

    def interests(self) -> dict[str, list[str]]:
        """Topics that somebody here listens to, by tenant."""
        return {
            tenant: sorted(set().union(*(reader.topics for reader in readers)))
            for tenant, readers in list(self._readers.items())
        }

    def wanted(self, tenant: str, topic: str) -> bool:
        """Whether anybody listens, so that nothing is made for nobody."""
        here = any(topic in s.topics for s in self._readers.get(tenant, ()))
        return here or self._elsewhere(tenant, topic)

    def publish(self, tenant: str, notice: Notice) -> None:
        """Hand a notice to every reader of its topic. Any thread; never blocks.

        Notices of GATHERED topics that follow quickly become one; its `workload` is "" when they
        were of several.
        """
        if notice.topic in GATHERED:
            key = (tenant, notice.topic)
            with self._gather_lock:
                if key in self._gathering:
                    self._gathering[key] = _joined(self._gathering[key], notice)
                    return
                if not self.wanted(tenant, notice.topic):
                    return
                self._gather(key)
        self._send(tenant, notice)

    def _gather(self, key: tuple[str, str]) -> None:
        self._gathering[key] = None
        timer = Timer(GATHER_S, self._gathered, (key,))
        timer.daemon = True
        timer.start()

    def _gathered(self, key: tuple[str, str]) -> None:
        with self._gather_lock:
            notice = self._gathering.pop(key)
            if notice is not None:
                self._gather(key)
        if notice is not None:
            self._send(key[0], notice)

    def _send(self, tenant: str, notice: Notice) -> None:
        self.deliver(tenant, notice)
        if self._elsewhere(tenant, notice.topic):
            self._relay(tenant, notice)

    def deliver(self, tenant: str, notice: Notice) -> None:
        """Hand a notice to the readers in this process alone."""
        for reader in self._readers.get(tenant, ()):
            if notice.topic in reader.topics:
                reader.offer(notice)

    @asynccontextmanager
    async def subscribe(
        self, tenant: str, topics: Sequence[str]
    ) -> AsyncIterator[AsyncIterator[Notice]]:
        """Notices from now on; empty `topics` means all. A slow reader gets a notice "lost"."""
        reader = Subscription(
            frozenset(topics or TOPICS), self._limit, lambda: self._clock.wall_ns() // 1_000_000
        )
        with self._lock:
            # Copied, so that `publish` needs no lock.
            self._readers[tenant] = [*self._readers.get(tenant, ()), reader]
        self._interest()
        try:
            yield reader
        finally:
            with self._lock:
                rest = [r for r in self._readers[tenant] if r is not reader]
                if rest:
                    self._readers[tenant] = rest
                else:
                    del self._readers[tenant]
            self._interest()

    def readers(self) -> int:
        """How many subscriptions are open."""
        return sum(len(r) for r in list(self._readers.values()))

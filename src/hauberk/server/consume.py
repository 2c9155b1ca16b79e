"""Which partitions of the inbox this process consumes: its own, or by leases a fair share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hauberk.errors import HauberkError, LostLease, Temporary
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.positions import Positions
from hauberk.ingest.state import StateConsumer
from hauberk.ports import Inbox, Log
from hauberk.schema.view import PartitionView
from hauberk.server.supervise import Supervisor
from hauberk.store.leases import Fence, Leases
from hauberk.store.members import Members

_END_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Partition:
    """The consumers of one log. `fence` is None where no other process can have it."""

    log: Log
    fence: Fence | None
    state: StateConsumer
    lake: LakeConsumer

    @property
    def names(self) -> tuple[str, str]:
        """Names of its threads."""
        tail = f":{self.log.name}" if self.log.name else ""
        return f"state{tail}", f"lake{tail}"

    def start(self, supervisor: Supervisor) -> None:
        """Let both consumers run."""
        state, lake = self.names
        supervisor.start(state, _steps(self.state), _waits(self.log, self.state))
        supervisor.start(lake, _steps(self.lake), _waits(self.log, self.lake))

    def flush(self) -> None:
        """Write what is in memory. The threads must have ended."""
        self.state.flush()
        self.lake.flush()


Make = Callable[[Log, Fence | None], Partition]


class Consumers:
    """The partitions of this process. `step` and `close` are for one thread."""

    def __init__(
        self,
        inbox: Inbox,
        make: Make,
        *,
        leases: Leases | None,
        members: Members,
        consumes: bool,
        places: Mapping[str, str],
    ) -> None:
        """Nothing runs before `start`.

        Args:
            inbox: the partitions.
            make: opens the consumers of one.
            leases: None when no other process can consume.
            members: the processes that share the partitions.
            consumes: whether this process takes any.
            places: by setting, what all processes must share.
        """
        self._inbox, self._make, self._members = inbox, make, members
        self._leases, self._consumes, self._places = leases, consumes, dict(places)
        self._parts: dict[str, Partition] = {}
        self._ending: list[Partition] = []
        self._written = 0
        self._supervisor = Supervisor()
        if leases is None and consumes:
            self._parts = {log.name: make(log, None) for log in inbox.logs}

    @property
    def partitions(self) -> list[Partition]:
        """What this process consumes now."""
        return list(self._parts.values())

    @property
    def rows_written(self) -> int:
        """Rows that this process wrote to the lake."""
        return self._written + sum(p.lake.rows_written for p in self.partitions)

    def start(self, supervisor: Supervisor, *, every_s: float) -> None:
        """Consume; shares are settled again every `every_s` seconds."""
        self._supervisor = supervisor
        for part in self.partitions:
            part.start(supervisor)
        supervisor.start("members", self.step, lambda: supervisor.stop.wait(every_s))

    def step(self) -> bool:
        """Say that this process is there, keep its leases, take or give back what is its share."""
        self._members.beat(
            {
                "partitions": sorted(self._parts),
                "rows": self.rows_written,
                "places": self._places,
            }
        )
        if self._leases is None or not self._consumes:
            return False
        fences = [p.fence for p in self.partitions if p.fence is not None]
        lost = {fence.name for fence in self._leases.renew(fences)}
        for part in self.partitions:
            if _lease(part.log) in lost:
                _log.warning("partition %s went to another process", part.log.name)
                self._end(part, 0.0)
        # Nobody waits for a thread that hangs in a store: the other leases would run out.
        self._ending = [part for part in self._ending if not self._ended(part, 0.0)]
        self._share(self._leases)
        return False

    def close(self) -> None:
        """Write what is in memory and give everything back. The threads must have ended.

        Raises:
            StorageFull, Busy, Unreachable: what was not written comes again, from the inbox.
        """
        failed: list[Temporary] = []
        for part in self.partitions:
            try:
                self._finish(part)
            except Temporary as error:
                failed.append(error)
        self._members.leave()
        if failed:
            raise failed[0]

    def view(self, positions: Callable[[Log], Positions]) -> list[PartitionView]:
        """Each partition: who has it, how far its consumers are behind."""
        owners: dict[str, str] = {}
        if self._leases is not None:
            owners = self._leases.owners([_lease(log) for log in self._inbox.logs])
        elif self._consumes:
            owners = {_lease(log): self._members.id for log in self._inbox.logs}
        found = []
        for log in self._inbox.logs:
            items, size = log.depth()
            mine = self._parts.get(log.name)
            kept = positions(log)
            at = (
                (mine.state.position, mine.lake.position)
                if mine is not None
                else (kept.of("state"), kept.of("lake"))
            )
            found.append(
                PartitionView(
                    name=log.name,
                    owner=owners.get(_lease(log), ""),
                    items=items,
                    bytes=size,
                    behind={
                        name: max(0, log.last - position)
                        for name, position in zip(("state", "lake"), at, strict=True)
                    },
                )
            )
        return found

    def wrong(self) -> str:
        """Why batches are stored but consumed by nobody or out of sight, "" when all is well."""
        if self._leases is None:
            return "" if self._consumes else "consume is off and no worker can help"
        for member in self._members.all():
            for name, place in member.detail.get("places", {}).items():
                if member.live and self._places.get(name, place) != place:
                    return (
                        f"process {member.id} on {member.host} has another place for {name}: what"
                        f" it writes is not seen here; set `{name}` of all to one bucket, or share"
                        " the folder"
                    )
        owners = self._leases.owners([_lease(log) for log in self._inbox.logs])
        idle = [log.name for log in self._inbox.logs if _lease(log) not in owners]
        if not idle:
            return ""
        return f"no process consumes partition {', '.join(idle)}: start a worker"

    def _share(self, leases: Leases) -> None:
        ids = self._members.consuming()
        logs = list(self._inbox.logs)
        rank = ids.index(self._members.id)
        share = len(logs) // len(ids) + (rank < len(logs) % len(ids))
        for part in self.partitions[share:]:
            _log.info("partition %s is given to another process", part.log.name)
            if not self._give_back(part):
                break
        if len(self._parts) >= share:
            return
        owned = leases.owners([_lease(log) for log in logs])
        busy = {part.log.name for part in self._ending} | self._parts.keys()
        for log in logs:
            if len(self._parts) >= share:
                return
            if log.name in busy or _lease(log) in owned:
                continue
            fence = leases.take(_lease(log))
            if fence is not None:
                self._begin(leases, log, fence)

    def _begin(self, leases: Leases, log: Log, fence: Fence) -> None:
        try:
            part = self._make(log, fence)
        except HauberkError:
            leases.release(fence)
            raise
        self._parts[log.name] = part
        part.start(self._supervisor)
        _log.info("partition %s is consumed here (fence %d)", log.name, fence.number)

    def _finish(self, part: Partition) -> None:
        if self._leases is None:
            while part.state.step():
                pass
            while part.lake.step():
                pass
        self._give_back(part)

    def _give_back(self, part: Partition) -> bool:
        """Write what is in memory and let go; False when its threads are still at work."""
        if not self._end(part, _END_S):
            return False
        try:
            part.flush()
        except LostLease as error:
            _log.warning("partition %s: %s", part.log.name, error)
        finally:
            self._written += part.lake.rows_written
            if self._leases is not None and part.fence is not None:
                self._leases.release(part.fence)
        return True

    def _end(self, part: Partition, wait_s: float) -> bool:
        """Stop its threads; False while one is still at work: its lease runs out by itself."""
        self._parts.pop(part.log.name, None)
        if self._ended(part, wait_s):
            return True
        self._ending.append(part)
        return False

    def _ended(self, part: Partition, wait_s: float) -> bool:
        names = [name for name in part.names if not self._supervisor.end(name, 0.0)]
        deadline = time.monotonic() + wait_s
        left = [
            n for n in names if not self._supervisor.end(n, max(0.0, deadline - time.monotonic()))
        ]
        return not left


def _lease(log: Log) -> str:
    return f"inbox:{log.id}"


def _steps(one: StateConsumer | LakeConsumer) -> Callable[[], bool]:
    anew = False

    def step() -> bool:
        nonlocal anew
        if anew:
            one.reset()
            anew = False
        try:
            return one.step()
        except LostLease:
            anew = True
            raise

    return step


def _waits(log: Log, one: StateConsumer | LakeConsumer) -> Callable[[], object]:
    return lambda: log.wait(one.position, 0.5)

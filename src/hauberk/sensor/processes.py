"""The processes that the sensor knows: names, arguments and ancestry for events that lack them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

KEPT_ARGUMENTS = 2048
# /proc gives start times in clock ticks of 10 ms.
SAME_START_NS = 20_000_000


@dataclass(slots=True)
class Process:
    """One live process. `start_ns` is nanoseconds since boot (10 ms steps when read from /proc)."""

    pid: int
    start_ns: int = 0
    ppid: int = 0
    uid: int = -1
    gid: int = -1
    name: str = ""
    exe: str = ""
    argv: list[str] = field(default_factory=list)
    argv_truncated: bool = False
    cgroup_id: int = 0
    parent_name: str = ""
    is_self: bool = False

    def is_at(self, start_ns: int) -> bool:
        """Whether `start_ns` can be this process's start, so that a reused pid is told apart."""
        return -SAME_START_NS < self.start_ns - start_ns < SAME_START_NS

    def keep_arguments(self, argv: list[str], *, truncated: bool) -> None:
        """Remember the arguments, only the first few of a huge command line."""
        if len(argv) < 64 and sum(map(len, argv)) <= KEPT_ARGUMENTS:
            self.argv, self.argv_truncated = argv, truncated
            return
        kept, size = [], 0
        for text in argv:
            size += len(text) + 1
            if size > KEPT_ARGUMENTS:
                break
            kept.append(text)
        self.argv, self.argv_truncated = kept, truncated or len(kept) < len(argv)


class ProcessTable:
    """Live processes by pid, bounded.

    Args:
        most: how many are kept; past it the dead are swept out, then the oldest.
        read: reads one process from the system, None when it is gone.
    """

    def __init__(self, most: int, read: Callable[[int], Process | None]) -> None:
        self._by_pid: dict[int, Process] = {}
        self._most = most
        self._read = read
        # Pid -> start: a pid that is reused after a root's end is not the root.
        self._roots: dict[int, int | None] = {}

    def __len__(self) -> int:
        return len(self._by_pid)

    def get(self, pid: int) -> Process | None:
        """The process now known by `pid`."""
        return self._by_pid.get(pid)

    def put(self, process: Process) -> None:
        """Know `process`; the label `is_self` is inherited from its parent or a root."""
        known = self._by_pid
        if process.pid not in known and len(known) >= self._most:
            self._sweep()
        if not process.is_self:
            parent = known.get(process.ppid)
            process.is_self = self._is_root(process.pid, process.start_ns) or (
                parent is not None and parent.is_self
            )
        known[process.pid] = process

    def pop(self, pid: int, start_ns: int) -> Process | None:
        """Forget a process that ended; None when it was not known (or the pid is another's)."""
        process = self._by_pid.get(pid)
        if process is None or not process.is_at(start_ns):
            return None
        del self._by_pid[pid]
        return process

    def parent(self, pid: int) -> Process | None:
        """The process `pid`, read from the system when it was not seen starting."""
        process = self._by_pid.get(pid)
        if process is None and pid > 0 and (process := self._read(pid)) is not None:
            if process.ppid not in self._by_pid and (above := self._read(process.ppid)) is not None:
                self.put(above)
            self.put(process)
        return process

    def at(self, pid: int, start_ns: int, ppid: int, name: str) -> Process:
        """The process that an event names: known, read from the system, or like its parent.

        A fork without exec runs its parent's program, so the parent's facts are right for it.
        """
        process = self._by_pid.get(pid)
        if process is not None and process.is_at(start_ns):
            if process.start_ns != start_ns:
                process.start_ns = start_ns
            return process
        process = self._read(pid)
        if process is None or not process.is_at(start_ns):
            # Gone already: not remembered, for its exit may have been told before.
            return self.like_parent(pid, start_ns, ppid, name)
        process.start_ns = start_ns
        if (parent := self._by_pid.get(process.ppid)) is not None:
            process.parent_name = parent.name
        self.put(process)
        return process

    def like_parent(self, pid: int, start_ns: int, ppid: int, name: str) -> Process:
        """A process that forked and did not exec, or was never seen. Not remembered."""
        parent = self._by_pid.get(ppid)
        if parent is None:
            return Process(pid, start_ns, ppid, name=name, is_self=self._is_root(pid, start_ns))
        return Process(
            pid,
            start_ns,
            ppid,
            parent.uid,
            parent.gid,
            name,
            parent.exe,
            parent.argv,
            parent.argv_truncated,
            parent.cgroup_id,
            parent.name,
            parent.is_self or self._is_root(pid, start_ns),
        )

    def set_self_roots(self, pids: Collection[int]) -> None:
        """Label these processes and all that descend from them, also those known already."""
        known = self._by_pid
        self._roots = {}
        for pid in pids:
            root = known.get(pid) or self._read(pid)
            self._roots[pid] = root.start_ns if root is not None else None
        decided: dict[int, bool] = {0: False}
        for pid in known:
            chain: list[int] = []
            at = pid
            while at not in decided and at not in chain and at in known:
                if self._is_root(at, known[at].start_ns):
                    decided[at] = True
                    break
                chain.append(at)
                at = known[at].ppid
            verdict = decided.get(at, at in self._roots and at not in known)
            for one in chain:
                decided[one] = verdict
        for pid, process in known.items():
            process.is_self = decided.get(pid, False)

    def _is_root(self, pid: int, start_ns: int) -> bool:
        if pid not in self._roots:
            return False
        start = self._roots[pid]
        if start is None:  # not there when it was named: the first of this pid is meant
            self._roots[pid] = start = start_ns
        return abs(start - start_ns) < SAME_START_NS

    def _sweep(self) -> None:
        dead = [p for p in self._by_pid if self._read(p) is None]
        for pid in dead:
            del self._by_pid[pid]
        spare = max(1, self._most // 10)
        for pid in list(self._by_pid)[: max(0, len(self._by_pid) - self._most + spare)]:
            del self._by_pid[pid]

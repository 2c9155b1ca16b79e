"""Who listens where: gives an owner to connections that the kernel accepts without a process."""

from __future__ import annotations

import time

from hauberk.sensor.containers import Containers
from hauberk.sensor.processes import Process, ProcessTable
from hauberk.sensor.procfs import TCP_LISTEN, ProcFs

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104
# A scan may cost this share of one core at most.
SCAN_SHARE = 50
SCAN_PAUSE_NS = 1_000_000_000
# Ends whose loss goes unseen would let it grow: past this many it starts over.
MOST = 65_536


class Listeners:
    """Owners of listening TCP sockets by (network namespace, port) and address."""

    def __init__(self, procfs: ProcFs, processes: ProcessTable, containers: Containers) -> None:
        self._procfs = procfs
        self._processes = processes
        self._containers = containers
        self._owners: dict[tuple[int, int], dict[str, int]] = {}
        self._of_pid: dict[int, set[tuple[int, int, str]]] = {}
        self._next_scan_ns = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, netns: int, ip: str, port: int, pid: int) -> None:
        """A process listens."""
        if self._size >= MOST:
            self._owners.clear()
            self._of_pid.clear()
            self._size = 0
        places = self._owners.setdefault((netns, port), {})
        self._size += ip not in places
        if (before := places.get(ip)) is not None and before != pid:
            self._of_pid.get(before, set()).discard((netns, port, ip))
        places[ip] = pid
        self._of_pid.setdefault(pid, set()).add((netns, port, ip))

    def ended(self, pid: int) -> None:
        """A process is gone; a child that inherited its socket is found by the next scan."""
        places = self._of_pid.pop(pid, None)
        if places is None:
            return
        for netns, port, ip in places:
            owners = self._owners.get((netns, port))
            if owners is not None and owners.get(ip) == pid:
                del owners[ip]
                self._size -= 1
                if not owners:
                    del self._owners[netns, port]

    def has_port(self, netns: int, port: int) -> bool:
        """Whether anything listens on `port`."""
        return (netns, port) in self._owners

    def owner(self, netns: int, ip: str, port: int) -> Process | None:
        """The process that listens at the local end of an accepted connection, if known."""
        places = self._owners.get((netns, port))
        if not places:
            return None
        for place in (ip, *WILDCARDS):
            if (pid := places.get(place)) is not None:
                return self._processes.parent(pid)
        return None

    def find(self, netns: int, ip: str, port: int, now_ns: int) -> Process | None:
        """`owner`, after looking at the system again when it is not known (not too often)."""
        process = self.owner(netns, ip, port)
        if process is None and now_ns >= self._next_scan_ns:
            before = time.thread_time()
            self.scan(netns)
            cost = int((time.thread_time() - before) * SCAN_SHARE * 1e9)
            self._next_scan_ns = now_ns + max(SCAN_PAUSE_NS, cost)
            process = self.owner(netns, ip, port)
        return process

    def scan(self, only: int | None = None) -> None:
        """Read listeners of every namespace (or one) from the system.

        A namespace without any process cannot be looked into; its sockets become known when they
        start to listen.
        """
        rows = [
            row
            for netns, pids in self._procfs.namespaces().items()
            if only is None or netns == only
            for row in self._procfs.connections(netns, pids, (TCP_LISTEN,))
        ]
        owners = self._procfs.owners({row.inode for row in rows})
        for row in rows:
            pid = owners.get(row.inode)
            if pid is None:
                continue
            self.add(row.netns, row.src_ip, row.src_port, pid)
            process = self._processes.parent(pid)
            if process is not None and not process.cgroup_id:
                path = self._procfs.cgroup_path(pid)
                process.cgroup_id = self._containers.id_of(path) if path else 0

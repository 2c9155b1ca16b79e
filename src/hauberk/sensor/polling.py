"""Tier D: what changed in /proc since the last look. What comes and goes in between is not seen."""

from __future__ import annotations

import time

from hauberk.schema.event import LAUNCH, LISTEN, OPEN, TERMINATE, NetworkActivity, ProcessActivity
from hauberk.sensor.processes import Process
from hauberk.sensor.procfs import ESTABLISHED, SYN_SENT, TCP_LISTEN, Connection
from hauberk.sensor.source import Batch, State

STATES = (ESTABLISHED, SYN_SENT, TCP_LISTEN)
_Key = tuple[int, str, int, str, int, bool]


def _key(row: Connection) -> _Key:
    listens = row.state == TCP_LISTEN
    return row.netns, row.src_ip, row.src_port, row.dst_ip, row.dst_port, listens


class _Polled:
    """Waits for its interval; `_look` does the work."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._due_ns = state.clock.mono_ns()

    def wait(self, timeout_s: float) -> None:
        """Sleep until due, `timeout_s` at most."""
        rest = (self._due_ns - self._state.clock.mono_ns()) / 1e9
        time.sleep(max(0.0, min(timeout_s, rest)))

    def drain(self, batch: Batch) -> bool:
        """Look when it is time to."""
        now = self._state.clock.mono_ns()
        if now >= self._due_ns:
            self._due_ns = now + int(self._state.settings.sockets_every_s * 1e9)
            self._look(batch, now)
        return False

    def _look(self, batch: Batch, now: int) -> None:
        raise NotImplementedError

    def lost(self) -> int:
        """Nothing is ever queued; what falls between two looks cannot be counted."""
        return 0

    def close(self) -> None:
        """Nothing is held."""


class SocketPoller(_Polled):
    """New listeners and connections of every network namespace that has a process."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.names = ["poll:/proc/net/tcp"]
        self._known = {_key(row) for row in self._rows()}

    def _rows(self) -> list[Connection]:
        procfs = self._state.procfs
        return [
            row
            for netns, pids in procfs.namespaces().items()
            for row in procfs.connections(netns, pids, STATES)
        ]

    def _look(self, batch: Batch, now: int) -> None:
        rows = self._rows()
        fresh = [row for row in rows if _key(row) not in self._known]
        self._known = {_key(row) for row in rows}
        if not fresh:
            return
        owners = self._state.procfs.owners({row.inode for row in fresh})
        # Listeners first: they decide which connections came in.
        for row in sorted(fresh, key=lambda row: row.state != TCP_LISTEN):
            self._add(row, owners.get(row.inode, 0), now, batch)

    def _add(self, row: Connection, pid: int, now: int, batch: Batch) -> None:
        state = self._state
        listens = row.state == TCP_LISTEN
        if listens and pid:
            state.listeners.add(row.netns, row.src_ip, row.src_port, pid)
        inbound = not listens and state.listeners.has_port(row.netns, row.src_port)
        process = state.processes.parent(pid) if pid else None
        owner = "poll" if process is not None else ""
        if process is None and inbound:
            process = state.listeners.owner(row.netns, row.src_ip, row.src_port)
            owner = "listener" if process is not None else ""
        if process is None:
            process = Process(0, uid=row.uid)
        if (
            process.pid
            and not process.cgroup_id
            and (path := state.procfs.cgroup_path(process.pid))
        ):
            process.cgroup_id = state.containers.id_of(path)
        direction = "listen" if listens else "inbound" if inbound else "outbound"
        batch.network.append(
            NetworkActivity(
                activity_id=LISTEN if listens else OPEN,
                time_ns=now + state.wall_offset(),
                mono_ns=now,
                pid=process.pid,
                start_ns=process.start_ns,
                ppid=process.ppid,
                uid=process.uid,
                name=process.name,
                exe=process.exe,
                cgroup_id=process.cgroup_id,
                container=state.containers.name(process.cgroup_id, now),
                is_self=process.is_self,
                direction=direction,
                src_ip=row.src_ip,
                src_port=row.src_port,
                dst_ip="" if listens else row.dst_ip,
                dst_port=0 if listens else row.dst_port,
                netns=row.netns,
                owner=owner,
            )
        )


class ProcessPoller(_Polled):
    """New and gone processes, where even the proc connector is not to be had."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.names = ["poll:/proc"]
        self._known: dict[int, Process] = {}
        for pid in state.procfs.pids():
            if (process := state.procfs.process(pid)) is not None:
                self._known[pid] = process

    def _look(self, batch: Batch, now: int) -> None:
        state = self._state
        seen: dict[int, Process] = {}
        for pid in state.procfs.pids():
            process = state.procfs.process(pid)
            if process is None:
                continue
            before = self._known.pop(pid, None)
            same = before is not None and before.is_at(process.start_ns)
            if same and before is not None and before.exe == process.exe:
                seen[pid] = before
                continue
            if before is not None and not same:
                self._report(before, TERMINATE, now, batch)
            parent = state.processes.parent(process.ppid)
            process.parent_name = parent.name if parent is not None else ""
            if path := state.procfs.cgroup_path(pid):
                process.cgroup_id = state.containers.id_of(path)
            state.processes.put(process)
            seen[pid] = process
            self._report(process, LAUNCH, now, batch)
        for gone in self._known.values():
            state.processes.pop(gone.pid, gone.start_ns)
            state.listeners.ended(gone.pid)
            self._report(gone, TERMINATE, now, batch)
        self._known = seen

    def _report(self, process: Process, activity: int, now: int, batch: Batch) -> None:
        state = self._state
        ended = activity == TERMINATE
        batch.process.append(
            ProcessActivity(
                activity_id=activity,
                time_ns=now + state.wall_offset(),
                mono_ns=now,
                pid=process.pid,
                start_ns=process.start_ns,
                ppid=process.ppid,
                uid=process.uid,
                gid=process.gid,
                name=process.name,
                exe=process.exe,
                cgroup_id=process.cgroup_id,
                container=state.containers.name(process.cgroup_id, now),
                is_self=process.is_self,
                argv=process.argv,
                argv_truncated=process.argv_truncated,
                parent_name=process.parent_name,
                duration_ns=now - process.start_ns if ended else None,
            )
        )

"""From ring records to events."""

from __future__ import annotations

from dataclasses import dataclass, field

from hauberk.schema.event import LAUNCH, LISTEN, OPEN, TERMINATE, NetworkActivity, ProcessActivity
from hauberk.sensor import records
from hauberk.sensor.processes import Process
from hauberk.sensor.records import HEAD, SMALLEST, malformed
from hauberk.sensor.source import Batch, State

IPPROTO_NAMES = {6: "tcp", 33: "dccp", 132: "sctp", 262: "mptcp"}
# Continuation records come within microseconds: later means that some were lost. A peer answers
# within a round trip or, more rarely, not at all.
PENDING_NS = 1_000_000_000
# Connects that nobody answers are given out without their source port.
MOST_CONNECTING = 8192
# Bytes of argument areas that wait for their rest: past it the oldest are given out as they are.
MOST_PENDING = 16 * 1024 * 1024
_FOREIGN_EXE = ("/dev/fd/", "/proc/self/fd/")


@dataclass(slots=True)
class _Pending:
    """An exec whose argument area is still coming in."""

    process: Process
    mono_ns: int
    total: int
    area: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Connecting:
    """A socket's event; a connect waits here for its source port, until it is answered."""

    kind: int
    mono_ns: int
    pid: int
    start_ns: int
    ppid: int
    uid: int
    name: str
    exe: str
    is_self: bool
    cgroup_id: int
    protocol: int
    src_ip: str
    dst_ip: str
    dst_port: int
    netns: int
    owner: str


class Decoder:
    """Turns batches of records into events, keeping the shared state current."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._processes = state.processes
        self._listeners = state.listeners
        self._pending: dict[int, _Pending] = {}
        self._connecting: dict[int, _Connecting] = {}
        self._ended: dict[int, int] = {}
        self._ended_before: dict[int, int] = {}
        self._offset = 0
        self._now = 0

    def feed(self, data: bytes, batch: Batch) -> None:
        """Add the events of whole, 8-byte aligned records.

        Raises:
            BadWire: a record is cut short or of an unknown kind.
        """
        self._offset = self._state.wall_offset()
        self._now = self._state.clock.mono_ns()
        # Two threads that end a process at once report it twice, at most one batch apart.
        self._ended_before, self._ended = self._ended, {}
        at, end, head = 0, len(data), HEAD.size
        while at < end:
            if at + head > end:
                raise malformed("a record's head is cut short", at)
            kind, flags, size, mono_ns = HEAD.unpack_from(data, at)
            smallest = SMALLEST.get(kind)
            if smallest is None:
                raise malformed(f"unknown record kind {kind}", at)
            if size < smallest or at + size > end:
                raise malformed(f"a record of kind {kind} says {size} bytes", at)
            if kind == records.EXEC:
                self._exec(data, at, flags, size, mono_ns, batch)
            elif kind == records.EXIT:
                self._exit(data, at + head, mono_ns, batch)
            elif kind == records.ARGS:
                self._args(data, at, flags, size, batch)
            elif kind == records.CONNECTED:
                self._connected(data, at + head, batch)
            else:
                self._sock(kind, data, at + head, mono_ns, batch)
            at += (size + 7) & ~7
        self._flush_late(batch)

    def flush(self, batch: Batch) -> None:
        """Give out what waited long enough for a part that did not come."""
        self._offset = self._state.wall_offset()
        self._now = self._state.clock.mono_ns()
        self._flush_late(batch)

    # exec

    def _exec(
        self, data: bytes, at: int, flags: int, size: int, mono_ns: int, batch: Batch
    ) -> None:
        (
            start_ns,
            parent_start_ns,
            cgroup_id,
            pid,
            ppid,
            uid,
            gid,
            total,
            args_len,
            path_len,
            _,
            comm,
            parent_comm,
        ) = records.EXEC_BODY.unpack_from(data, at + HEAD.size)
        body = at + records.EXEC_SIZE
        if path_len + args_len > size - records.EXEC_SIZE or args_len > total:
            raise malformed("an exec record's parts do not fit", at)
        if pid in self._pending:
            self._complete(self._pending.pop(pid), batch, cut=True)
        raw_path = data[body : body + path_len]
        area = data[body + path_len : body + path_len + args_len]
        processes = self._processes
        parent = processes.get(ppid)
        if parent is None or not parent.is_at(parent_start_ns):
            parent = processes.at(ppid, parent_start_ns, 0, records.comm(parent_comm))
        before = processes.get(pid)
        process = Process(
            pid,
            start_ns,
            ppid,
            uid,
            gid,
            records.comm(comm),
            records.path(raw_path, flags),
            [],
            False,  # noqa: FBT003
            cgroup_id,
            parent.name,
            parent.is_self or (before is not None and before.is_self and before.is_at(start_ns)),
        )
        processes.put(process)
        if flags & records.PATH_IS_FILENAME:
            self._mend_path(process)
        if len(area) == total and not flags & records.ARGS_UNREADABLE:
            self._launch(process, mono_ns, records.argv(area), batch, truncated=False)
            return
        waiting = _Pending(process, mono_ns, total, bytearray(area))
        if flags & records.ARGS_UNREADABLE:
            self._complete(waiting, batch, cut=True)
        else:
            self._pending[pid] = waiting

    def _args(self, data: bytes, at: int, flags: int, size: int, batch: Batch) -> None:
        start_ns, pid, offset = records.ARGS_BODY.unpack_from(data, at + HEAD.size)
        waiting = self._pending.get(pid)
        # One lost record makes the rest useless: what follows no longer joins on.
        if (
            waiting is None
            or waiting.process.start_ns != start_ns
            or offset != len(waiting.area)
            or offset + size - records.ARGS_SIZE > waiting.total
        ):
            return
        waiting.area += data[at + records.ARGS_SIZE : at + size]
        cut = bool(flags & records.ARGS_UNREADABLE)
        if cut or len(waiting.area) == waiting.total:
            del self._pending[pid]
            self._complete(waiting, batch, cut=cut)

    def _complete(self, waiting: _Pending, batch: Batch, *, cut: bool) -> None:
        """Give out an exec; what could not be read in the kernel may still stand in /proc."""
        area = bytes(waiting.area)
        if cut:
            process = waiting.process
            now = self._state.procfs.process(process.pid)
            if now is not None and now.is_at(process.start_ns):
                again = self._state.procfs.cmdline(process.pid) or b""
                if len(again) >= len(area) and again.startswith(area):
                    area = again
                    cut = len(again) < waiting.total
        self._launch(waiting.process, waiting.mono_ns, records.argv(area), batch, truncated=cut)

    def _flush_late(self, batch: Batch) -> None:
        late = [p for p, w in self._pending.items() if self._now - w.mono_ns > PENDING_NS]
        for pid in late:
            self._complete(self._pending.pop(pid), batch, cut=True)
        held = sum(len(w.area) for w in self._pending.values())
        while held > MOST_PENDING:
            waiting = self._pending.pop(next(iter(self._pending)))
            held -= len(waiting.area)
            self._complete(waiting, batch, cut=True)
        while self._connecting:
            socket_id, first = next(iter(self._connecting.items()))
            young = self._now - first.mono_ns <= PENDING_NS
            if young and len(self._connecting) <= MOST_CONNECTING:
                return
            self._open(self._connecting.pop(socket_id), 0, batch)

    def _mend_path(self, process: Process) -> None:
        if process.exe.startswith("/") and not process.exe.startswith(_FOREIGN_EXE):
            return
        now = self._state.procfs.process(process.pid)
        if now is not None and now.exe and now.is_at(process.start_ns):
            process.exe = now.exe

    def _container(self, cgroup_id: int) -> str:
        name = self._state.containers.cached(cgroup_id)
        return self._state.containers.name(cgroup_id, self._now) if name is None else name

    def _launch(
        self, process: Process, mono_ns: int, argv: list[str], batch: Batch, *, truncated: bool
    ) -> None:
        truncated = truncated or len(argv) >= records.MOST_ARGUMENTS
        process.keep_arguments(argv, truncated=truncated)
        batch.process.append(
            ProcessActivity(
                activity_id=LAUNCH,
                time_ns=mono_ns + self._offset,
                mono_ns=mono_ns,
                pid=process.pid,
                start_ns=process.start_ns,
                ppid=process.ppid,
                uid=process.uid,
                gid=process.gid,
                name=process.name,
                exe=process.exe,
                cgroup_id=process.cgroup_id,
                container=self._container(process.cgroup_id),
                is_self=process.is_self,
                argv=argv,
                argv_truncated=truncated,
                parent_name=process.parent_name,
            )
        )

    # exit

    def _exit(self, data: bytes, at: int, mono_ns: int, batch: Batch) -> None:
        start_ns, cgroup_id, pid, ppid, uid, status, comm = records.EXIT_BODY.unpack_from(data, at)
        if self._ended.get(pid) == start_ns or self._ended_before.get(pid) == start_ns:
            return
        self._ended[pid] = start_ns
        if pid in self._pending:
            self._complete(self._pending.pop(pid), batch, cut=True)
        self._listeners.ended(pid)
        process = self._processes.pop(pid, start_ns)
        if process is None:
            process = self._processes.like_parent(pid, start_ns, ppid, records.comm(comm))
        code, signal = records.wait_status(status)
        batch.process.append(
            ProcessActivity(
                activity_id=TERMINATE,
                time_ns=mono_ns + self._offset,
                mono_ns=mono_ns,
                pid=pid,
                start_ns=start_ns,
                ppid=ppid,
                uid=uid,
                gid=process.gid,
                name=records.comm(comm),
                exe=process.exe,
                cgroup_id=cgroup_id,
                container=self._container(cgroup_id),
                is_self=process.is_self,
                argv=process.argv,
                argv_truncated=process.argv_truncated,
                parent_name=process.parent_name,
                exit_code=code,
                exit_signal=signal,
                duration_ns=mono_ns - start_ns,
            )
        )

    # sockets

    def _sock(self, kind: int, data: bytes, at: int, mono_ns: int, batch: Batch) -> None:
        (
            start_ns,
            cgroup_id,
            socket_id,
            pid,
            ppid,
            uid,
            netns,
            family,
            protocol,
            src_port,
            dst_port,
            src,
            dst,
            comm,
        ) = records.SOCK_BODY.unpack_from(data, at)
        src_ip = records.address(family, src)
        process: Process | None
        owner: str
        if kind == records.ACCEPT:
            process = self._listeners.find(netns, src_ip, src_port, self._now)
            owner = "listener" if process is not None else ""
            if process is None:
                process = Process(0)
            pid, start_ns, ppid, uid = process.pid, process.start_ns, process.ppid, process.uid
            name, cgroup_id = process.name, process.cgroup_id
        else:
            name = records.comm(comm)
            process = self._processes.at(pid, start_ns, ppid, name)
            process.cgroup_id = cgroup_id
            owner = "hook"
            if kind == records.LISTEN:
                self._listeners.add(netns, src_ip, src_port, pid)
        seen = _Connecting(
            kind, mono_ns, pid, start_ns, ppid, uid, name, process.exe, process.is_self, cgroup_id,
            protocol, src_ip, records.address(family, dst), dst_port, netns, owner,
        )  # fmt: skip
        if kind != records.CONNECT or src_port:
            self._open(seen, src_port, batch)
            return
        if (before := self._connecting.pop(socket_id, None)) is not None:
            self._open(before, 0, batch)
        self._connecting[socket_id] = seen

    def _connected(self, data: bytes, at: int, batch: Batch) -> None:
        socket_id, src_port, _ = records.CONNECTED_BODY.unpack_from(data, at)
        seen = self._connecting.pop(socket_id, None)
        if seen is not None:
            self._open(seen, src_port, batch)

    def _open(self, seen: _Connecting, src_port: int, batch: Batch) -> None:
        listening = seen.kind == records.LISTEN
        batch.network.append(
            NetworkActivity(
                activity_id=LISTEN if listening else OPEN,
                time_ns=seen.mono_ns + self._offset,
                mono_ns=seen.mono_ns,
                pid=seen.pid,
                start_ns=seen.start_ns,
                ppid=seen.ppid,
                uid=seen.uid,
                name=seen.name,
                exe=seen.exe,
                cgroup_id=seen.cgroup_id,
                container=self._container(seen.cgroup_id),
                is_self=seen.is_self,
                protocol=IPPROTO_NAMES.get(seen.protocol, str(seen.protocol)),
                direction=_DIRECTIONS[seen.kind],
                src_ip=seen.src_ip,
                src_port=src_port,
                dst_ip="" if listening else seen.dst_ip,
                dst_port=0 if listening else seen.dst_port,
                netns=seen.netns,
                owner=seen.owner,
            )
        )


_DIRECTIONS = {records.CONNECT: "outbound", records.LISTEN: "listen", records.ACCEPT: "inbound"}

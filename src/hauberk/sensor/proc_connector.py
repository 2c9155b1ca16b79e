"""Tier D: exec, fork and exit from the kernel's proc connector, completed from /proc.

The messages carry only ids, so what a process was is read from /proc when the message arrives. One
that is gone by then keeps what its parent's fork left, and its arguments count as truncated.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass

from hauberk.errors import BadWire, Unsupported
from hauberk.schema.event import LAUNCH, TERMINATE, ProcessActivity
from hauberk.sensor import records
from hauberk.sensor.processes import Process
from hauberk.sensor.procfs import CMDLINE_BYTES
from hauberk.sensor.source import Batch, State, boot_minus_monotonic

NETLINK_CONNECTOR, CN_IDX_PROC, CN_VAL_PROC = 11, 1, 1
NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 2, 3, 4
LISTEN_ON, LISTEN_OFF = 1, 2
FORK, EXEC, EXIT = 0x1, 0x2, 0x80000000
SO_RCVBUFFORCE = 33
RECEIVE_BYTES = 4 * 1024 * 1024
MOST_PER_DRAIN = 4096
_NLMSG = struct.Struct("=IHHII")
_CN = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQ")
_FOUR = struct.Struct("=4I")
_TWO = struct.Struct("=2I")
_EXIT = struct.Struct("=4I")
_ANSWER = struct.Struct("=IIQI")
ANSWER_S = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """One process event. `ids` are, by kind: fork (parent pid, parent tgid, child pid, child tgid),
    exec (pid, tgid), exit (pid, tgid, wait status, exit signal); empty for kinds of no interest.
    """  # noqa: D205

    kind: int
    cpu: int
    sequence: int
    mono_ns: int
    ids: tuple[int, ...]


def parse(data: bytes) -> list[Message]:
    """Messages of one datagram; `mono_ns` is CLOCK_MONOTONIC.

    Raises:
        BadWire: lengths that do not fit.
    """
    found: list[Message] = []
    at = 0
    while at + _NLMSG.size <= len(data):
        size, kind, _, _, _ = _NLMSG.unpack_from(data, at)
        if size < _NLMSG.size or at + size > len(data):
            raise _bad(f"message of {size} bytes in {len(data) - at}")
        if kind == NLMSG_DONE:
            message = _event(data, at + _NLMSG.size, at + size)
            if message is not None:
                found.append(message)
        elif kind in (NLMSG_ERROR, NLMSG_OVERRUN):
            raise _bad(f"the kernel sent message type {kind}")
        at += (size + 3) & ~3
    return found


def answer(data: bytes, ack: int) -> int | None:
    """Errno (0: granted) of the kernel's answer to the request numbered `ack` - 1, else None."""
    if len(data) < _NLMSG.size + _CN.size + _EVENT.size + 4:
        return None
    _, _, _, found, _, _ = _CN.unpack_from(data, _NLMSG.size)
    what, _, _, error = _ANSWER.unpack_from(data, _NLMSG.size + _CN.size)
    return int(error) if what == 0 and found == ack else None


def _bad(what: str) -> BadWire:
    return BadWire(f"{what}; the kernel and this parser disagree", source="proc connector")


def _event(data: bytes, at: int, end: int) -> Message | None:
    if at + _CN.size > end:
        raise _bad("connector header is cut short")
    index, value, sequence, _, length, _ = _CN.unpack_from(data, at)
    at += _CN.size
    if (index, value) != (CN_IDX_PROC, CN_VAL_PROC):
        return None
    if at + length > end or length < _EVENT.size:
        raise _bad(f"event of {length} bytes in {end - at}")
    what, cpu, mono_ns = _EVENT.unpack_from(data, at)
    body = {FORK: _FOUR, EXEC: _TWO, EXIT: _EXIT}.get(what)
    if what == 0:  # the answer to our own request: not counted in the sequence
        return None
    if body is None:
        return Message(what, cpu, sequence, mono_ns, ())
    if length < _EVENT.size + body.size:
        raise _bad(f"event {what:#x} of {length} bytes")
    return Message(what, cpu, sequence, mono_ns, body.unpack_from(data, at + _EVENT.size))


class ProcConnector:
    """Exec and exit events from netlink. Needs CAP_NET_ADMIN in the first namespaces.

    Raises:
        Unsupported: the kernel or the privileges do not give it (on construction).
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.names = ["proc-connector"]
        self._sequence: dict[int, int] = {}
        self._lost = 0
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_CONNECTOR
            )
        except OSError as error:
            raise Unsupported(f"proc connector: {error.strerror}; kernel without it?") from error
        try:
            self._grow()
            self._socket.bind((0, CN_IDX_PROC))
            self._say(LISTEN_ON)
            self._await_answer()
            self._socket.setblocking(False)  # noqa: FBT003
        except OSError as error:
            self._socket.close()
            why = error.strerror or "no answer (in a container or user namespace?)"
            raise Unsupported(f"proc connector: {why}; run as root of the machine") from error

    def _grow(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)

    def _await_answer(self) -> None:
        """Raises OSError when the kernel refuses; from a foreign namespace it stays silent."""
        end = time.monotonic() + ANSWER_S
        while True:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            data, sender = self._socket.recvfrom(8192)
            error = answer(data, os.getpid() + 1) if sender[0] == 0 else None
            if error is not None:
                if error:
                    raise OSError(error, os.strerror(error))
                return
            if time.monotonic() >= end:
                raise TimeoutError

    def _say(self, operation: int) -> None:
        body = struct.pack("=I", operation)
        message = _CN.pack(CN_IDX_PROC, CN_VAL_PROC, 0, os.getpid(), len(body), 0) + body
        head = _NLMSG.pack(_NLMSG.size + len(message), NLMSG_DONE, 0, 0, os.getpid())
        self._socket.send(head + message)

    def wait(self, timeout_s: float) -> None:
        """Sleep until a message comes: the sooner /proc is read, the more is still there."""
        select.select([self._socket], [], [], max(0.0, timeout_s))

    def drain(self, batch: Batch) -> bool:
        """Take what the socket holds, up to a bound."""
        to_boot = boot_minus_monotonic()
        for _ in range(MOST_PER_DRAIN):
            try:
                data, sender = self._socket.recvfrom(8192)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue  # the gap in the sequence tells how many were lost
            if sender[0] != 0:
                continue  # only the kernel's word counts
            for message in parse(data):
                self._take(message, message.mono_ns + to_boot, batch)
        return True

    def lost(self) -> int:
        """Messages that the kernel could not queue, by the gaps in its per-CPU numbers."""
        return self._lost

    def close(self) -> None:
        """Stop listening."""
        if self._socket.fileno() >= 0:
            try:
                self._say(LISTEN_OFF)
            finally:
                self._socket.close()

    def _take(self, message: Message, mono_ns: int, batch: Batch) -> None:
        expected = self._sequence.get(message.cpu)
        self._sequence[message.cpu] = (message.sequence + 1) & 0xFFFFFFFF
        if expected is not None:
            self._lost += (message.sequence - expected) & 0xFFFFFFFF
        if message.kind == FORK:
            _, parent, child, child_tgid = message.ids
            if child == child_tgid:
                self._fork(parent, child, mono_ns)
        elif message.kind == EXEC:
            self._exec(message.ids[1], mono_ns, batch)
        elif message.kind == EXIT and message.ids[0] == message.ids[1]:
            self._exit(message.ids[1], message.ids[2], mono_ns, batch)

    def _fork(self, parent: int, child: int, mono_ns: int) -> None:
        processes = self._state.processes
        above = processes.parent(parent)
        name = above.name if above is not None else ""
        processes.put(processes.like_parent(child, mono_ns, parent, name))

    def _exec(self, pid: int, mono_ns: int, batch: Batch) -> None:
        state = self._state
        before = state.processes.get(pid)
        # The arguments first: they are gone the soonest. None seen counts as truncated.
        area = state.procfs.cmdline(pid) or b""
        process = state.procfs.process(pid, area)
        if process is None:
            process = Process(pid, mono_ns)
            if before is not None:
                process.ppid, process.uid, process.gid = before.ppid, before.uid, before.gid
        elif before is not None and before.is_at(process.start_ns):
            process.start_ns = before.start_ns
        if before is not None and before.is_at(process.start_ns):
            process.start_ns, process.is_self = before.start_ns, before.is_self
        parent = state.processes.parent(process.ppid)
        process.parent_name = parent.name if parent is not None else ""
        if process.exe and (path := state.procfs.cgroup_path(pid)):
            process.cgroup_id = state.containers.id_of(path)
        argv = records.argv(area)
        cut = not area or len(area) >= CMDLINE_BYTES or len(argv) >= records.MOST_ARGUMENTS
        process.keep_arguments(argv, truncated=cut)
        state.processes.put(process)
        batch.process.append(
            ProcessActivity(
                activity_id=LAUNCH,
                time_ns=mono_ns + state.wall_offset(),
                mono_ns=mono_ns,
                pid=pid,
                start_ns=process.start_ns,
                ppid=process.ppid,
                uid=process.uid,
                gid=process.gid,
                name=process.name,
                exe=process.exe,
                cgroup_id=process.cgroup_id,
                container=state.containers.name(process.cgroup_id, mono_ns),
                is_self=process.is_self,
                argv=argv,
                argv_truncated=cut,
                parent_name=process.parent_name,
            )
        )

    def _exit(self, pid: int, status: int, mono_ns: int, batch: Batch) -> None:
        state = self._state
        process = state.processes.get(pid)
        if process is None:
            process = Process(pid)
        else:
            state.processes.pop(pid, process.start_ns)
        state.listeners.ended(pid)
        code, signal = records.wait_status(status)
        batch.process.append(
            ProcessActivity(
                activity_id=TERMINATE,
                time_ns=mono_ns + state.wall_offset(),
                mono_ns=mono_ns,
                pid=pid,
                start_ns=process.start_ns,
                ppid=process.ppid,
                uid=process.uid,
                gid=process.gid,
                name=process.name,
                exe=process.exe,
                cgroup_id=process.cgroup_id,
                container=state.containers.name(process.cgroup_id, mono_ns),
                is_self=process.is_self,
                argv=process.argv,
                argv_truncated=process.argv_truncated,
                parent_name=process.parent_name,
                exit_code=code,
                exit_signal=signal,
                duration_ns=mono_ns - process.start_ns if process.start_ns else None,
            )
        )

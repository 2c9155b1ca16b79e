from __future__ import annotations

import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.errors import BadWire, Unsupported
from hauberk.sensor import proc_connector
from hauberk.sensor.proc_connector import EXEC, EXIT, FORK, ProcConnector, parse
from hauberk.sensor.processes import Process
from hauberk.sensor.source import Batch

SECOND = 1_000_000_000
KERNEL, SOMEONE = (0, 1), (4321, 1)


def datagram(what, *ids, cpu=0, sequence=0, mono=SECOND, kind=3, index=1):
    body = struct.pack("=IIQ", what, cpu, mono) + struct.pack(f"={len(ids)}I", *ids)
    cn = struct.pack("=IIIIHH", index, 1, sequence, 0, len(body), 0) + body
    return struct.pack("=IHHII", 16 + len(cn), kind, 0, 0, 0) + cn


def answered(ack, error):
    body = struct.pack("=IIQI", 0, 0, SECOND, error) + bytes(20)
    cn = struct.pack("=IIIIHH", 1, 1, 0, ack, len(body), 0) + body
    return struct.pack("=IHHII", 16 + len(cn), 3, 0, 0, 0) + cn


def test_parse_kinds():
    (fork,) = parse(datagram(FORK, 1, 1, 7, 7, sequence=3, cpu=1))
    assert (fork.kind, fork.ids, fork.sequence, fork.cpu) == (FORK, (1, 1, 7, 7), 3, 1)
    (run,) = parse(datagram(EXEC, 7, 7))
    assert run.ids == (7, 7)
    (end,) = parse(datagram(EXIT, 7, 7, 256, 17, 1, 1))
    assert end.ids == (7, 7, 256, 17)
    (other,) = parse(datagram(0x200, 1, 2, 3, 4))
    assert other.ids == ()
    assert parse(datagram(0, 0)) == []
    assert parse(datagram(EXEC, 7, 7, index=2)) == []


@pytest.mark.parametrize(
    "data",
    [
        datagram(EXEC, 7, 7)[:30],
        datagram(EXEC, 7),
        datagram(EXIT, 7, 7),
        datagram(EXEC, 7, 7, kind=2),
        struct.pack("=IHHII", 8, 3, 0, 0, 0),
        struct.pack("=IHHII", 1 << 31, 3, 0, 0, 0),
        struct.pack("=IHHII", 20, 3, 0, 0, 0) + bytes(4),
    ],
)
def test_parse_refuses_what_does_not_fit(data):
    with pytest.raises(BadWire, match="proc connector"):
        parse(data)


@given(st.binary(max_size=200))
def test_parse_of_any_bytes_ends(data):
    try:
        parse(data)
    except BadWire:
        return


class FakeSocket:
    """A netlink socket with prepared datagrams; an OSError among them is raised."""

    def __init__(self):
        self.waiting = []
        self.error = 0
        self.silent = False
        self.sent = []
        self.open = True

    def setsockopt(self, *_):
        pass

    def setblocking(self, _):
        pass

    def bind(self, _):
        pass

    def settimeout(self, _):
        pass

    def send(self, data):
        self.sent.append(data)
        ack = struct.unpack_from("=I", data, 16 + 12)[0] + 1
        # Someone else's answer and another event come first.
        self.waiting += [(answered(ack + 7, 1), KERNEL), (datagram(FORK, 1, 1, 2, 2), KERNEL)]
        self.waiting += [(answered(ack, 0), SOMEONE)]
        if not self.silent:
            self.waiting.append((answered(ack, self.error), KERNEL))

    def fileno(self):
        return 3 if self.open else -1

    def close(self):
        self.open = False

    def recvfrom(self, _):
        if not self.waiting:
            raise TimeoutError if self.silent else BlockingIOError
        item = self.waiting.pop(0)
        if isinstance(item, OSError):
            raise item
        return item


@pytest.fixture
def connector(state, monkeypatch):
    fake = FakeSocket()
    monkeypatch.setattr(socket, "socket", lambda *_: fake)
    monkeypatch.setattr(proc_connector, "boot_minus_monotonic", lambda: 0)
    made = ProcConnector(state)

    def drain(*items):
        fake.waiting = [i if isinstance(i, OSError | tuple) else (i, KERNEL) for i in items]
        batch = Batch()
        assert not made.drain(batch)
        return batch

    drain.source = made
    drain.socket = fake
    return drain


def test_exec_is_completed_from_proc(connector, proc, state):
    state.processes.put(Process(3, 1, name="bash"))
    proc.add(50, "ls", ppid=3, exe="/bin/ls", cmdline=b"ls\0-l\0", uid=5)
    (launch,) = connector(datagram(EXEC, 50, 50, mono=2 * SECOND)).process
    assert (launch.argv, launch.exe, launch.uid) == (["ls", "-l"], "/bin/ls", 5)
    assert (launch.parent_name, launch.mono_ns) == ("bash", 2 * SECOND)
    assert not launch.argv_truncated


def test_exec_that_is_gone_keeps_its_ancestry_and_says_cut(connector, state):
    state.processes.put(Process(3, 1, name="bash", uid=5, is_self=True))
    batch = connector(datagram(FORK, 3, 3, 50, 50, mono=SECOND), datagram(EXEC, 50, 50, sequence=1))
    (launch,) = batch.process
    assert (launch.ppid, launch.uid, launch.argv, launch.argv_truncated) == (3, 5, [], True)
    assert launch.start_ns == SECOND
    assert launch.is_self


def test_only_the_group_leaders_exit_counts(connector, state):
    state.processes.put(Process(50, SECOND, 3, exe="/bin/ls"))
    batch = connector(
        datagram(EXIT, 51, 50, 0, 0, 3, 3),
        datagram(EXIT, 50, 50, 4 << 8, 17, 3, 3, sequence=1, mono=3 * SECOND),
    )
    (end,) = batch.process
    assert (end.pid, end.exit_code, end.exit_signal, end.exe) == (50, 4, None, "/bin/ls")
    assert end.duration_ns == 2 * SECOND
    assert state.processes.get(50) is None


def test_threads_are_no_processes(connector, state):
    connector(datagram(FORK, 3, 3, 60, 50))
    assert state.processes.get(60) is None


def test_gaps_in_the_sequence_are_losses_per_cpu(connector):
    connector(
        datagram(0x200, 1, 2, 3, 4, sequence=5), datagram(0x200, 1, 2, 3, 4, sequence=9, cpu=1)
    )
    assert connector.source.lost() == 0
    connector(OSError(errno.ENOBUFS, "full"), datagram(0x200, 1, 2, 3, 4, sequence=16))
    assert connector.source.lost() == 10
    connector(datagram(0x200, 1, 2, 3, 4, sequence=10, cpu=1))
    assert connector.source.lost() == 10


def test_the_sequence_wraps(connector):
    connector(
        datagram(0x200, 1, 2, 3, 4, sequence=0xFFFFFFFF), datagram(0x200, 1, 2, 3, 4, sequence=0)
    )
    assert connector.source.lost() == 0


def test_messages_from_other_programs_are_not_believed(connector):
    assert connector((datagram(EXEC, 50, 50), SOMEONE)).process == []


def test_a_broken_socket_is_an_error(connector):
    with pytest.raises(OSError, match="gone"):
        connector(OSError(errno.EBADF, "gone"))


def test_close_says_goodbye_once(connector):
    connector.source.close()
    connector.source.close()
    assert len(connector.socket.sent) == 2
    assert not connector.socket.open


@pytest.mark.parametrize(("error", "silent", "why"), [(1, False, "not perm"), (0, True, "no answ")])
def test_refused_or_not_answered_is_unsupported(state, monkeypatch, error, silent, why):
    fake = FakeSocket()
    fake.error, fake.silent = error, silent
    monkeypatch.setattr(socket, "socket", lambda *_: fake)
    with pytest.raises(Unsupported, match=why):
        ProcConnector(state)
    assert not fake.open


def test_without_privilege_it_is_unsupported_with_the_mend(state, monkeypatch):
    fake = FakeSocket()

    def bind(_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    fake.bind = bind
    monkeypatch.setattr(socket, "socket", lambda *_: fake)
    with pytest.raises(Unsupported, match="run as root"):
        ProcConnector(state)
    assert not fake.open

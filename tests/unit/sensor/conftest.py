"""Crafted records and a crafted /proc for the sensor's unit tests."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hauberk.sensor import SensorSettings, records
from hauberk.sensor.source import State

SECOND = 1_000_000_000


class TurnableClock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.mono = 3 * SECOND
        self.wall = 1_700_000_000 * SECOND

    def wall_ns(self) -> int:
        return self.wall

    def mono_ns(self) -> int:
        return self.mono

    def pass_s(self, seconds: float) -> None:
        self.mono += int(seconds * SECOND)
        self.wall += int(seconds * SECOND)


def _pad(record: bytes) -> bytes:
    return record + bytes(-len(record) % 8)


class Ring:
    """Makes records as the kernel programs would."""

    @staticmethod
    def exec(
        pid, path=b"true\0bin\0usr\0", area=b"/bin/true\0", *, total=None, flags=0, ppid=1,
        start=SECOND, parent_start=SECOND // 2, uid=0, gid=0, cgroup=1, mono=2 * SECOND,
        comm=b"true", parent_comm=b"sh", path_len=None, args_len=None, size=None,
    ):  # fmt: skip
        size = records.EXEC_SIZE + len(path) + len(area) if size is None else size
        return _pad(
            records.HEAD.pack(records.EXEC, flags, size, mono)
            + records.EXEC_BODY.pack(
                start, parent_start, cgroup, pid, ppid, uid, gid,
                len(area) if total is None else total,
                len(area) if args_len is None else args_len,
                len(path) if path_len is None else path_len,
                0, comm, parent_comm,
            )
            + path + area
        )  # fmt: skip

    @staticmethod
    def args(pid, offset, data, *, start=SECOND, flags=0, mono=2 * SECOND):
        head = records.HEAD.pack(records.ARGS, flags, records.ARGS_SIZE + len(data), mono)
        return _pad(head + records.ARGS_BODY.pack(start, pid, offset) + data)

    @staticmethod
    def exit(pid, status=0, *, start=SECOND, ppid=1, uid=0, cgroup=1, mono=5 * SECOND, comm=b"x"):
        head = records.HEAD.pack(records.EXIT, 0, records.EXIT_SIZE, mono)
        return head + records.EXIT_BODY.pack(start, cgroup, pid, ppid, uid, status, comm)

    @staticmethod
    def sock(
        kind, src="127.0.0.1", sport=0, dst="127.0.0.1", dport=0, *, pid=0, start=SECOND, ppid=1,
        uid=0, cgroup=1, netns=4026531840, protocol=6, mono=3 * SECOND, comm=b"", socket_id=0xFFFF888000000000,
    ):  # fmt: skip
        family = socket.AF_INET6 if ":" in src else socket.AF_INET
        head = records.HEAD.pack(kind, 0, records.SOCK_SIZE, mono)
        return head + records.SOCK_BODY.pack(
            0 if kind == records.ACCEPT else start, cgroup, socket_id, pid, ppid, uid, netns, family,
            protocol, sport, dport, socket.inet_pton(family, src), socket.inet_pton(family, dst),
            comm,
        )  # fmt: skip

    @staticmethod
    def connected(port, socket_id=0xFFFF888000000000):
        head = records.HEAD.pack(records.CONNECTED, 0, records.CONNECTED_SIZE, 0)
        return head + records.CONNECTED_BODY.pack(socket_id, port, 0)


class ProcTree:
    """A folder that looks like /proc."""

    NET_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self, pid, name="sh", *, ppid=1, start_ticks=100, exe="/bin/sh", cmdline=b"sh\0", uid=0,
        gid=0, netns=4026531840, cgroup="/", tcp="", tcp6="", sockets=(),
    ):  # fmt: skip
        folder = self.root / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "net").mkdir()
        (folder / "fd").mkdir()
        rest = ["S", str(ppid), *["0"] * 17, str(start_ticks), "0"]
        (folder / "stat").write_bytes(b"%d (%s) " % (pid, name.encode()) + " ".join(rest).encode())
        (folder / "cmdline").write_bytes(cmdline)
        (folder / "status").write_text(
            f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t0\t0\t0\n"
        )
        (folder / "cgroup").write_text(f"1:name=systemd:/\n0::{cgroup}\n")
        (folder / "exe").symlink_to(exe)
        (folder / "ns/net").symlink_to(f"net:[{netns}]")
        (folder / "net/tcp").write_text(self.NET_HEAD + tcp)
        (folder / "net/tcp6").write_text(self.NET_HEAD + tcp6)
        for number, inode in enumerate(sockets):
            (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")

    def remove(self, pid):
        for path in sorted((self.root / str(pid)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        (self.root / str(pid)).rmdir()

    @staticmethod
    def row(local, remote, state, inode, uid=0):
        """One row of /proc/net/tcp; addresses as (IPv4, port)."""

        def text(end):
            word = int.from_bytes(socket.inet_aton(end[0]), "little")
            return f"{word:08X}:{end[1]:04X}"

        return (
            f"   0: {text(local)} {text(remote)} {state:02X} 00000000:00000000 00:00000000 "
            f"00000000 {uid:5d}        0 {inode} 1 0\n"
        )


@pytest.fixture
def clock():
    return TurnableClock()


@pytest.fixture
def ring():
    return Ring


@pytest.fixture
def proc(tmp_path):
    root = tmp_path / "proc"
    root.mkdir()
    return ProcTree(root)


@pytest.fixture
def settings(proc, tmp_path):
    return SensorSettings(proc=str(proc.root), cgroup_roots=(str(tmp_path / "cgroup"),))


@pytest.fixture
def state(settings, clock):
    return State(settings, clock)

"""Processes and sockets as /proc tells them: what ran before the sensor, and tier D."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hauberk.errors import BadInput
from hauberk.schema.text import from_bytes
from hauberk.sensor import records
from hauberk.sensor.processes import Process

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
ESTABLISHED, SYN_SENT, TCP_LISTEN = 1, 2, 10
_DELETED = " (deleted)"
READ_BYTES = 65536
# A process may name any mapping as its arguments (prctl), terabytes of zeros even.
CMDLINE_BYTES = 8 * 1024 * 1024
TABLE_BYTES = 64 * 1024 * 1024
# A few processes can hold millions of descriptors by inheriting them: the search stops, and what
# was not found has no owner.
MOST_DESCRIPTORS = 200_000


@dataclass(frozen=True, slots=True)
class Connection:
    """One row of /proc/net/tcp; `inode` is 0 while nothing has accepted it."""

    netns: int
    src_ip: str
    src_port: int
    dst_ip: str
    dst_port: int
    state: int
    uid: int
    inode: int


def parse_stat(data: bytes) -> tuple[str, int, int]:
    """(comm, ppid, start in ns since boot) of /proc/PID/stat. Raises BadInput."""
    # The name may hold spaces and brackets: it ends at the last one.
    name, bracket, rest = data.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    try:
        return from_bytes(name), int(fields[1]), int(fields[19]) * TICK_NS
    except (IndexError, ValueError):
        what = "no closing bracket" if not bracket else "fields are missing or not numbers"
        raise BadInput(f"cannot read it: {what}", source="/proc/PID/stat") from None


def _hex_address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    # Each 32-bit word was printed as a number in the machine's order.
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    if len(raw) not in (4, 16) or len(host) % 8:
        raise ValueError("neither IPv4 nor IPv6")
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return records.address(family, raw), int(port, 16)


def parse_net_tcp(data: bytes, netns: int, states: Collection[int]) -> Iterator[Connection]:
    """Rows of /proc/net/tcp or tcp6 in one of `states`. Raises BadInput with the line."""
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), start=1):
        if number == 1 or not line.strip():
            continue
        fields = line.split()
        try:
            state = int(fields[3], 16)
            if state not in states:
                continue
            src_ip, src_port = _hex_address(fields[1])
            dst_ip, dst_port = _hex_address(fields[2])
            uid, inode = int(fields[7]), int(fields[9])
        except (IndexError, ValueError, struct.error) as error:
            raise BadInput(
                f"cannot read it ({error})", source="/proc/net/tcp", line=number
            ) from None
        yield Connection(netns, src_ip, src_port, dst_ip, dst_port, state, uid, inode)


class ProcFs:
    """Reads /proc. A process that is gone gives None or is left out; other failures raise OSError.

    Args:
        root: where it is mounted.
    """

    def __init__(self, root: str = "/proc") -> None:
        self.root = root

    def _read(self, name: str, limit: int = READ_BYTES) -> bytes | None:
        """The file's first bytes, at least `limit` of them when it has as many."""
        # Tier D does this several times per exec: a file object would cost three times as much.
        try:
            fd = os.open(f"{self.root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return None
        try:
            data = part = os.read(fd, READ_BYTES)
            while part and len(data) < limit:
                part = os.read(fd, READ_BYTES)
                data += part
        except ProcessLookupError:
            return None
        finally:
            os.close(fd)
        return data

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(f"{self.root}/{name}")  # noqa: PTH115
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None

    def pids(self) -> list[int]:
        """All process ids, ascending."""
        return sorted(int(name) for name in os.listdir(self.root) if name.isdecimal())  # noqa: PTH208

    def cmdline(self, pid: int) -> bytes | None:
        """The argument area as it is now."""
        return self._read(f"{pid}/cmdline", CMDLINE_BYTES)

    def process(self, pid: int, area: bytes | None = None) -> Process | None:
        """One process, None when it is gone (a kernel thread has no exe and no argv).

        `area` is its argument area when that was read before.
        """
        stat = self._read(f"{pid}/stat")
        if stat is None:
            return None
        name, ppid, start_ns = parse_stat(stat)
        exe = (self._link(f"{pid}/exe") or "").removesuffix(_DELETED)
        uid, gid = self._ids(pid)
        process = Process(pid, start_ns, ppid, uid, gid, name, from_bytes(os.fsencode(exe)))
        if area is None:
            area = self.cmdline(pid) or b""
        argv = records.argv(area)
        cut = len(area) >= CMDLINE_BYTES or len(argv) >= records.MOST_ARGUMENTS
        process.keep_arguments(argv, truncated=cut)
        return process

    def _ids(self, pid: int) -> tuple[int, int]:
        ids = {b"Uid:": -1, b"Gid:": -1}
        for line in (self._read(f"{pid}/status") or b"").splitlines():
            key, _, rest = line.partition(b"\t")
            if key in ids and (value := rest.split(b"\t", 1)[0]).isdigit():
                ids[key] = int(value)
        return ids[b"Uid:"], ids[b"Gid:"]

    def cgroup_path(self, pid: int) -> str | None:
        """Path of the process in the unified hierarchy, "/..."; None when gone or without one."""
        for line in (self._read(f"{pid}/cgroup") or b"").splitlines():
            if line.startswith(b"0::"):
                return from_bytes(line[3:])
        return None

    def netns(self, pid: int) -> int | None:
        """Inode of the process's network namespace."""
        link = self._link(f"{pid}/ns/net")
        number = link[5:-1] if link and link.startswith("net:[") else ""
        return int(number) if number.isdecimal() else None

    def namespaces(self) -> dict[int, list[int]]:
        """Network namespace -> its processes."""
        found: dict[int, list[int]] = {}
        for pid in self.pids():
            if (netns := self.netns(pid)) is not None:
                found.setdefault(netns, []).append(pid)
        return found

    def connections(
        self, netns: int, pids: Collection[int], states: Collection[int]
    ) -> list[Connection]:
        """TCP sockets of a namespace, read through the first of `pids` that still lives."""
        for pid in pids:
            four = self._read(f"{pid}/net/tcp", TABLE_BYTES)
            six = self._read(f"{pid}/net/tcp6", TABLE_BYTES)
            if four is None and six is None:
                continue
            rows = list(parse_net_tcp(four or b"", netns, states))
            rows += parse_net_tcp(six or b"", netns, states)
            return rows
        return []

    def owners(self, inodes: Collection[int]) -> dict[int, int]:
        """Socket inode -> the lowest pid that holds it open, after MOST_DESCRIPTORS at most."""
        wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
        found: dict[int, int] = {}
        left = MOST_DESCRIPTORS
        for pid in self.pids() if wanted else ():
            if left <= 0:
                break
            try:
                entries = os.listdir(f"{self.root}/{pid}/fd")  # noqa: PTH208
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            for entry in entries[:left]:
                link = self._link(f"{pid}/fd/{entry}")
                if link in wanted:
                    found.setdefault(wanted[link], pid)
            left -= len(entries)
            if len(found) == len(wanted):
                break
        return found

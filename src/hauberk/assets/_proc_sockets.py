"""Sockets of every network namespace, joined to the processes that hold them.

Each process's descriptors are read once. /proc/net prints addresses as words in the machine's
byte order; every supported architecture is little-endian.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hauberk.errors import HostError, PathDenied, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

from . import _proc

TABLE_LIMIT = 32 * 1024 * 1024
MAX_SOCKETS = 200_000
MAX_FDS = 65_536
# Of all processes: a few thousand of them can inherit millions without opening one.
MAX_DESCRIPTORS = 1_000_000
STATES = {
    1: "established", 2: "syn_sent", 3: "syn_recv", 4: "fin_wait1", 5: "fin_wait2",
    6: "time_wait", 7: "close", 8: "close_wait", 9: "last_ack", 10: "listen",
    11: "closing", 12: "new_syn_recv",
}  # fmt: skip
LISTEN = "listen"


class Socket(NamedTuple):
    """One line of a socket table. `protocol` is tcp, udp or unix; `local_ip` a path for unix."""

    protocol: str
    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    state: str
    uid: int
    inode: int
    netns: int


class Owner(NamedTuple):
    """The process behind a socket; `sharers` counts all processes that hold it."""

    pid: int
    start_ns: int
    name: str
    exe: str
    uid: int
    container: str
    sharers: int


@dataclass(slots=True)
class Scan:
    """Who holds which socket, and which processes live in which network namespace."""

    holders: dict[int, list[int]] = field(default_factory=dict)
    namespaces: dict[int, list[int]] = field(default_factory=dict)
    complete: bool = True


@lru_cache(maxsize=4096)
def address(text: str) -> str:
    """Decode a hexadecimal address of /proc/net; v4-mapped ones are shown as v4.

    Raises ValueError: neither 8 nor 32 hex digits.
    """
    raw = bytes.fromhex(text)
    if len(raw) == 4:
        return str(IPv4Address(raw[::-1]))
    if len(raw) != 16:
        raise ValueError(f"{text!r} is no address")
    found = IPv6Address(b"".join(raw[i : i + 4][::-1] for i in range(0, 16, 4)))
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(found)


def parse_inet(raw: bytes, protocol: str, netns: int = 0) -> Iterator[Socket]:
    """Lines of /proc/net/{tcp,tcp6,udp,udp6}; lines that make no sense are left out."""
    for line in raw.split(b"\n", MAX_SOCKETS)[1:MAX_SOCKETS]:
        parts = line.decode("ascii", "replace").split(None, 10)
        if len(parts) < 10:
            continue
        local, _, local_port = parts[1].partition(":")
        remote, _, remote_port = parts[2].partition(":")
        try:
            yield Socket(
                protocol,
                address(local),
                _proc.number(local_port, 16),
                address(remote),
                _proc.number(remote_port, 16),
                STATES.get(_proc.number(parts[3], 16), "unknown"),
                _proc.number(parts[7]),
                _proc.number(parts[9]),
                netns,
            )
        except ValueError:
            continue


def parse_unix(raw: bytes, netns: int = 0) -> Iterator[Socket]:
    """Listening sockets of /proc/net/unix that have a name (`@` for abstract ones)."""
    for line in raw.split(b"\n", MAX_SOCKETS)[1:MAX_SOCKETS]:
        parts = line.split(None, 7)
        if len(parts) < 8:
            continue
        try:
            flags, inode = _proc.number(parts[3], 16), _proc.number(parts[6])
        except ValueError:
            continue
        if flags & 0x10000:
            yield Socket("unix", from_bytes(parts[7]), 0, "", 0, LISTEN, -1, inode, netns)


def _bracketed(text: str, kind: str) -> int | None:
    if not text.startswith(kind) or not text.endswith("]"):
        return None
    digits = text[len(kind) : -1]
    return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 19 else None


def scan(host: Host, notes: Notes) -> Scan:
    """Read every process's descriptors once. Raises HostError when /proc cannot be listed."""
    found = Scan()
    denied = _proc.Denied("open descriptors")
    left = MAX_DESCRIPTORS
    for pid in _proc.pids(host):
        folder = f"/proc/{pid}/fd"
        try:
            fds = host.listdir(folder)
            if fds:  # kernel threads and zombies have none
                _namespace(host, pid, found)
                _descriptors(host, folder, fds[: min(MAX_FDS, max(left, 0))], pid, found)
                left -= len(fds)
        except PathMissing:
            continue
        except PathDenied:
            denied.add(folder)
        except HostError as error:
            notes.add(folder, error)
    if left < 0:
        notes.add(
            "/proc", f"more than {MAX_DESCRIPTORS} open descriptors; owners of some are not known"
        )
    found.complete = not denied.count and left >= 0
    denied.note(notes)
    return found


def _namespace(host: Host, pid: int, found: Scan) -> None:
    netns = _bracketed(host.readlink(f"/proc/{pid}/ns/net"), "net:[")
    if netns is not None:
        found.namespaces.setdefault(netns, []).append(pid)


def _descriptors(host: Host, folder: str, fds: list[str], pid: int, found: Scan) -> None:
    seen: set[int] = set()
    for fd in fds:
        try:
            inode = _bracketed(host.readlink(f"{folder}/{fd}"), "socket:[")
        except PathMissing:
            continue
        if inode is not None and inode not in seen:
            seen.add(inode)
            found.holders.setdefault(inode, []).append(pid)


def sockets(host: Host, notes: Notes, found: Scan, tables: tuple[str, ...]) -> Iterator[Socket]:
    """Sockets of every namespace in `found`; `tables` are names below /proc/PID/net.

    Without any readable process the reader's own /proc/net is used, as namespace 0.
    """
    views: dict[int, list[str]] = {
        netns: [f"/proc/{pid}/net" for pid in members[:5]]
        for netns, members in found.namespaces.items()
    }
    left = MAX_SOCKETS
    for netns, folders in (views or {0: ["/proc/net"]}).items():
        for table in tables:
            raw = _table(host, notes, folders, table)
            lines = parse_unix(raw, netns) if table == "unix" else parse_inet(raw, table[:3], netns)
            for sock in lines:
                if left <= 0:
                    notes.add(
                        folders[0],
                        f"more than {MAX_SOCKETS} sockets; the rest is left out",
                        hides=True,
                    )
                    return
                left -= 1
                yield sock


def _table(host: Host, notes: Notes, folders: list[str], table: str) -> bytes:
    """The first readable copy: a process may have ended meanwhile; no IPv6 means no table."""
    for folder in folders:
        try:
            raw = host.head(f"{folder}/{table}", TABLE_LIMIT)
        except PathMissing:
            continue
        except HostError as error:
            notes.add(f"{folder}/{table}", error)
            continue
        if len(raw) >= TABLE_LIMIT:
            notes.add(
                f"{folder}/{table}",
                f"larger than {TABLE_LIMIT} bytes; the rest is left out",
                hides=True,
            )
        return raw
    return b""


class Owners:
    """Finds the process behind a socket inode; reads each process once."""

    def __init__(self, host: Host, found: Scan) -> None:
        self._host = host
        self._found = found
        self._known: dict[int, Owner | None] = {}

    def of(self, inode: int) -> Owner | None:
        """The oldest holder, or None (orphan). Workers share their parent's socket.

        PID 1 counts only when it is alone: it hands activated sockets to services.
        """
        holders = self._found.holders.get(inode, ()) if inode else ()
        candidates = [o for pid in holders if (o := self._read(pid)) is not None]
        if not candidates:
            return None
        others = [o for o in candidates if o.pid != 1] or candidates
        first = min(others, key=lambda o: (o.start_ns, o.pid))
        return first._replace(sharers=len(candidates))

    def _read(self, pid: int) -> Owner | None:
        if pid not in self._known:
            self._known[pid] = self._fresh(pid)
        return self._known[pid]

    def _fresh(self, pid: int) -> Owner | None:
        try:
            stat = _proc.read_stat(self._host, pid)
            if stat is None:
                return None
            exe, _ = _proc.read_exe(self._host, pid)
            _, container = _proc.read_container(self._host, pid)
            uid = _proc.parse_status(self._host.head(f"/proc/{pid}/status", _proc.STATUS_LIMIT)).uid
        except HostError:  # its descriptors were readable: it has ended meanwhile
            return None
        return Owner(pid, stat.start_ns, stat.name, exe, uid, container, 1)

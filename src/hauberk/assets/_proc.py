"""Processes as /proc shows them: bounded parsers and one cheap walk that several collectors share.

A process that ends while it is read is no problem; one that may not be read is, and is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from hauberk.errors import HostError, NotLive, PathDenied, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

# USER_HZ is 100 on every Linux that matters: one tick of /proc/PID/stat in ns.
TICK_NS = 10_000_000
STAT_LIMIT = 4096
STATUS_LIMIT = 8192
CGROUP_LIMIT = 16 * 1024
ARGV_LIMIT = 128 * 1024
# Of all command lines together, in memory: past it each gives its first bytes only. Any user may
# start thousands of processes with arguments of megabytes.
ARGV_TOTAL = 16 * 1024 * 1024
ARGV_LEAST = 256
MAX_ARGUMENTS = 65_536
_OBJECT = 60
MAX_PIDS = 100_000
MAX_INT = (1 << 62) - 1
_KTHREAD = 0x00200000
_DELETED = " (deleted)"
_CONTAINER = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class Stat(NamedTuple):
    """Fields of /proc/PID/stat. `start_ns` is ns since boot, `cpu_ticks` user plus system."""

    pid: int
    name: str
    state: str
    ppid: int
    session: int
    tty: int
    kernel: bool
    cpu_ticks: int
    threads: int
    start_ns: int


class Proc(msgspec.Struct, frozen=True, kw_only=True):
    """One process, as far as the joins need it.

    `exe` is the path in the process's own view, without the kernel's deleted mark.
    """

    pid: int
    start_ns: int
    ppid: int
    name: str
    tty: int = 0
    exe: str = ""
    exe_deleted: bool = False
    exe_denied: bool = False
    argv: list[str] = []
    argv_truncated: bool = False
    cgroup: str = ""
    container: str = ""
    kernel: bool = False


class Status(NamedTuple):
    """Identity and size out of /proc/PID/status; -1 where the file does not say."""

    uid: int = -1
    real_uid: int = -1
    gid: int = -1
    real_gid: int = -1
    rss: int = 0


class ArgvRoom:
    """What is left of the memory that one collection may spend on command lines."""

    def __init__(self, total: int = -1) -> None:
        self._left = ARGV_TOTAL if total < 0 else total

    @property
    def limit(self) -> int:
        """Bytes to read of the next command line."""
        return min(ARGV_LIMIT, max(self._left, ARGV_LEAST))

    @property
    def most(self) -> int:
        """Arguments to keep of it."""
        return MAX_ARGUMENTS if self._left > ARGV_LEAST else ARGV_LEAST // 8

    def spend(self, argv: list[str]) -> None:
        """Count one that is kept; up to `ARGV_LEAST` it is free."""
        self._left -= max(0, sum(map(len, argv)) + len(argv) * _OBJECT - 8 * ARGV_LEAST)


def require_proc(host: Host) -> None:
    """Raise NotLive unless the Host has a /proc of a running machine."""
    if host.kind == "root" or not is_live(host):
        raise NotLive(f"{host.name}: no running /proc; look at the live machine instead")


def is_live(host: Host) -> bool:
    """Whether processes can be read."""
    return host.kind != "root" and host.exists("/proc")


def pids(host: Host) -> list[int]:
    """Process ids, rising. Raises HostError when /proc cannot be listed."""
    found = [int(n) for n in host.listdir("/proc") if n.isdecimal() and n.isascii() and len(n) < 10]
    return sorted(found)[:MAX_PIDS]


def number(text: bytes | str, base: int = 10) -> int:
    """An integer that a signed 64-bit column holds. Raises ValueError."""
    found = int(text, base) if len(text) <= 20 else MAX_INT + 1
    if not -MAX_INT <= found <= MAX_INT:
        raise ValueError(f"{text[:20]!r} is out of range")
    return found


def parse_stat(raw: bytes) -> Stat | None:
    """Parse /proc/PID/stat; None for anything else. The name may hold spaces and brackets."""
    first, last = raw.find(b"("), raw.rfind(b")")
    fields = raw[last + 1 :].split()
    if first < 1 or last < first or len(fields) < 20:
        return None
    try:
        flags = number(fields[6])
        return Stat(
            pid=number(raw[:first]),
            name=from_bytes(raw[first + 1 : last]),
            state=from_bytes(fields[0][:1]),
            ppid=number(fields[1]),
            session=number(fields[3]),
            tty=number(fields[4]),
            kernel=bool(flags & _KTHREAD),
            cpu_ticks=number(fields[11]) + number(fields[12]),
            threads=number(fields[17]),
            start_ns=min(number(fields[19]) * TICK_NS, MAX_INT),
        )
    except ValueError:
        return None


def parse_status(raw: bytes) -> Status:
    """Effective and real ids and resident bytes; what is absent or malformed keeps its default."""
    uid, gid = _ids(raw, b"\nUid:"), _ids(raw, b"\nGid:")
    rss = _after(raw, b"\nVmRSS:")
    size = int(rss[0]) * 1024 if rss and rss[0].isdigit() and len(rss[0]) < 16 else 0
    return Status(uid=uid[1], real_uid=uid[0], gid=gid[1], real_gid=gid[0], rss=size)


def _after(raw: bytes, label: bytes) -> list[bytes]:
    at = raw.find(label)
    if at < 0:
        return []
    end = raw.find(b"\n", at + 1)
    return raw[at + len(label) : end if end >= 0 else None].split()


def _ids(raw: bytes, label: bytes) -> tuple[int, int]:
    parts = _after(raw, label)
    if len(parts) < 2 or not all(p.isdigit() and len(p) < 12 for p in parts[:2]):
        return -1, -1
    return int(parts[0]), int(parts[1])


def split_argv(raw: bytes, most: int = MAX_ARGUMENTS) -> list[str]:
    """At most the first `most` arguments of a NUL-separated block; no byte is lost."""
    if not raw:
        return []
    parts = raw.removesuffix(b"\0").split(b"\0", most)
    return [from_bytes(p) for p in parts[:most]]


def parse_cgroup(raw: bytes) -> tuple[str, str]:
    """(cgroup path, container id or ""). The innermost 64-hex name is the container.

    The unified hierarchy's line is preferred unless only another one names a container.
    """
    best, container = b"", b""
    for line in raw.splitlines():
        parts = line.split(b":", 2)
        if len(parts) != 3:
            continue
        path = parts[2]
        # The monitor beside a container has the container's id in its name.
        ids = _CONTAINER.findall(path) if b"conmon" not in path else []
        if ids and not container:
            best, container = path, ids[-1]
        elif not container and (len(best) <= 1 or (parts[0] == b"0" and len(path) > 1)):
            best = path
    return from_bytes(best), container.decode()


def read_exe(host: Host, pid: int) -> tuple[str, bool]:
    """(path of the executable, deleted); empty for kernel threads and zombies.

    Raises PathDenied.
    """
    try:
        target = host.readlink(f"/proc/{pid}/exe")
    except PathMissing:
        return "", False
    if target.endswith(_DELETED) and not _is_named(host, pid, target):
        return target.removesuffix(_DELETED), True
    return target, False


def _is_named(host: Host, pid: int, target: str) -> bool:
    """Whether the file's own name ends like the kernel's mark: anybody may call a file so."""
    try:
        there = host.stat(f"/proc/{pid}/root{target}")
        runs = host.stat(f"/proc/{pid}/exe")
    except HostError:
        return False
    return (there.device, there.inode) == (runs.device, runs.inode)


def read_stat(host: Host, pid: int) -> Stat | None:
    """None when the process is gone or its record is malformed."""
    try:
        stat = parse_stat(host.head(f"/proc/{pid}/stat", STAT_LIMIT))
    except PathMissing:
        return None
    return stat if stat is not None and stat.pid == pid else None


def read_container(host: Host, pid: int) -> tuple[str, str]:
    """(cgroup path, container id), empty when gone."""
    try:
        return parse_cgroup(host.head(f"/proc/{pid}/cgroup", CGROUP_LIMIT))
    except PathMissing:
        return "", ""


def read_proc(host: Host, pid: int, stat: Stat, room: ArgvRoom) -> Proc:
    """The rest of one process. Kernel threads cost no further read. Raises HostError.

    `room` bounds its argument list, and is charged with it.

    An executable that may not be looked at (namespaces, missing CAP_SYS_PTRACE) gives
    `exe_denied`; its argument list may be readable all the same.
    """
    if stat.kernel:
        return Proc(pid=pid, start_ns=stat.start_ns, ppid=stat.ppid, name=stat.name, kernel=True)
    exe, deleted, refused = "", False, False
    try:
        exe, deleted = read_exe(host, pid)
    except PathDenied:
        refused = True
    try:
        limit, most = room.limit, room.most
        raw = host.head(f"/proc/{pid}/cmdline", limit + 1)
    except PathMissing:
        raw = b""
    argv = split_argv(raw[:limit], most)
    room.spend(argv)
    cgroup, container = read_container(host, pid)
    return Proc(
        pid=pid,
        start_ns=stat.start_ns,
        ppid=stat.ppid,
        name=stat.name,
        tty=stat.tty,
        exe=exe,
        exe_deleted=deleted,
        exe_denied=refused,
        argv=argv,
        argv_truncated=len(raw) > limit or len(argv) >= most,
        cgroup=cgroup,
        container=container,
    )


class Denied:
    """Gathers refusals of one kind, so that they become one note and not one per process."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.count = 0
        self.first = ""

    def add(self, where: str) -> None:
        """Count one refusal."""
        self.first = self.first or where
        self.count += 1

    def note(self, notes: Notes) -> None:
        """Write the note once, if there was a refusal."""
        text = f"{self.what} of {self.count} processes denied; run as root with CAP_SYS_PTRACE"
        if self.count and not any(p.what == text for p in notes.problems):
            notes.add(self.first, text)


def stats(host: Host, notes: Notes) -> Iterator[Stat]:
    """Every process's stat record. Malformed and refused ones are noted."""
    for pid in pids(host):
        try:
            raw = host.head(f"/proc/{pid}/stat", STAT_LIMIT)
        except PathMissing:
            continue
        except HostError as error:
            notes.add(f"/proc/{pid}/stat", error)
            continue
        stat = parse_stat(raw)
        if stat is None or stat.pid != pid:
            notes.add(f"/proc/{pid}/stat", "not a process record; skipped")
            continue
        yield stat


def processes(host: Host, notes: Notes) -> Iterator[Proc]:
    """All user-space processes, by pid; empty where the Host is not live."""
    if not is_live(host):
        return
    denied = Denied("executable")
    for stat in stats(host, notes):
        if stat.kernel:
            continue
        try:
            proc = read_proc(host, stat.pid, stat, ArgvRoom())  # not kept: each has its own
        except HostError as error:
            notes.add(f"/proc/{stat.pid}", error)
            continue
        if proc.exe_denied:
            denied.add(f"/proc/{stat.pid}/exe")
        yield proc
    denied.note(notes)


def user_names(host: Host, notes: Notes) -> dict[int, str]:
    """Names by uid out of the machine's own /etc/passwd; the first entry of a uid wins."""
    try:
        raw = host.head("/etc/passwd", 4 * 1024 * 1024)
    except PathMissing:
        return {}
    except HostError as error:
        notes.add("/etc/passwd", error)
        return {}
    names: dict[int, str] = {}
    for line in raw.splitlines():
        parts = line.split(b":")
        if len(parts) >= 3 and parts[2].isdigit() and len(parts[2]) < 12:
            names.setdefault(int(parts[2]), from_bytes(parts[0]))
    return names

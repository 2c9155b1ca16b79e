"""software.unowned_binary: programs on disk that no OS package put there."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

from hauberk.assets._owners import find_owners
from hauberk.assets._software import find
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, FileStat, Host, Notes
from hauberk.schema.asset import Asset, column

MAX_ROWS = 50_000
MAX_HASHED = 4 * 1024 * 1024 * 1024  # bytes a run
# Of one user other than root: nobody may use up what is meant for all (links and holes are free).
MAX_USER_ROWS = 5_000
MAX_USER_HASHED = 512 * 1024 * 1024
HEAD = 4096
_CHUNK = 1 << 20

# Scripts count where a shell finds them, or where intruders drop them; elsewhere they are sources.
_SCRIPT_FOLDERS = (
    *("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"),
    *("/tmp/", "/var/tmp/", "/etc/"),  # noqa: S108
)
# Shared objects count where the loader finds them by itself.
_LIBRARY_FOLDERS = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/local/lib/")
_LIBRARY_DEPTH = 2
_ELF_KINDS = frozenset({2, 3})  # programs, and position-independent programs and libraries
_MACHINES = {
    3: "x86",
    8: "mips",
    20: "powerpc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}


class UnownedBinary(Asset, frozen=True, kw_only=True):
    """A program, script or library that no package database lists."""

    KEY = ("path",)

    path: Annotated[str, column("Path", "路径")]
    kind: Annotated[str, column("Kind", "类别", "program, library, script")] = ""
    machine: Annotated[str, column("Machine", "机器架构", "of an ELF file", wide=True)] = ""
    static: Annotated[
        bool | None, column("Static", "静态链接", "an ELF program without a loader", wide=True)
    ] = None
    interpreter: Annotated[
        str, column("Interpreter", "解释器", "of a script, or an ELF file's loader", wide=True)
    ] = ""
    size: Annotated[int, column("Size", "大小", "bytes")] = 0
    mode: Annotated[str, column("Mode", "权限", "octal")] = ""
    uid: Annotated[int, column("UID", "用户 ID", "of the file")] = 0
    gid: Annotated[int, column("GID", "组 ID", wide=True)] = 0
    privileged: Annotated[bool, column("Set-id", "特权位", "set-user-id or set-group-id")] = False
    writable: Annotated[bool, column("Writable", "任何人可写", "by anybody", wide=True)] = False
    modified_ns: Annotated[int, column("Modified", "修改时间", "ns since 1970")] = 0
    sha256: Annotated[str, column("SHA-256", "SHA-256", wide=True)] = ""


def classify(path: str, head: bytes) -> tuple[str, str, bool | None, str] | None:
    """(kind, machine, static, interpreter) of a file by its first bytes; None: nothing to tell of.

    Total: any bytes are classified.
    """
    if head.startswith(b"#!"):
        line = head[2:].split(b"\n", 1)[0][:200].decode("utf-8", "replace").strip()
        return ("script", "", None, line) if path.startswith(_SCRIPT_FOLDERS) else None
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        return None
    order = ">" if head[5] == 2 else "<"
    kind, machine = struct.unpack_from(f"{order}2H", head, 16)
    if kind not in _ELF_KINDS:  # objects and core dumps
        return None
    name = _MACHINES.get(machine, str(machine))
    loader = elf_interpreter(head)
    file = path.rpartition("/")[2]
    if kind == 3 and loader == "" and (file.endswith(".so") or ".so." in file):
        return ("library", name, None, "") if _is_system_library(path) else None
    return "program", name, None if loader is None else not loader, loader or ""


def _is_system_library(path: str) -> bool:
    top = next((top for top in _LIBRARY_FOLDERS if path.startswith(top)), None)
    return top is not None and path[len(top) :].count("/") < _LIBRARY_DEPTH


def elf_interpreter(head: bytes) -> str | None:
    """The loader that an ELF file asks for, "" for none, None when `head` is too short to say."""
    wide, order = head[4] == 2, ">" if head[5] == 2 else "<"
    try:
        if wide:
            (start,) = struct.unpack_from(f"{order}Q", head, 32)
            size, count = struct.unpack_from(f"{order}2H", head, 54)
        else:
            (start,) = struct.unpack_from(f"{order}I", head, 28)
            size, count = struct.unpack_from(f"{order}2H", head, 42)
        for index in range(min(count, 128)):
            at = start + index * size
            (kind,) = struct.unpack_from(f"{order}I", head, at)
            if kind == 3:
                place = struct.unpack_from(f"{order}Q", head, at + 8) if wide else None
                (offset,) = place or struct.unpack_from(f"{order}I", head, at + 4)
                end = head.find(b"\0", offset)
                return head[offset:end].decode("utf-8", "replace") if end > offset else None
    except (struct.error, OverflowError):  # an offset behind everything
        return None
    return ""


def _candidates(host: Host, notes: Notes) -> list[FileStat]:
    found = {entry.path: entry for entry in find(host, notes, _runs)}
    # Often file systems of their own, and where intruders drop things.
    for top in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108
        try:
            for entry in host.walk(top):
                if _runs(entry):
                    found.setdefault(entry.path, entry)
        except PathMissing:
            continue
        except HostError as error:
            notes.add(top, error, hides=True)
    return list(found.values())


def _runs(entry: FileStat) -> bool:
    """Executable for somebody, or a library where the loader looks."""
    if entry.kind != "file" or not entry.size:
        return False
    return bool(entry.mode & 0o111) or (".so" in entry.path and _is_system_library(entry.path))


def collect(host: Host, notes: Notes) -> Iterator[UnownedBinary]:
    """Rows in path order, at most `MAX_ROWS`.

    Raises:
        HostError: the root cannot be listed, or a package database cannot be read: then owned and
            unowned cannot be told apart.
    """
    candidates = _candidates(host, notes)
    owners = find_owners(host, notes, [entry.path for entry in candidates], strict=True)
    hashed = rows = 0
    rows_of: Counter[int] = Counter()
    hashed_of: Counter[int] = Counter()
    for entry in candidates:
        if entry.path in owners:
            continue
        try:
            found = classify(entry.path, host.head(entry.path, HEAD))
            if found is None:
                continue
            if rows >= MAX_ROWS:
                notes.add(
                    "/", f"more than {MAX_ROWS} unowned binaries; the rest is left out", hides=True
                )
                return
            rows_of[entry.uid] += 1
            if entry.uid and rows_of[entry.uid] > MAX_USER_ROWS:
                if rows_of[entry.uid] == MAX_USER_ROWS + 1:
                    what = f"more than {MAX_USER_ROWS} of uid {entry.uid}; the rest is left out"
                    notes.add(entry.path, what, hides=True)
                continue
            digest = ""
            limit = MAX_USER_HASHED if entry.uid else MAX_HASHED
            if hashed + entry.size > MAX_HASHED or hashed_of[entry.uid] + entry.size > limit:
                notes.add(entry.path, f"not hashed: over {limit} bytes of uid {entry.uid}")
            else:
                digest = _digest(host, entry.path, entry.size)
                hashed += entry.size
                hashed_of[entry.uid] += entry.size
        except PathMissing:
            continue
        except (HostError, OSError) as error:
            notes.add(entry.path, error, hides=True)
            continue
        rows += 1
        yield _row(entry, found, digest)


def _row(entry: FileStat, found: tuple[str, str, bool | None, str], digest: str) -> UnownedBinary:
    kind, machine, static, interpreter = found
    return UnownedBinary(
        path=entry.path,
        kind=kind,
        machine=machine,
        static=static,
        interpreter=interpreter,
        size=entry.size,
        mode=f"{entry.mode:04o}",
        uid=entry.uid,
        gid=entry.gid,
        privileged=bool(entry.mode & 0o6000),
        writable=bool(entry.mode & 0o002),
        modified_ns=entry.mtime_ns,
        sha256=digest,
    )


def _digest(host: Host, path: str, size: int) -> str:
    digest = hashlib.sha256()
    left = size  # a file that grows meanwhile is not followed
    with host.open(path) as stream:
        while left > 0 and (part := stream.read(min(_CHUNK, left))):
            digest.update(part)
            left -= len(part)
    return digest.hexdigest()


COLLECTOR = Collector("software.unowned_binary", UnownedBinary, collect, every_s=12 * 3600)

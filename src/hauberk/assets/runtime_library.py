"""runtime.library: files mapped as code into processes, and how many processes hold each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from hauberk.errors import HostError, PathDenied, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _proc

MAPS_LIMIT = 8 * 1024 * 1024
MAX_LIBRARIES = 50_000
MAX_PIDS = 256
_LINE = re.compile(
    rb"^[0-9a-f]+-[0-9a-f]+ ..x. [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) +(/[^\n]*)$", re.MULTILINE
)
_DELETED = b" (deleted)"


class Library(Asset, frozen=True, kw_only=True):
    """One mapped file; `path` is its own view's, so `container` belongs to the key."""

    KEY = ("path", "container")
    VOLATILE = frozenset({"processes", "pids"})

    path: Annotated[str, column("Path", "路径")]
    container: Annotated[str, column("Container", "容器", "64-hex runtime id")] = ""
    name: Annotated[str, column("Name", "名称")] = ""
    main: Annotated[bool, column("Main program", "主程序", "an executable, not a library")] = False
    deleted: Annotated[bool, column("Deleted", "文件已删除", "an older copy is still in use")] = (
        False
    )
    inode: Annotated[int, column("Inode", "索引节点", wide=True)] = 0
    processes: Annotated[int, column("Processes", "进程数")] = 0
    pids: Annotated[list[str], column("PIDs", "进程号", "at most 256", wide=True)] = msgspec.field(
        default_factory=list
    )


@dataclass(slots=True)
class _Mapped:
    inode: int
    main: bool = False
    deleted: bool = False
    pids: list[int] = field(default_factory=list)


def parse_maps(raw: bytes) -> dict[str, tuple[int, bool]]:
    """Executable file mappings: path -> (inode, deleted)."""
    found: dict[bytes, int] = {}
    for inode, path in _LINE.findall(raw):
        found.setdefault(path, int(inode[:18]))
    return {
        from_bytes(p.removesuffix(_DELETED)): (inode, p.endswith(_DELETED))
        for p, inode in found.items()
    }


def _gather(host: Host, notes: Notes) -> dict[tuple[str, str], _Mapped]:
    found: dict[tuple[str, str], _Mapped] = {}
    denied = _proc.Denied("memory maps")
    for stat in _proc.stats(host, notes):
        if stat.kernel:
            continue
        where = f"/proc/{stat.pid}/maps"
        try:
            raw = host.head(where, MAPS_LIMIT)
            exe, _ = _proc.read_exe(host, stat.pid)
            _, container = _proc.read_container(host, stat.pid)
        except PathMissing:
            continue
        except PathDenied:
            denied.add(where)
            continue
        except HostError as error:
            notes.add(where, error)
            continue
        if len(raw) >= MAPS_LIMIT:
            notes.add(where, f"larger than {MAPS_LIMIT} bytes; the rest is left out", hides=True)
        for path, (inode, deleted) in parse_maps(raw).items():
            if len(found) >= MAX_LIBRARIES and (path, container) not in found:
                notes.add(
                    where, f"more than {MAX_LIBRARIES} libraries; the rest is left out", hides=True
                )
                return found
            entry = found.setdefault((path, container), _Mapped(inode))
            entry.main |= path == exe
            entry.deleted |= deleted
            entry.pids.append(stat.pid)
    denied.note(notes)
    return found


def collect(host: Host, notes: Notes) -> Iterator[Library]:
    """Rows by path. Raises NotLive, HostError when /proc cannot be listed."""
    _proc.require_proc(host)
    for (path, container), entry in sorted(_gather(host, notes).items()):
        yield Library(
            path=path,
            container=container,
            name=path.rpartition("/")[2],
            main=entry.main,
            deleted=entry.deleted,
            inode=entry.inode,
            processes=len(entry.pids),
            pids=[str(p) for p in entry.pids[:MAX_PIDS]],
        )


COLLECTOR = Collector("runtime.library", Library, collect, every_s=3600)

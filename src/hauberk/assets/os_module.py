"""Kernel modules: loaded ones, and drivers built into the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from ._platform import live_text, text_of, text_or

_TAINTS = {"P": "proprietary", "O": "out-of-tree", "F": "forced", "C": "staging", "E": "unsigned"}


class KernelModule(Asset, frozen=True, kw_only=True):
    """A module in the running kernel."""

    KEY = ("name",)
    VOLATILE = frozenset({"references", "used_by"})

    name: Annotated[str, column("Module", "模块")]
    version: Annotated[str, column("Version", "版本")] = ""
    size_bytes: Annotated[int | None, column("Size", "大小", "bytes in memory")] = None
    state: Annotated[str, column("State", "状态")] = ""
    path: Annotated[str, column("File", "文件")] = ""
    taints: Annotated[
        list[str], column("Taints", "污染标记", "proprietary, out-of-tree, unsigned ...")
    ] = []
    references: Annotated[int | None, column("References", "引用数", wide=True)] = None
    used_by: Annotated[list[str], column("Used by", "被使用", wide=True)] = []
    source_version: Annotated[str, column("Source version", "源码版本", wide=True)] = ""


def collect(host: Host, notes: Notes) -> Iterator[KernelModule]:
    """One row per line of /proc/modules, then the built-in ones that /sys/module shows."""
    release = live_text(host, "/proc/sys/kernel/osrelease").strip()
    # A kernel without module support has no /proc/modules.
    text = text_of(host, "/proc/modules", 1 << 22)
    files = _files(host, notes, release) if text else {}
    loaded: set[str] = set()
    for number, line in enumerate(text.splitlines()[:20_000], 1):
        row = parse_line(line)
        if row is None:
            notes.add(f"/proc/modules:{number}", "not a line of the known form")
            continue
        loaded.add(row.name)
        top = f"/sys/module/{row.name}"
        letters = text_or(host, f"{top}/taint")
        yield KernelModule(
            name=row.name,
            version=text_or(host, f"{top}/version"),
            size_bytes=row.size_bytes,
            state=row.state,
            path=files.get(row.name, ""),
            taints=[_TAINTS.get(c, c) for c in letters] or row.taints,
            references=row.references,
            used_by=row.used_by,
            source_version=text_or(host, f"{top}/srcversion"),
        )
    yield from _built_in(host, notes, loaded)


def _built_in(host: Host, notes: Notes, loaded: set[str]) -> Iterator[KernelModule]:
    try:
        names = host.listdir("/sys/module")
    except PathMissing:
        return
    except HostError as error:
        notes.add("/sys/module", error)
        return
    for name in names[:5000]:
        if name not in loaded:
            version = text_or(host, f"/sys/module/{name}/version")
            yield KernelModule(name=name, version=version, state="built-in")


def parse_line(line: str) -> KernelModule | None:
    """One line of /proc/modules: name size references users state address [(taints)]."""
    fields = line.split()
    if len(fields) < 5 or not fields[1].isdecimal() or len(fields[1]) > 15:
        return None
    references = fields[2]
    taints = fields[6].strip("()") if len(fields) > 6 else ""
    return KernelModule(
        name=fields[0],
        size_bytes=int(fields[1]),
        # "-" when the kernel cannot unload modules.
        references=int(references) if references.isdecimal() and len(references) < 10 else None,
        used_by=sorted(u for u in fields[3].split(",") if u and u != "-"),
        state=fields[4].lower(),
        taints=[_TAINTS.get(c, c) for c in taints if c not in "+-"],
    )


def _files(host: Host, notes: Notes, release: str) -> dict[str, str]:
    """Module name -> file, from the running kernel's modules.dep."""
    top = f"/lib/modules/{release}"
    found: dict[str, str] = {}
    try:
        text = from_bytes(host.read(f"{top}/modules.dep"))
    except PathMissing:
        return found
    except HostError as error:
        notes.add(f"{top}/modules.dep", error)
        return found
    for line in text.splitlines():
        path = line.partition(":")[0]
        name = path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")
        found[name] = path if path.startswith("/") else f"{top}/{path}"
    return found


COLLECTOR = Collector("os.module", KernelModule, collect, 1800)

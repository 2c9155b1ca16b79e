"""The relation graph of one workload: process, socket, package, file, container, image.

Edges, each from its source to its destination::

    process     parent_of  process          by pid, within one boot
    process     runs_on    container        by the runtime id in its cgroup
    process     listens    listening_port   by owner pid and start time
    process     connects   connection       by owner pid and start time
    process     loads      library          by the process ids of the mapping
    process     loads      java_archive     by a path in its command line
    os_package  owns       process          its executable is the package's file
    os_package  owns       library, language_package, java_archive
    service     owns       process          by the unit in its cgroup
    container   built_from image            by image id, else by name
    container   exposes    listening_port   a published port, or one inside of it
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from hauberk.schema.asset import Asset, Relation, RelationKind

PROCESS, PORT, CONNECTION = "runtime.process", "network.listening_port", "network.connection"
LIBRARY, PACKAGE = "runtime.library", "software.os_package"
LANGUAGE, JAVA = "software.language_package", "software.java_archive"
CONTAINER, IMAGE, SERVICE = "container.container", "container.image", "persistence.service"

Snapshot = Mapping[str, Sequence[Asset]]
T = TypeVar("T")

_PUBLISHED = re.compile(
    r"(?:\[?(?P<ip>[0-9a-fA-F.:]*)\]?:)?(?P<port>\d{1,5})->\d+(?:/(?P<proto>\w+))?"
)
_UNIT = re.compile(r"([^/]+\.service)(?:/|$)")


def field_of(row: Asset, name: str, default: T) -> T:
    """The field of a row of any subclass; `default` when it has none of that name and type."""
    value = getattr(row, name, default)
    return value if isinstance(value, type(default)) else default


class _Edges:
    """Gathers edges; an edge told twice counts once."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str, str, str], Relation] = {}

    def add(
        self,
        kind: RelationKind,
        src: tuple[str, str],
        dst: tuple[str, str],
        evidence: str = "",
    ) -> None:
        self.found.setdefault(
            (kind, *src, *dst),
            Relation(
                kind=kind,
                src_subclass=src[0],
                src_key=src[1],
                dst_subclass=dst[0],
                dst_key=dst[1],
                evidence=evidence,
            ),
        )


def paths(snapshot: Snapshot) -> list[str]:
    """Files whose owning package `relations` wants to know; ask `ownership.owners` for them.

    Files of containers are left out: their paths are of another root.
    """
    wanted: dict[str, None] = {}
    for row in snapshot.get(PROCESS, ()):
        if not field_of(row, "container", ""):
            wanted[field_of(row, "exe", "")] = None
    for row in snapshot.get(LIBRARY, ()):
        if not field_of(row, "container", ""):
            wanted[field_of(row, "path", "")] = None
    wanted.pop("", None)
    return list(wanted)


def relations(snapshot: Snapshot, owners: Mapping[str, str]) -> list[Relation]:
    """All edges between the rows of `snapshot`.

    Args:
        snapshot: subclass -> rows, of one moment; subclasses may be missing.
        owners: path -> key of the owning `software.os_package` row.

    Returns:
        Edges between rows that both are in the snapshot, sorted, each once.
    """
    edges = _Edges()
    processes = snapshot.get(PROCESS, ())
    _parents(edges, processes)
    _sockets(edges, snapshot)
    _packages(edges, snapshot, owners)
    _libraries(edges, snapshot)
    _archives(edges, snapshot)
    _services(edges, snapshot)
    _containers(edges, snapshot)
    return [edges.found[key] for key in sorted(edges.found)]


def _parents(edges: _Edges, processes: Sequence[Asset]) -> None:
    by_pid = {field_of(row, "pid", 0): row for row in processes}
    for row in processes:
        parent = by_pid.get(field_of(row, "ppid", 0))
        # A parent is older than its child; a later process of its number is another one.
        if parent is not None and field_of(parent, "start_ns", 0) <= field_of(row, "start_ns", 0):
            edges.add("parent_of", (PROCESS, parent.key()), (PROCESS, row.key()))


def _identity(row: Asset) -> tuple[int, int]:
    return field_of(row, "pid", 0), field_of(row, "start_ns", 0)


def _sockets(edges: _Edges, snapshot: Snapshot) -> None:
    processes = {_identity(row): row.key() for row in snapshot.get(PROCESS, ())}
    kinds: tuple[tuple[str, RelationKind], ...] = ((PORT, "listens"), (CONNECTION, "connects"))
    for subclass, kind in kinds:
        for row in snapshot.get(subclass, ()):
            if owner := processes.get(_identity(row)):
                edges.add(kind, (PROCESS, owner), (subclass, row.key()))


def _packages(edges: _Edges, snapshot: Snapshot, owners: Mapping[str, str]) -> None:
    known = {row.key() for row in snapshot.get(PACKAGE, ())}
    sources = ((PROCESS, "exe"), (LIBRARY, "path"))
    for subclass, field in sources:
        for row in snapshot.get(subclass, ()):
            path = field_of(row, field, "")
            owner = "" if field_of(row, "container", "") else owners.get(path, "")
            if owner in known:
                edges.add("owns", (PACKAGE, owner), (subclass, row.key()), path)
    for subclass in (LANGUAGE, JAVA):
        for row in snapshot.get(subclass, ()):
            owner = field_of(row, "owner", "")
            if owner in known:
                edges.add(
                    "owns", (PACKAGE, owner), (subclass, row.key()), field_of(row, "path", "")
                )


def _libraries(edges: _Edges, snapshot: Snapshot) -> None:
    by_pid = {str(field_of(row, "pid", 0)): row.key() for row in snapshot.get(PROCESS, ())}
    archives = {field_of(row, "path", ""): row.key() for row in snapshot.get(JAVA, ())}
    for row in snapshot.get(LIBRARY, ()):
        path = field_of(row, "path", "")
        archive = "" if field_of(row, "container", "") else archives.get(path, "")
        for pid in field_of(row, "pids", list[str]()):
            if process := by_pid.get(pid):
                edges.add("loads", (PROCESS, process), (LIBRARY, row.key()))
                if archive:
                    edges.add("loads", (PROCESS, process), (JAVA, archive), "mapped")


def _archives(edges: _Edges, snapshot: Snapshot) -> None:
    """A JVM's class path and `-jar`; archives inside of a loaded one are loaded with it."""
    on_disk: defaultdict[str, list[str]] = defaultdict(list)
    for row in snapshot.get(JAVA, ()):
        on_disk[field_of(row, "file", "") or field_of(row, "path", "")].append(row.key())
    if not on_disk:
        return
    for row in snapshot.get(PROCESS, ()):
        if field_of(row, "container", ""):
            continue
        for path in _class_path(field_of(row, "argv", list[str]())):
            for archive in on_disk.get(path, ()):
                edges.add("loads", (PROCESS, row.key()), (JAVA, archive), "command line")


def _class_path(argv: Iterable[str]) -> Iterator[str]:
    for argument in argv:
        for part in argument.split(":"):
            start = part.find("/")
            if start >= 0 and part.endswith((".jar", ".war", ".ear")):
                yield part[start:]


def _services(edges: _Edges, snapshot: Snapshot) -> None:
    units = {
        field_of(row, "name", ""): row.key()
        for row in snapshot.get(SERVICE, ())
        if field_of(row, "scope", "") == "system"
    }
    for row in snapshot.get(PROCESS, ()):
        cgroup = field_of(row, "cgroup", "")
        for unit in reversed(_UNIT.findall(cgroup)):
            if service := units.get(unit):
                edges.add("owns", (SERVICE, service), (PROCESS, row.key()), cgroup)
                break


def _containers(edges: _Edges, snapshot: Snapshot) -> None:
    containers = {field_of(row, "id", ""): row for row in snapshot.get(CONTAINER, ())}
    containers.pop("", None)
    for row in snapshot.get(PROCESS, ()):
        container = containers.get(field_of(row, "container", ""))
        if container is not None:
            edges.add("runs_on", (PROCESS, row.key()), (CONTAINER, container.key()))
    _images(edges, containers.values(), snapshot.get(IMAGE, ()))
    _exposed(edges, containers, snapshot.get(PORT, ()))


def _images(edges: _Edges, containers: Iterable[Asset], images: Sequence[Asset]) -> None:
    by_id = {field_of(row, "id", ""): row for row in images}
    by_name = {
        name: row
        for row in images
        for name in (*field_of(row, "tags", list[str]()), *field_of(row, "digests", list[str]()))
    }
    for row in containers:
        image_id, name = field_of(row, "image_id", ""), field_of(row, "image", "")
        image = by_id.get(image_id) if image_id else None
        evidence = image_id
        if image is None and name:
            image, evidence = by_name.get(name) or by_name.get(f"{name}:latest"), name
        if image is not None:
            edges.add("built_from", (CONTAINER, row.key()), (IMAGE, image.key()), evidence)


def _exposed(edges: _Edges, containers: Mapping[str, Asset], ports: Sequence[Asset]) -> None:
    by_port: defaultdict[tuple[str, int], list[Asset]] = defaultdict(list)
    for port in ports:
        inside = containers.get(field_of(port, "container", ""))
        if inside is not None:
            edges.add("exposes", (CONTAINER, inside.key()), (PORT, port.key()), "inside")
        else:
            by_port[field_of(port, "protocol", ""), field_of(port, "port", 0)].append(port)
    for row in containers.values():
        for text in field_of(row, "ports", list[str]()):
            match = _PUBLISHED.match(text)
            if match is None:
                continue
            for port in by_port.get((match["proto"] or "tcp", int(match["port"])), ()):
                if match["ip"] in (None, "", "0.0.0.0", "::", field_of(port, "address", "")):  # noqa: S104
                    edges.add("exposes", (CONTAINER, row.key()), (PORT, port.key()), text)

"""Containers, as their runtimes tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, NotLive
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _proc

_SILENT = (("/run/crio/crio.sock", "CRI-O"), ("/var/run/cri-dockerd.sock", "cri-dockerd"))


class Container(Asset, frozen=True, kw_only=True):
    """A container, running or not. Its id is what processes carry in their cgroup."""

    KEY = ("id",)

    id: Annotated[str, column("Container id", "容器 ID")]
    name: Annotated[str, column("Name", "名称")]
    runtime: Annotated[str, column("Runtime", "运行时")]
    image: Annotated[str, column("Image", "镜像")] = ""
    image_id: Annotated[str, column("Image id", "镜像 ID", wide=True)] = ""
    state: Annotated[str, column("State", "状态")] = ""
    pid: Annotated[int | None, column("Process", "主进程", "pid of its first process")] = None
    privileged: Annotated[bool | None, column("Privileged", "特权")] = None
    network_mode: Annotated[str, column("Network", "网络模式")] = ""
    ports: Annotated[list[str], column("Published ports", "映射端口")] = []
    mounts: Annotated[list[str], column("Mounts", "挂载", "source:target:mode", wide=True)] = []
    command: Annotated[str, column("Command", "命令", wide=True)] = ""
    labels: Annotated[list[str], column("Labels", "标签", wide=True)] = []
    created_ns: Annotated[int | None, column("Created", "创建时间", "ns since 1970")] = None


def collect(host: Host, notes: Notes) -> Iterator[Container]:
    """One row per container of every runtime; docker and its containerd name each one once."""
    runtimes = host.runtimes()
    if not runtimes and host.kind != "live":
        raise NotLive(f"{host.name}: not a running machine, no container runtime to ask")
    note_silent(host, notes)
    seen: set[str] = set()
    for runtime in runtimes:
        try:
            listed = runtime.containers()
        except HostError as error:
            # Silent for a while, as while it restarts: its containers are not gone.
            notes.add(runtime.socket, error, hides=True)
            continue
        for found in listed:
            if found.id in seen:
                continue
            seen.add(found.id)
            yield Container(
                id=found.id,
                name=found.name,
                runtime=found.runtime,
                image=found.image,
                image_id=found.image_id,
                state=found.state,
                pid=found.pid or None,
                privileged=found.privileged,
                network_mode=found.network_mode,
                ports=list(found.ports),
                mounts=list(found.mounts),
                command=found.command[:4096],
                labels=[f"{name}={value}"[:512] for name, value in sorted(found.labels.items())],
                created_ns=found.created_ns or None,
            )
    note_unnamed(host, notes, seen)


def note_unnamed(host: Host, notes: Notes, named: set[str]) -> None:
    """Containers that run, by the cgroups of processes, and that no runtime told of."""
    if not _proc.is_live(host):
        return
    unnamed: dict[str, int] = {}
    try:
        for pid in _proc.pids(host):
            try:
                cgroup, id_ = _proc.read_container(host, pid)
            except HostError as error:
                notes.add(f"/proc/{pid}/cgroup", error)
                continue
            if id_ and id_ not in named:
                unnamed.setdefault(f"{id_[:12]} ({cgroup})", pid)
    except HostError as error:
        notes.add("/proc", error)
    if unnamed:
        first, pid = next(iter(unnamed.items()))
        notes.add(
            f"/proc/{pid}/cgroup",
            f"{len(unnamed)} running containers that no runtime here could be asked about, "
            f"such as {first}; name their runtime's socket in HAUBERK_CONTAINER_SOCKETS",
            hides=True,
        )


def note_silent(host: Host, notes: Notes) -> None:
    """Runtimes that are there and cannot be asked are said, not left out."""
    for path, name in _SILENT:
        try:
            there = host.exists(path)
        except HostError:
            there = True
        if there:
            notes.add(path, f"{name} speaks only gRPC here: its containers are not listed")


COLLECTOR = Collector("container.container", Container, collect, 60)

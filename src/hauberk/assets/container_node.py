"""What makes this machine a container node: runtimes, and the kubelet with its cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import yaml

from hauberk.errors import HostError, NotLive, PathMissing
from hauberk.ports import Collector, ContainerRuntime, Host, Notes
from hauberk.schema.asset import Asset, column

from .container_container import note_silent

_KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
_KUBELET_ACCESS = ("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/kubeconfig")
_LIMIT = 1 << 20


class ContainerNode(Asset, frozen=True, kw_only=True):
    """A container runtime or the kubelet of this machine."""

    KEY = ("kind", "name", "socket")
    VOLATILE = frozenset({"containers", "running", "images"})

    kind: Annotated[str, column("Kind", "类型", "runtime or kubelet")]
    name: Annotated[str, column("Name", "名称")]
    version: Annotated[str, column("Version", "版本")] = ""
    socket: Annotated[str, column("Socket or file", "套接字或文件")] = ""
    storage: Annotated[str, column("Storage driver", "存储驱动")] = ""
    cluster: Annotated[str, column("Cluster", "集群", "API server of the kubelet")] = ""
    anonymous: Annotated[
        bool | None, column("Anonymous access", "匿名访问", "kubelet API without a credential")
    ] = None
    authorization: Annotated[str, column("Authorisation", "授权模式", wide=True)] = ""
    read_only_port: Annotated[int | None, column("Read-only port", "只读端口", wide=True)] = None
    containers: Annotated[int | None, column("Containers", "容器数")] = None
    running: Annotated[int | None, column("Running", "运行中")] = None
    images: Annotated[int | None, column("Images", "镜像数")] = None


def collect(host: Host, notes: Notes) -> Iterator[ContainerNode]:
    """One row per runtime socket, one for the kubelet."""
    found = False
    if host.kind == "live":
        note_silent(host, notes)
    for runtime in host.runtimes():
        found = True
        yield _runtime(runtime, notes)
    kubelet = _kubelet(host, notes)
    if kubelet is not None:
        found = True
        yield kubelet
    if not found and host.kind != "live":
        raise NotLive(f"{host.name}: not a running machine, and no kubelet configured")


def _runtime(runtime: ContainerRuntime, notes: Notes) -> ContainerNode:
    version = storage = ""
    containers = running = images = None
    try:
        version = runtime.version()
    except HostError as error:
        notes.add(runtime.socket, error)
    try:
        storage = runtime.storage()
    except HostError as error:
        notes.add(runtime.socket, error)
    try:
        listed = runtime.containers()
        containers, running = len(listed), sum(1 for c in listed if c.state == "running")
    except HostError as error:
        notes.add(runtime.socket, error)
    try:
        images = len(runtime.images())
    except HostError as error:
        notes.add(runtime.socket, error)
    return ContainerNode(
        kind="runtime",
        name=runtime.name,
        version=version,
        socket=runtime.socket,
        storage=storage,
        containers=containers,
        running=running,
        images=images,
    )


def _kubelet(host: Host, notes: Notes) -> ContainerNode | None:
    config = _yaml(host, notes, _KUBELET_CONFIG)
    access = source = None
    for path in _KUBELET_ACCESS:
        access = _yaml(host, notes, path)
        if access is not None:
            source = path
            break
    if config is None and access is None:
        return None
    config = config or {}
    anonymous = _at(config, "authentication", "anonymous", "enabled")
    port = config.get("readOnlyPort")
    mode = _at(config, "authorization", "mode")
    clusters = (access or {}).get("clusters")
    first = clusters[0] if isinstance(clusters, list) and clusters else {}
    server = _at(first, "cluster", "server") if isinstance(first, dict) else None
    return ContainerNode(
        kind="kubelet",
        name="kubelet",
        socket=_KUBELET_CONFIG if config else source or "",
        cluster=server if isinstance(server, str) else "",
        anonymous=anonymous if isinstance(anonymous, bool) else None,
        authorization=mode if isinstance(mode, str) else "",
        read_only_port=port if isinstance(port, int) and 0 <= port < 65536 else None,
    )


def _at(tree: Any, *path: str) -> object:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _yaml(host: Host, notes: Notes, path: str) -> dict[str, Any] | None:
    try:
        data = host.read(path, limit=_LIMIT)
    except PathMissing:
        return None
    except HostError as error:
        notes.add(path, error)
        return None
    if b"<<" in data:
        # Merge keys multiply: a small hostile file could fill the memory. Kubelets write none.
        notes.add(path, "YAML merge keys are not accepted here")
        return None
    try:
        loaded = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        notes.add(path, f"not YAML: {type(error).__name__}")
        return None
    if not isinstance(loaded, dict):
        notes.add(path, "not a mapping at the top")
        return None
    return loaded


COLLECTOR = Collector("container.node", ContainerNode, collect, 900)

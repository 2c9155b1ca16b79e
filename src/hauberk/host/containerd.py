"""containerd by the runtime state that it keeps on disk; its socket speaks gRPC only."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Sequence
from typing import Any

import msgspec

from hauberk.errors import HostError, PathMissing
from hauberk.ports import ContainerInfo, Host, ImageInfo
from hauberk.schema.text import from_bytes

TASKS = "io.containerd.runtime.v2.task"
CONFIG = "/etc/containerd/config.toml"
_CRI = "io.kubernetes.cri."
MAX_CONTAINERS = 4000


class _Capabilities(msgspec.Struct):
    bounding: list[str] | None = None


class _Process(msgspec.Struct):
    args: list[str] | None = None
    capabilities: _Capabilities | None = None


class _Namespace(msgspec.Struct):
    type: str = ""
    path: str = ""


class _Linux(msgspec.Struct, rename="camel"):
    namespaces: list[_Namespace] | None = None
    masked_paths: list[str] | None = None


class _Mount(msgspec.Struct):
    destination: str = ""
    source: str = ""
    type: str = ""
    options: list[str] | None = None


class _Spec(msgspec.Struct):
    """The parts of an OCI runtime config.json that we show."""

    process: _Process = msgspec.field(default_factory=_Process)
    annotations: dict[str, str] | None = None
    mounts: list[_Mount] | None = None
    linux: _Linux = msgspec.field(default_factory=_Linux)


class Containerd:
    """The state folder beside `socket`, read through `host`."""

    name = "containerd"

    def __init__(self, socket: str, host: Host) -> None:
        self.socket = socket
        self._host = host
        self._state = socket.rpartition("/")[0]

    def version(self) -> str:
        """Raises HostError: only its gRPC API tells."""
        raise HostError(f"{self.socket}: containerd tells its version over gRPC only")

    def storage(self) -> str:
        """The CRI plugin's snapshotter; overlayfs is containerd's default."""
        plugins: Any = self._config().get("plugins", {})
        for plugin in plugins.values() if isinstance(plugins, dict) else ():
            inner = plugin.get("containerd") if isinstance(plugin, dict) else None
            if isinstance(inner, dict) and isinstance(inner.get("snapshotter"), str):
                return str(inner["snapshotter"])
        return "overlayfs"

    def containers(self) -> Sequence[ContainerInfo]:
        """Containers that have a task (running or just ended), of every namespace."""
        found: list[ContainerInfo] = []
        top = f"{self._state}/{TASKS}"
        if not self._host.exists(top):
            return found
        for space in self._host.listdir(top):
            for id_ in self._host.listdir(f"{top}/{space}"):
                if len(found) >= MAX_CONTAINERS:
                    raise HostError(f"{top}: more than {MAX_CONTAINERS} containers")
                try:
                    found.append(self._container(f"{top}/{space}/{id_}", space, id_))
                except PathMissing:
                    # Ended since it was listed.
                    continue
        return found

    def _container(self, folder: str, space: str, id_: str) -> ContainerInfo:
        path = f"{folder}/config.json"
        try:
            spec = msgspec.json.decode(self._host.read(path), type=_Spec)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HostError(f"{path}: not an OCI runtime config: {error}") from error
        notes = spec.annotations or {}
        pid = self._pid(f"{folder}/init.pid")
        name = notes.get(f"{_CRI}container-name") or notes.get("nerdctl/name") or id_
        if notes.get(f"{_CRI}container-type") == "sandbox":
            name = "pause"
        pod = notes.get(f"{_CRI}sandbox-name")
        if pod:
            name = f"{notes.get(f'{_CRI}sandbox-namespace', space)}/{pod}/{name}"
        return ContainerInfo(
            id=id_,
            name=name,
            runtime=self.name,
            image=notes.get(f"{_CRI}image-name", ""),
            state="running" if pid and self._host.exists(f"/proc/{pid}") else "exited",
            pid=pid,
            created_ns=self._host.stat(path).mtime_ns,
            command=" ".join(spec.process.args or []),
            labels={"containerd.namespace": space, **dict(sorted(notes.items()))},
            mounts=sorted(
                f"{m.source}:{m.destination}:{'ro' if 'ro' in (m.options or []) else 'rw'}"
                for m in spec.mounts or []
                if m.type == "bind"
            ),
            privileged=_privileged(spec),
            network_mode=_network(spec),
        )

    def _pid(self, path: str) -> int:
        try:
            text = from_bytes(self._host.head(path, 32)).strip()
        except PathMissing:
            return 0
        return int(text) if text.isdecimal() and text.isascii() else 0

    def images(self) -> Sequence[ImageInfo]:
        """Raises HostError: only its gRPC API tells."""
        raise HostError(f"{self.socket}: containerd lists its images over gRPC only")

    def registries(self) -> Sequence[str]:
        """Hosts in certs.d and mirrors of the CRI plugin's configuration."""
        config = self._config()
        cri: Any = config.get("plugins", {})
        found: set[str] = set()
        folder = "/etc/containerd/certs.d"
        for plugin in cri.values() if isinstance(cri, dict) else ():
            registry = plugin.get("registry") if isinstance(plugin, dict) else None
            if not isinstance(registry, dict):
                continue
            folder = str(registry.get("config_path") or folder).split(":")[0]
            mirrors = registry.get("mirrors")
            for name, mirror in mirrors.items() if isinstance(mirrors, dict) else ():
                found.add(str(name))
                ends = mirror.get("endpoint") if isinstance(mirror, dict) else None
                if isinstance(ends, list):
                    found.update(str(e) for e in ends if e)
        with contextlib.suppress(PathMissing):
            found.update(n for n in self._host.listdir(folder) if n != "_default")
        return sorted(found)

    def _config(self) -> dict[str, Any]:
        try:
            return tomllib.loads(from_bytes(self._host.read(CONFIG, limit=1 << 20)))
        except PathMissing:
            return {}
        except tomllib.TOMLDecodeError as error:
            raise HostError(f"{CONFIG}: not TOML: {error}") from error


def _privileged(spec: _Spec) -> bool:
    caps = spec.process.capabilities
    powerful = "CAP_SYS_ADMIN" in ((caps.bounding if caps else None) or [])
    return powerful and not spec.linux.masked_paths


def _network(spec: _Spec) -> str:
    for space in spec.linux.namespaces or []:
        if space.type == "network":
            return f"ns:{space.path}" if space.path else "private"
    return "host"

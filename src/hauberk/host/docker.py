"""Docker and Podman over the Docker Engine API on their Unix socket."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from hauberk.errors import HostError, PathDenied, PathMissing
from hauberk.ports import ContainerInfo, ImageInfo

TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 30.0
BODY_LIMIT = 64 * 1024 * 1024
MAX_INSPECTED = 2000
_MAX = 2**63 - 1
_ID = re.compile(r"[0-9a-f]{12,64}")
T = TypeVar("T")


class _Body(msgspec.Struct, rename="pascal"):
    """Base: the API writes its keys in PascalCase."""


class _Version(_Body):
    version: str = ""


class _Port(_Body):
    private_port: int = 0
    public_port: int = 0
    type: str = ""
    ip: str = msgspec.field(default="", name="IP")


class _Mount(_Body):
    source: str = ""
    destination: str = ""
    name: str = ""
    rw: bool = msgspec.field(default=True, name="RW")


class _HostConfig(_Body):
    network_mode: str = ""
    privileged: bool | None = None


class _Listed(_Body):
    id: str
    names: list[str] | None = None
    image: str = ""
    image_id: str = msgspec.field(default="", name="ImageID")
    # Docker sends one string, Podman a list.
    command: str | list[str] | None = ""
    created: int | str = 0
    ports: list[_Port] | None = None
    labels: dict[str, str] | None = None
    state: str = ""
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)
    mounts: list[_Mount | str] | None = None


class _State(_Body):
    pid: int = 0


class _Inspected(_Body):
    state: _State = msgspec.field(default_factory=_State)
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)


class _Image(_Body):
    id: str
    repo_tags: list[str] | None = None
    repo_digests: list[str] | None = None
    size: int = 0
    created: int | str = 0


class _Index(_Body):
    name: str = ""
    mirrors: list[str] | None = None
    secure: bool = True


class _RegistryConfig(_Body):
    index_configs: dict[str, _Index] | None = None
    mirrors: list[str] | None = None


class _Info(_Body):
    registry_config: _RegistryConfig | None = None
    index_server_address: str = ""
    driver: str = ""


class _Search(msgspec.Struct):
    search: list[str] | None = None


class _LibpodInfo(msgspec.Struct):
    registries: dict[str, Any] = {}


class DockerApi:
    """One socket that speaks the Docker Engine API. Every call opens its own connection."""

    def __init__(self, path: str, name: str = "docker") -> None:
        self.socket = path
        self.name = name

    def version(self) -> str:
        """Version of the engine."""
        return self._get("/version", _Version).version

    def storage(self) -> str:
        """Name of the storage driver, such as overlay2."""
        return self._get("/info", _Info).driver

    def containers(self) -> Sequence[ContainerInfo]:
        """All containers, also stopped ones; pid and privileged come from inspecting each."""
        listed = self._get("/containers/json?all=1", list[_Listed])
        return [self._container(c, inspect=n < MAX_INSPECTED) for n, c in enumerate(listed)]

    def _container(self, listed: _Listed, *, inspect: bool) -> ContainerInfo:
        more = _Inspected()
        if inspect and _ID.fullmatch(listed.id):
            try:
                more = self._get(f"/containers/{listed.id}/json", _Inspected)
            except PathMissing:
                # Removed since it was listed: what the list said still holds for that moment.
                more = _Inspected()
        command = listed.command or ""
        return ContainerInfo(
            id=listed.id,
            name=(listed.names or [""])[0].lstrip("/") or listed.id[:12],
            runtime=self.name,
            image=listed.image,
            image_id=_image_id(listed.image_id),
            state=listed.state,
            pid=more.state.pid,
            created_ns=_seconds(listed.created),
            command=command if isinstance(command, str) else " ".join(command),
            labels=dict(sorted((listed.labels or {}).items())),
            ports=sorted({_port(p) for p in listed.ports or []}),
            mounts=sorted(_mount(m) for m in listed.mounts or []),
            privileged=more.host_config.privileged,
            network_mode=listed.host_config.network_mode or more.host_config.network_mode,
        )

    def images(self) -> Sequence[ImageInfo]:
        """All local images that are not just build layers."""
        return [
            ImageInfo(
                id=_image_id(image.id),
                runtime=self.name,
                tags=sorted(t for t in image.repo_tags or [] if t != "<none>:<none>"),
                digests=sorted(d for d in image.repo_digests or [] if d != "<none>@<none>"),
                size=min(max(image.size, 0), _MAX),
                created_ns=_seconds(image.created),
            )
            for image in self._get("/images/json", list[_Image])
        ]

    def registries(self) -> Sequence[str]:
        """Configured registries and mirrors; plain-HTTP ones end in " (insecure)"."""
        if self.name == "podman":
            search = self._get("/v4.0.0/libpod/info", _LibpodInfo).registries.get("search") or []
            return sorted(str(entry) for entry in search)
        info = self._get("/info", _Info)
        found: set[str] = set()
        config = info.registry_config or _RegistryConfig()
        for index in (config.index_configs or {}).values():
            found.add(index.name if index.secure else f"{index.name} (insecure)")
            found.update(index.mirrors or [])
        found.update(config.mirrors or [])
        return sorted(entry for entry in found if entry)

    def _get(self, path: str, kind: type[T]) -> T:
        body = self._fetch(path)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HostError(
                f"{self.socket}{path}: not the Docker API: {error}; take the socket out of "
                "HAUBERK_CONTAINER_SOCKETS if it is another service"
            ) from error

    def _fetch(self, path: str) -> bytes:
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", path, headers={"Host": "runtime"})
            reply = connection.getresponse()
            if reply.status == HTTPStatus.NOT_FOUND:
                raise PathMissing(f"{self.socket}{path}: not found")
            if reply.status != HTTPStatus.OK:
                raise HostError(f"{self.socket}{path}: HTTP {reply.status}")
            return self._body(reply, path)
        except PermissionError as error:
            raise PathDenied(f"{self.socket}: permission denied; run as root") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise HostError(f"{self.socket}: {self.name} does not answer: {reason}") from error
        finally:
            connection.close()

    def _body(self, reply: http.client.HTTPResponse, path: str) -> bytes:
        until = time.monotonic() + BODY_TIMEOUT_S
        body = bytearray()
        while part := reply.read1(1 << 16):
            body += part
            if len(body) > BODY_LIMIT:
                raise HostError(f"{self.socket}{path}: answer over {BODY_LIMIT} bytes")
            if time.monotonic() > until:
                raise HostError(f"{self.socket}{path}: answer took over {BODY_TIMEOUT_S:.0f} s")
        return bytes(body)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: no client library, for the agent is to stay small."""

    def __init__(self, path: str) -> None:
        super().__init__("runtime", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(TIMEOUT_S)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        self.sock = made


def _image_id(text: str) -> str:
    return text.removeprefix("sha256:")


def _seconds(value: int | str) -> int:
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 12 else 0
    return min(max(value, 0) * 1_000_000_000, _MAX)


def _port(port: _Port) -> str:
    inner = f"{port.private_port}/{port.type}"
    if not port.public_port:
        return inner
    outer = f"[{port.ip}]" if ":" in port.ip else port.ip or "0.0.0.0"  # noqa: S104 - shown only
    return f"{outer}:{port.public_port}->{inner}"


def _mount(mount: _Mount | str) -> str:
    if isinstance(mount, str):
        return mount
    return f"{mount.source or mount.name}:{mount.destination}:{'rw' if mount.rw else 'ro'}"

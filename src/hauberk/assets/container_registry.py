"""Image registries that this machine is configured with, and whether it trusts them blindly."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _accounts, _config

_LIMIT = 1 << 20
_INSECURE = " (insecure)"


class ContainerRegistry(Asset, frozen=True, kw_only=True):
    """A registry in one role. `kind`: configured, mirror, search, insecure, blocked, login."""

    KEY = ("name", "kind", "source")

    name: Annotated[str, column("Registry", "镜像仓库")]
    kind: Annotated[
        str, column("Kind", "类型", "configured, mirror, search, insecure, blocked, login")
    ]
    insecure: Annotated[
        bool, column("Insecure", "不安全", "plain HTTP or unchecked certificate")
    ] = False
    runtime: Annotated[str, column("Runtime", "运行时")] = ""
    source: Annotated[str, column("Source", "来源", "file or socket")] = ""


def collect(host: Host, notes: Notes) -> Iterator[ContainerRegistry]:
    """What runtimes answer, then the files of Docker and Podman, then stored log-ins."""
    return _accounts.unique(
        # A mirror's URL may carry a log-in.
        msgspec.structs.replace(row, name=_config.without_password(row.name))
        for row in _collect(host, notes)
    )


def _collect(host: Host, notes: Notes) -> Iterator[ContainerRegistry]:
    for runtime in host.runtimes():
        try:
            names = runtime.registries()
        except HostError as error:
            notes.add(runtime.socket, error)
            continue
        for name in names:
            yield ContainerRegistry(
                name=name.removesuffix(_INSECURE),
                kind="configured",
                insecure=name.endswith(_INSECURE) or name.startswith("http://"),
                runtime=runtime.name,
                source=runtime.socket,
            )
    yield from _docker(host, notes)
    yield from _containers(host, notes)
    try:
        people = _accounts.accounts(host, notes)
    except HostError as error:
        notes.add("/etc/passwd", error)
        people = []
    for home, _ in _accounts.homes(people):
        for name in (".docker/config.json", ".config/containers/auth.json"):
            yield from _logins(host, notes, f"{home}/{name}")


def _read(host: Host, notes: Notes, path: str, *, toml: bool = False) -> dict[str, Any]:
    try:
        data = host.read(path, limit=_LIMIT)
        loaded = tomllib.loads(from_bytes(data)) if toml else msgspec.json.decode(data)
    except PathMissing:
        return {}
    except HostError as error:
        notes.add(path, error)
        return {}
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        notes.add(path, f"cannot be parsed: {error}")
        return {}
    if not isinstance(loaded, dict):
        notes.add(path, "not an object at the top")
        return {}
    return loaded


def _texts(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str) and v] if isinstance(value, list) else []


def _docker(host: Host, notes: Notes) -> Iterator[ContainerRegistry]:
    path = "/etc/docker/daemon.json"
    config = _read(host, notes, path)
    for name in _texts(config.get("registry-mirrors")):
        yield ContainerRegistry(
            name=name,
            kind="mirror",
            insecure=name.startswith("http://"),
            runtime="docker",
            source=path,
        )
    for name in _texts(config.get("insecure-registries")):
        yield ContainerRegistry(
            name=name, kind="insecure", insecure=True, runtime="docker", source=path
        )


def _containers(host: Host, notes: Notes) -> Iterator[ContainerRegistry]:
    """registries.conf(5) and its drop-ins."""
    paths = ["/etc/containers/registries.conf"]
    try:
        names = host.listdir("/etc/containers/registries.conf.d")
        paths += [f"/etc/containers/registries.conf.d/{n}" for n in names if n.endswith(".conf")]
    except PathMissing:
        names = []
    except HostError as error:
        notes.add("/etc/containers/registries.conf.d", error)
    for path in paths[:200]:
        config = _read(host, notes, path, toml=True)
        for name in _texts(config.get("unqualified-search-registries")):
            yield ContainerRegistry(name=name, kind="search", runtime="podman", source=path)
        tables = config.get("registry")
        for table in tables if isinstance(tables, list) else ():
            if isinstance(table, dict):
                yield from _table(table, path)


def _table(table: dict[str, Any], path: str) -> Iterator[ContainerRegistry]:
    name = table.get("location") or table.get("prefix")
    if isinstance(name, str):
        yield ContainerRegistry(
            name=name,
            kind="blocked" if table.get("blocked") is True else "configured",
            insecure=table.get("insecure") is True,
            runtime="podman",
            source=path,
        )
    mirrors = table.get("mirror")
    for mirror in mirrors if isinstance(mirrors, list) else ():
        if isinstance(mirror, dict) and isinstance(mirror.get("location"), str):
            yield ContainerRegistry(
                name=mirror["location"],
                kind="mirror",
                insecure=mirror.get("insecure") is True,
                runtime="podman",
                source=path,
            )


def _logins(host: Host, notes: Notes, path: str) -> Iterator[ContainerRegistry]:
    """Registries with a stored log-in: their names, not the log-in."""
    config = _read(host, notes, path)
    for field in ("auths", "credHelpers"):
        entries = config.get(field)
        for name in sorted(entries) if isinstance(entries, dict) else ():
            yield ContainerRegistry(name=name, kind="login", source=path)


COLLECTOR = Collector("container.registry", ContainerRegistry, collect, 3600)

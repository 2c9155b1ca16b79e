"""persistence.service: systemd units and System V scripts, what they run and what starts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _config, _config_systemd
from ._config_systemd import Unit

SUFFIXES = (".service", ".socket", ".path", ".automount")
_EXEC = ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecReload", "ExecCondition")
_GENERATED = ("/run/systemd/generator", "/run/systemd/transient")
_SLICES = ("/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice")
_RC = re.compile(r"S\d\d(.+)")
_LSB = re.compile(r"^#[ \t]*(Provides|Default-Start|Short-Description):(.*)$", re.MULTILINE)


class Service(Asset, frozen=True, kw_only=True):
    """One unit or script. `active` is None where no running systemd can be asked."""

    KEY = ("scope", "name")

    scope: Annotated[str, column("Scope", "范围", "system, user, user:NAME, sysv")]
    name: Annotated[str, column("Name", "名称")]
    kind: Annotated[str, column("Kind", "类别", "service, socket, path, automount, script")] = ""
    state: Annotated[
        str,
        column("State", "状态", "enabled, disabled, static, masked, alias, generated, indirect"),
    ] = ""
    active: Annotated[bool | None, column("Active", "活动中", "its control group exists")] = None
    exec_start: Annotated[list[str], column("Runs", "启动命令")] = msgspec.field(
        default_factory=list
    )
    exec_other: Annotated[list[str], column("Also runs", "其他命令", wide=True)] = msgspec.field(
        default_factory=list
    )
    user: Annotated[str, column("User", "用户", "empty: root or the scope's user")] = ""
    description: Annotated[str, column("Description", "描述", wide=True)] = ""
    path: Annotated[str, column("File", "文件")] = ""
    drop_ins: Annotated[list[str], column("Drop-ins", "附加配置", wide=True)] = msgspec.field(
        default_factory=list
    )
    enabled_by: Annotated[list[str], column("Started by", "启动来源", wide=True)] = msgspec.field(
        default_factory=list
    )
    listens: Annotated[list[str], column("Listens", "监听", "of a socket unit", wide=True)] = (
        msgspec.field(default_factory=list)
    )
    alias_of: Annotated[str, column("Alias of", "别名指向", wide=True)] = ""
    unit_type: Annotated[str, column("Type", "类型", wide=True)] = ""
    restart: Annotated[str, column("Restart", "重启策略", wide=True)] = ""
    environment_files: Annotated[
        list[str], column("Environment files", "环境变量文件", wide=True)
    ] = msgspec.field(default_factory=list)
    sha256: Annotated[str, column("SHA-256", "SHA-256", "of the file", wide=True)] = ""


def _state(unit: Unit) -> str:
    if unit.masked:
        return "masked"
    if unit.alias_of:
        return "alias"
    if unit.path.startswith(_GENERATED):
        return "generated"
    if unit.enabled_by:
        return "enabled"
    if any(unit.values("Install", k) for k in ("WantedBy", "RequiredBy", "UpheldBy", "Alias")):
        return "disabled"
    return "indirect" if unit.values("Install", "Also") else "static"


def _active(host: Host, scope: str, unit: Unit) -> bool | None:
    """Units with processes have a control group of their name; sockets and paths have none."""
    if scope != "system" or not unit.name.endswith(".service") or "@." in unit.name:
        return None
    if host.kind == "root" or not host.exists("/run/systemd/system"):
        return None
    folders = [f for f in _SLICES if host.exists(f)]
    slice_ = unit.value("Service", "Slice")
    if not folders or slice_ not in ("", "system.slice"):
        return None
    return any(host.exists(f"{folder}/{unit.name}") for folder in folders)


def _row(host: Host, scope: str, unit: Unit) -> Service:
    other = [f"{k}={v}" for k in _EXEC[1:] for v in unit.values("Service", k)]
    listens = [v for w, k, v in unit.entries if w == "Socket" and k.startswith("Listen") and v]
    watched = [f"{k}={v}" for w, k, v in unit.entries if w == "Path" and k.startswith("Path") and v]
    return Service(
        scope=scope,
        name=unit.name,
        kind=unit.name.rpartition(".")[2],
        state=_state(unit),
        active=_active(host, scope, unit),
        exec_start=unit.values("Service", "ExecStart"),
        exec_other=other,
        user=unit.value("Service", "User"),
        description=unit.value("Unit", "Description"),
        path=unit.path,
        drop_ins=unit.drop_ins,
        enabled_by=unit.enabled_by,
        listens=listens or watched,
        alias_of=unit.alias_of,
        unit_type=unit.value("Service", "Type"),
        restart=unit.value("Service", "Restart"),
        environment_files=unit.values("Service", "EnvironmentFile"),
        sha256=_config.sha256(unit.raw) if unit.raw else "",
    )


def _scripts(host: Host, notes: Notes, units: set[str]) -> Iterator[Service]:
    started: dict[str, list[str]] = {}
    for base in ("/etc", "/etc/rc.d"):
        for level in "2345S":
            folder = f"{base}/rc{level}.d"
            for name in _config.names(host, folder, notes):
                hit = _RC.fullmatch(name)
                if hit:
                    started.setdefault(hit.group(1), []).append(f"rc{level}.d")
    for folder in ("/etc/init.d", "/etc/rc.d/init.d"):
        if folder == "/etc/init.d" and _config.link(host, folder) == "/etc/rc.d/init.d":
            continue
        for name in _config.names(host, folder, notes):
            path = f"{folder}/{name}"
            found = _config.stat(host, path, notes)
            if found is None or found.kind != "file" or not found.mode & 0o111:
                continue
            raw = _config.read(host, path, notes, _config_systemd.UNIT_LIMIT) or b""
            header = dict(_LSB.findall(from_bytes(raw[:16384])))
            # systemd leaves a script alone when a unit of the same name exists.
            native = f"{name}.service" in units
            state = "alias" if native else "enabled" if name in started else "disabled"
            yield Service(
                scope="sysv",
                name=name,
                kind="script",
                state=state,
                exec_start=[path],
                description=header.get("Short-Description", "").strip(),
                path=path,
                enabled_by=sorted(set(started.get(name, ()))),
                alias_of=f"{name}.service" if native else "",
                sha256=_config.sha256(raw),
            )


def collect(host: Host, notes: Notes) -> Iterator[Service]:
    """Units of every scope by name, then scripts."""
    system: set[str] = set()
    for scope, units in _config_systemd.scopes(host, notes):
        for name in units.names(SUFFIXES):
            unit = units.get(name)
            if unit is not None:
                if scope == "system":
                    system.add(name)
                yield _row(host, scope, unit)
    yield from _scripts(host, notes, system)


COLLECTOR = Collector("persistence.service", Service, collect, every_s=3600)

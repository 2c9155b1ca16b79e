"""Finds applications by what each is known by: processes, executables, packages, configuration.

An `App` is a description; `discover` turns descriptions into instances on a Host. With files
only, `running` stays None: nothing could look.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from hauberk.ports import Host, Notes
from hauberk.schema.asset import Asset, column

from . import _config, _config_binary, _proc
from ._config_packages import Packages, upstream

MAX_INSTANCES = 2_000
_SETTING = re.compile(r"(-{0,2}[A-Za-z_][\w.-]*)(?:\s*=\s*|:\s+|\s+)(.+)")
_ENDPOINT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[\w.*-]+):\d{1,5}")


class Application(Asset, frozen=True, kw_only=True):
    """Columns that web servers, databases and middleware share."""

    KEY = ("name", "exe", "config", "container")
    VOLATILE = frozenset({"pids", "evidence"})

    name: Annotated[str, column("Application", "应用")]
    version: Annotated[str, column("Version", "版本", "empty: not found out")] = ""
    running: Annotated[
        bool | None, column("Running", "运行中", "none: only files could be looked at")
    ] = None
    pid: Annotated[int, column("PID", "进程号", "main process; 0: not running")] = 0
    start_ns: Annotated[int, column("Process start", "进程启动", "ns since boot", wide=True)] = 0
    pids: Annotated[list[str], column("All PIDs", "全部进程号", wide=True)] = msgspec.field(
        default_factory=list
    )
    user: Annotated[str, column("User", "用户", "of the main process, else configured")] = ""
    listen: Annotated[list[str], column("Listens", "监听", "by configuration and arguments")] = (
        msgspec.field(default_factory=list)
    )
    exe: Annotated[str, column("Executable", "可执行文件")] = ""
    config: Annotated[str, column("Configuration", "配置文件")] = ""
    data_dir: Annotated[str, column("Data", "数据目录")] = ""
    package: Annotated[str, column("Package", "软件包", "name and version", wide=True)] = ""
    container: Annotated[str, column("Container", "容器", "64-hex runtime id")] = ""
    evidence: Annotated[list[str], column("Evidence", "依据", wide=True)] = msgspec.field(
        default_factory=list
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """How one application is known.

    `exes` matches the executable's file name; `marks` must all be in the argument list.
    `files` are globs of executables or archives; `version` is searched in the executable, around
    the bytes `near` if given, `path_version` in paths and arguments. `configs` are globs: the
    first hit is shown, all are read. `options` maps command-line options to config, data, port,
    address or user; `keys` maps settings to the same words; `sections` are the only ones read of
    a sectioned file. `data_config` is the configuration's place below a data folder that was given
    as an option.
    `port`, `address` and `data_dir` are what it uses when nobody says otherwise.
    """

    name: str
    exes: str = ""
    marks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    version: bytes = b""
    near: bytes = b""
    path_version: str = ""
    packages: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[str, ...] = ()
    data_config: str = ""
    port: str = ""
    address: str = "*"
    data_dir: str = ""


@dataclass(slots=True)
class Instance:
    """One application found. `base` leads to its files ("" or "/proc/12/root")."""

    app: App
    exe: str
    base: str = ""
    container: str = ""
    version: str = ""
    config: str = ""
    package: str = ""
    pid: int = 0
    start_ns: int = 0
    user: str = ""
    pids: list[int] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    listen: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)


def words_of(argv: Sequence[str]) -> list[str]:
    """The arguments; a title that the process wrote over them is split at blanks."""
    given = [a for a in argv if a]
    return given[0].split() if len(given) == 1 else given


def options_of(words: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Values of `-x V`, `--x V`, `--x=V` and `-xV` as {meaning: value}; the last one wins."""
    found: dict[str, str] = {}
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if equals and name in wanted:
            found[wanted[name]] = value
        elif word in wanted and at + 1 < len(words):
            found[wanted[word]] = words[at + 1]
        elif len(word) > 2 and word[0] == "-" and word[1] != "-" and word[:2] in wanted:
            found[wanted[word[:2]]] = word[2:]
    return found


def settings(content: str, sections: Sequence[str] = ()) -> dict[str, str]:
    """`key value`, `key = value` and `key: value` lines, keys in lower case; the last wins.

    With `sections`, lines of other [sections] are left out.
    """
    found: dict[str, str] = {}
    section = ""
    for _, line in _config.lines(content):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            continue
        if sections and section not in sections:
            continue
        hit = _SETTING.fullmatch(re.split(r"\s[#;]", line, maxsplit=1)[0].strip())
        if hit:
            found[hit.group(1).lower()] = hit.group(2).strip().rstrip(";").strip("\"'")
    return found


def discover(host: Host, notes: Notes, apps: Sequence[App]) -> list[Instance]:
    """Running instances, then installed ones that do not run."""
    found = list(_running(host, notes, apps))
    ran = {(i.app.name, i.exe) for i in found if not i.container}
    ran_by_mark = {i.app.name for i in found if not i.container and i.app.marks}
    for app in apps:
        found += [
            Instance(app, path, evidence=[f"file {path}"])
            for path in _installed(host, notes, app)
            if (app.name, path) not in ran and app.name not in ran_by_mark
        ]
    packages = Packages(host, notes)
    for instance in found[:MAX_INSTANCES]:
        _complete(host, notes, instance, packages)
    return found[:MAX_INSTANCES]


def _installed(host: Host, notes: Notes, app: App) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    for pattern in app.files:
        for path in _config.glob(host, pattern, notes) if "*" in pattern else [pattern]:
            stat = _config.stat(host, path, notes)
            if stat is None or (stat.device, stat.inode) in seen:
                continue
            if stat.kind == "file" or (stat.kind == "dir" and app.path_version):
                seen.add((stat.device, stat.inode))
                real = _config.real(host, path)
                # A compatibility link to another program's executable is not this one.
                if app.marks or re.fullmatch(app.exes, posixpath.basename(real)):
                    yield real


def app_of(proc: _proc.Proc, apps: Sequence[App]) -> App | None:
    """The application that the process belongs to."""
    base = posixpath.basename(proc.exe)
    joined = ""
    for app in apps:
        if app.exes and not re.fullmatch(app.exes, base):
            continue
        if app.marks:
            joined = joined or "\n".join(proc.argv)
            if not all(mark in joined for mark in app.marks):
                continue
        return app
    return None


def _running(host: Host, notes: Notes, apps: Sequence[App]) -> Iterator[Instance]:
    hits: dict[int, tuple[_proc.Proc, App]] = {}
    for proc in _proc.processes(host, notes):
        app = app_of(proc, apps) if proc.exe else None
        if app is not None:
            hits[proc.pid] = (proc, app)
    users = _proc.user_names(host, notes) if hits else {}
    instances: dict[int, Instance] = {}
    for pid, (proc, app) in hits.items():
        parent = _main(hits, pid)
        if parent == pid:
            instances[pid] = _instance(host, notes, proc, app, users)
    for pid in hits:
        instances[_main(hits, pid)].pids.append(pid)
    merged: dict[tuple[str, str, str, str], Instance] = {}
    for instance in sorted(instances.values(), key=lambda i: i.start_ns):
        key = (instance.app.name, instance.exe, instance.config, instance.container)
        if key in merged:
            merged[key].pids += instance.pids
        else:
            merged[key] = instance
    yield from merged.values()


def _main(hits: Mapping[int, tuple[_proc.Proc, App]], pid: int) -> int:
    """The topmost ancestor that is the same application; loops in hostile data end."""
    seen = {pid}
    while True:
        proc, app = hits[pid]
        parent = hits.get(proc.ppid)
        if parent is None or parent[1] is not app or proc.ppid in seen:
            return min(seen) if parent is not None and proc.ppid in seen else pid
        pid = proc.ppid
        seen.add(pid)


def _instance(
    host: Host, notes: Notes, proc: _proc.Proc, app: App, users: Mapping[int, str]
) -> Instance:
    words = words_of(proc.argv)
    base = f"/proc/{proc.pid}/root" if proc.container else ""
    instance = Instance(
        app,
        proc.exe,
        base,
        proc.container,
        pid=proc.pid,
        start_ns=proc.start_ns,
        values=options_of(words, app.options),
        evidence=[f"process {proc.pid} {proc.name}"],
    )
    status = _proc.parse_status(
        _config.read(host, f"/proc/{proc.pid}/status", notes, _proc.STATUS_LIMIT) or b""
    )
    if status.uid >= 0:
        name = "" if proc.container else users.get(status.uid, "")
        instance.user = name or str(status.uid)
    plain = [w for w in words[1:] if w.startswith("/") and w.endswith((".conf", ".properties"))]
    if "config" not in instance.values and plain:
        instance.values["config"] = plain[0]
    instance.config = _absolute(instance.values.get("config", ""))
    instance.listen = [w for w in words[1:] if _ENDPOINT.fullmatch(w)]
    if app.path_version and (hit := re.search(app.path_version, "\n".join(proc.argv))):
        instance.version = hit.group(1)
        instance.evidence.append("version in arguments")
    return instance


def _absolute(path: str) -> str:
    return path if path.startswith("/") else ""


def _complete(host: Host, notes: Notes, found: Instance, packages: Packages) -> None:
    """Version, configuration and package of an instance."""
    app = found.app
    data = found.values.get("data", "")
    if not found.config and app.data_config and data.startswith("/"):
        path = posixpath.join(data, app.data_config)
        found.config = path if _config.is_file(host, found.base + path, notes) else ""
    configs = [found.config] if found.config else []
    if not configs:
        hits = [p for g in app.configs for p in _config.glob(host, found.base + g, notes)]
        configs = [p.removeprefix(found.base) for p in hits]
        found.config = configs[0] if configs else ""
    values: dict[str, str] = {}
    for path in configs[:50]:
        content = _config.text(host, found.base + path, notes)
        if content is not None:
            values.update(settings(content, app.sections))
    if found.config and values:
        found.evidence.append(f"configuration {found.config}")
    for key, meaning in app.keys.items():
        if key in values:
            found.values.setdefault(meaning, values[key])
    _versions(host, notes, found, packages)
    _listen(found)


def _versions(host: Host, notes: Notes, found: Instance, packages: Packages) -> None:
    app = found.app
    if not found.version and app.path_version:
        hit = re.search(app.path_version, found.exe)
        found.version = hit.group(1) if hit else ""
    if not found.version and app.version:
        path = f"/proc/{found.pid}/exe" if found.pid else found.exe
        found.version = _config_binary.find(
            host, path, re.compile(app.version), notes, near=app.near
        )
        if found.version:
            found.evidence.append("version in executable")
    if found.container:
        return
    found.package = packages.version(app.packages)
    if found.package:
        found.evidence.append(f"package {found.package}")
        found.version = found.version or upstream(found.package)


def _listen(found: Instance) -> None:
    if found.listen:
        return
    port = found.values.get("port", found.app.port)
    addresses = re.split(r"[\s,]+", found.values.get("address", "").strip("[]\"' "))
    shown = [b for a in addresses if (b := a.strip("\"'").removeprefix("-"))] or [found.app.address]
    found.listen = [e for a in shown if (e := _endpoint(a, port))]


def _endpoint(address: str, port: str) -> str:
    """`address:port`, brackets around IPv6; "" where no port is known."""
    if "://" in address or (address.count(":") < 2 and _ENDPOINT.fullmatch(address)):
        return address
    if address.startswith("[") and _ENDPOINT.fullmatch(address):
        return address
    if not port:
        return ""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def columns(instance: Instance, *, live: bool) -> dict[str, object]:
    """Values of the Application columns for one instance."""
    return {
        "name": instance.app.name,
        "version": instance.version,
        "running": bool(instance.pid) if live else None,
        "pid": instance.pid,
        "start_ns": instance.start_ns,
        "pids": [str(p) for p in sorted(instance.pids)[:256]],
        "user": instance.user or instance.values.get("user", ""),
        "listen": instance.listen[:64],
        "exe": instance.exe,
        "config": instance.config,
        "data_dir": instance.values.get("data", instance.app.data_dir),
        "package": instance.package,
        "container": instance.container,
        "evidence": instance.evidence,
    }


def rows(host: Host, notes: Notes, apps: Sequence[App]) -> Iterator[dict[str, object]]:
    """Column values of every instance; the first of those with one key."""
    live = _proc.is_live(host)
    seen: set[tuple[str, str, str, str]] = set()
    for found in discover(host, notes, apps):
        key = (found.app.name, found.exe, found.config, found.container)
        if key not in seen:
            seen.add(key)
            yield columns(found, live=live)

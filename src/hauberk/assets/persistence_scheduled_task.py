"""persistence.scheduled_task: cron, anacron, at and systemd timers."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _config, _config_systemd

MAX_TASKS = 20_000
_SPOOLS = (
    "/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron", "/etc/crontabs",
)  # fmt: skip
_AT_SPOOLS = ("/var/spool/cron/atjobs", "/var/spool/atjobs", "/var/spool/at", "/var/spool/at/spool")
_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_SPECIAL = re.compile(r"@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)")
_ASSIGN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\s*=")
_RUN_PARTS = re.compile(r"[A-Za-z0-9_-]+")
_AT_JOB = re.compile(r"([=a-zA-Z])([0-9a-fA-F]{5})([0-9a-fA-F]{8})")
_TIMER_KEYS = (
    "OnCalendar", "OnBootSec", "OnStartupSec", "OnActiveSec", "OnUnitActiveSec",
    "OnUnitInactiveSec",
)  # fmt: skip


class ScheduledTask(Asset, frozen=True, kw_only=True):
    """One task that the machine starts by time. `occurrence` tells equal lines apart."""

    KEY = ("kind", "path", "user", "schedule", "command", "occurrence")
    VOLATILE = frozenset({"line"})

    kind: Annotated[str, column("Kind", "类别", "cron, cron_folder, anacron, at, timer")]
    name: Annotated[str, column("Name", "名称")] = ""
    schedule: Annotated[str, column("Schedule", "计划", "five cron fields, @word, timer keys")] = ""
    user: Annotated[str, column("User", "用户")] = ""
    command: Annotated[str, column("Command", "命令")] = ""
    enabled: Annotated[bool, column("Enabled", "已启用")] = True
    path: Annotated[str, column("File", "文件")] = ""
    line: Annotated[int, column("Line", "行号", wide=True)] = 0
    occurrence: Annotated[int, column("Occurrence", "重复序号", wide=True)] = 1
    sha256: Annotated[str, column("SHA-256", "SHA-256", "of the file", wide=True)] = ""


def parse_crontab(content: str, *, with_user: bool) -> Iterator[tuple[int, str, str, str]]:
    """(line, schedule, user, command); `with_user`: the system form with a user column."""
    for number, line in _config.lines(content):
        if _ASSIGN.match(line):
            continue
        fields = 1 if _SPECIAL.match(line) else 5
        parts = line.split(None, fields + int(with_user))
        if len(parts) <= fields + int(with_user):
            continue
        user = parts[fields] if with_user else ""
        yield number, " ".join(parts[:fields]), user, parts[-1]


def _crontab(
    host: Host, notes: Notes, path: str, *, user: str | None = None, enabled: bool = True
) -> Iterator[ScheduledTask]:
    raw = _config.read(host, path, notes)
    if raw is None:
        return
    digest = _config.sha256(raw)
    content = from_bytes(raw)
    for number, schedule, owner, command in parse_crontab(content, with_user=user is None):
        yield ScheduledTask(
            kind="cron",
            name=posixpath.basename(path),
            schedule=schedule,
            user=owner if user is None else user,
            command=command,
            enabled=enabled,
            path=path,
            line=number,
            sha256=digest,
        )


def _cron(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    yield from _crontab(host, notes, "/etc/crontab")
    debian = host.exists("/etc/debian_version")
    for name in _config.names(host, "/etc/cron.d", notes):
        path = f"/etc/cron.d/{name}"
        runs = bool(_RUN_PARTS.fullmatch(name)) if debian else not name.endswith((".rpmsave", "~"))
        if name != ".placeholder" and _config.is_file(host, path, notes):
            yield from _crontab(host, notes, path, enabled=runs)
    for spool in _SPOOLS:
        for name in _config.names(host, spool, notes):
            path = f"{spool}/{name}"
            if _config.is_file(host, path, notes) and not name.startswith("."):
                yield from _crontab(host, notes, path, user=name)


def _folders(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    debian = host.exists("/etc/debian_version")
    places = [(f"/etc/cron.{p}", f"@{p}") for p in _PERIODS]
    places += [(f"/etc/periodic/{p}", f"@{p}") for p in ("15min", *_PERIODS)]
    for folder, schedule in places:
        for name in _config.names(host, folder, notes):
            path = f"{folder}/{name}"
            found = _config.stat(host, path, notes)
            if name.startswith(".") or found is None or found.kind != "file":
                continue
            runs = bool(found.mode & 0o111) and (not debian or bool(_RUN_PARTS.fullmatch(name)))
            raw = _config.read(host, path, notes)
            yield ScheduledTask(
                kind="cron_folder",
                name=name,
                schedule=schedule,
                user="root",
                command=path,
                enabled=runs,
                path=path,
                sha256=_config.sha256(raw) if raw is not None else "",
            )


def _anacron(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    path = "/etc/anacrontab"
    raw = _config.read(host, path, notes)
    if raw is None:
        return
    for number, line in _config.lines(from_bytes(raw)):
        parts = line.split(None, 3)
        if len(parts) == 4 and not _ASSIGN.match(line):
            yield ScheduledTask(
                kind="anacron",
                name=parts[2],
                schedule=f"{parts[0]} {parts[1]}",
                user="root",
                command=parts[3],
                path=path,
                line=number,
                sha256=_config.sha256(raw),
            )


def at_command(content: str) -> str:
    """What an at job runs: the lines after the change of folder that at writes before it."""
    head, marker, body = content.partition("Execution directory inaccessible")
    text = body.partition("}")[2] if marker else head
    lines = [s for line in text.split("\n") if (s := line.strip()) and not s.startswith("#")]
    return "; ".join(lines[:50])[:4096]


def _at(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    users = {a.uid: a.name for a in reversed(_config.accounts(host, notes))}
    for spool in _AT_SPOOLS:
        for name in _config.names(host, spool, notes):
            hit = _AT_JOB.fullmatch(name)
            path = f"{spool}/{name}"
            found = _config.stat(host, path, notes)
            if hit is None or found is None or found.kind != "file":
                continue
            raw = _config.read(host, path, notes) or b""
            yield ScheduledTask(
                kind="at",
                name=f"job {int(hit.group(2), 16)} queue {hit.group(1)}",
                schedule=f"at {int(hit.group(3), 16) * 60} s since 1970",
                user=users.get(found.uid, str(found.uid)),
                command=at_command(from_bytes(raw)),
                path=path,
                sha256=_config.sha256(raw),
            )


def _timers(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    for scope, units in _config_systemd.scopes(host, notes):
        for name in units.names((".timer",)):
            unit = units.get(name)
            if unit is None or unit.alias_of:
                continue
            target = unit.value("Timer", "Unit") or f"{name.removesuffix('.timer')}.service"
            service = units.get(target)
            runs = service.values("Service", "ExecStart") if service else []
            when = [f"{k}={v}" for k in _TIMER_KEYS for v in unit.values("Timer", k)]
            user = service.value("Service", "User") if service else ""
            yield ScheduledTask(
                kind="timer",
                name=name,
                schedule="; ".join(when),
                user=user or (scope.partition(":")[2] if scope != "system" else "root"),
                command="; ".join(runs) or target,
                enabled=bool(unit.enabled_by) and not unit.masked,
                path=unit.path,
                sha256=_config.sha256(unit.raw) if unit.raw else "",
            )


def _rows(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    yield from _cron(host, notes)
    yield from _folders(host, notes)
    yield from _anacron(host, notes)
    yield from _at(host, notes)
    yield from _timers(host, notes)


def collect(host: Host, notes: Notes) -> Iterator[ScheduledTask]:
    """Tasks by kind and file."""
    equal: dict[str, int] = {}
    for count, row in enumerate(_rows(host, notes)):
        if count >= MAX_TASKS:
            notes.add(row.path, f"more than {MAX_TASKS} tasks; the rest is left out", hides=True)
            return
        key = row.key()
        equal[key] = number = equal.get(key, 0) + 1
        yield row if number == 1 else msgspec.structs.replace(row, occurrence=number)


COLLECTOR = Collector("persistence.scheduled_task", ScheduledTask, collect, every_s=3600)

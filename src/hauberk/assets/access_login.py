"""Login sessions: who is in now, who was, and from where somebody tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _accounts, _utmp
from ._machine import architecture
from ._platform import text_of

MAX_RECORDS = 2000
_SESSIONS = "/run/systemd/sessions"


class LoginSession(Asset, frozen=True, kw_only=True):
    """One session, or the failed attempts on one account from one place."""

    KEY = ("kind", "user", "terminal", "source", "login_ns")
    VOLATILE = frozenset({"last_ns", "attempts"})

    kind: Annotated[
        str, column("Kind", "类型", "active (now), past (ended), boot, failed (attempts)")
    ]
    user: Annotated[str, column("User", "用户")] = ""
    terminal: Annotated[str, column("Terminal", "终端")] = ""
    source: Annotated[str, column("From", "来源", "address or name of the peer")] = ""
    login_ns: Annotated[int | None, column("Login", "登录时间", "ns since 1970")] = None
    logout_ns: Annotated[int | None, column("Logout", "登出时间", "ns since 1970")] = None
    pid: Annotated[int | None, column("Process", "进程")] = None
    service: Annotated[str, column("Service", "服务")] = ""
    attempts: Annotated[int | None, column("Attempts", "尝试次数")] = None
    last_ns: Annotated[int | None, column("Last attempt", "最近尝试", "ns since 1970")] = None


def collect(host: Host, notes: Notes) -> Iterator[LoginSession]:
    """Utmp and systemd's sessions, then the last 2,000 records of wtmp and of btmp."""
    arch = architecture(host)
    yield from _active(host, notes, arch)
    yield from past_sessions(_history(host, notes, "/var/log/wtmp", "past sessions", arch))
    try:
        known = {account.name for account in _accounts.accounts(host, notes)}
    except HostError as error:
        notes.add("/etc/passwd", error)
        known = set()
    yield from failed(_history(host, notes, "/var/log/btmp", "failed attempts", arch), known)


def _history(host: Host, notes: Notes, path: str, what: str, arch: str) -> list[_utmp.LoginRecord]:
    try:
        missing = not host.exists(path)
    except HostError:
        missing = False  # reading it says why
    if missing:
        notes.add(path, f"not kept on this machine: its {what} could not be looked at", hides=True)
        return []
    return _records(host, notes, path, arch)


def _records(host: Host, notes: Notes, path: str, arch: str) -> list[_utmp.LoginRecord]:
    size = _utmp.record_size(arch)
    try:
        with host.open(path) as file:
            total = file.seek(0, 2)
            whole = total // size
            file.seek(max(0, whole - MAX_RECORDS) * size)
            data = file.read(MAX_RECORDS * size)
    except PathMissing:
        return []
    except (HostError, OSError) as error:
        notes.add(path, error)
        return []
    found = list(_utmp.parse_records(data, arch))
    if total % size or len(found) < len(data) // size:
        notes.add(path, f"damaged: not {size}-byte login records throughout")
    return found


def _active(host: Host, notes: Notes, arch: str) -> Iterator[LoginSession]:
    seen: set[tuple[str, str]] = set()
    if host.kind == "root":
        # What a dead machine left in /run is over.
        return
    for row in _logind(host, notes):
        seen.add((row.user, row.terminal))
        yield row
    for record in _records(host, notes, "/run/utmp", arch):
        if record.kind == _utmp.USER and (record.user, record.line) not in seen:
            yield LoginSession(
                kind="active",
                user=record.user,
                terminal=record.line,
                source=record.host,
                login_ns=record.time_ns,
                pid=record.pid,
            )


def _logind(host: Host, notes: Notes) -> Iterator[LoginSession]:
    try:
        names = host.listdir(_SESSIONS)
    except PathMissing:
        return
    except HostError as error:
        notes.add(_SESSIONS, error)
        return
    for name in names[:MAX_RECORDS]:
        if name.endswith(".ref"):
            continue
        try:
            text = text_of(host, f"{_SESSIONS}/{name}", 65536)
        except HostError as error:
            notes.add(f"{_SESSIONS}/{name}", error)
            continue
        fields = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
        if fields.get("CLASS", "user") != "user" or fields.get("STATE") == "closing":
            continue
        leader, since = fields.get("LEADER", ""), fields.get("REALTIME", "")
        yield LoginSession(
            kind="active",
            user=fields.get("USER", ""),
            terminal=fields.get("TTY", ""),
            source=fields.get("REMOTE_HOST", ""),
            login_ns=int(since) * 1000 if since.isdecimal() and len(since) < 17 else None,
            pid=int(leader) if leader.isdecimal() and len(leader) < 11 else None,
            service=fields.get("SERVICE", ""),
        )


def past_sessions(records: list[_utmp.LoginRecord]) -> Iterator[LoginSession]:
    """Pairs each login with the end of its terminal; a boot ends all that are open."""
    open_: dict[str, _utmp.LoginRecord] = {}
    for record in records:
        if record.kind == _utmp.BOOT_TIME:
            for login in open_.values():
                yield _ended(login, record.time_ns)
            open_.clear()
            yield LoginSession(
                kind="boot", user=record.user, source=record.host, login_ns=record.time_ns
            )
        elif record.kind == _utmp.USER:
            before = open_.pop(record.line, None)
            if before is not None:
                yield _ended(before, record.time_ns)
            open_[record.line] = record
        elif record.kind == _utmp.DEAD and record.line in open_:
            yield _ended(open_.pop(record.line), record.time_ns)


def _ended(login: _utmp.LoginRecord, when: int) -> LoginSession:
    return LoginSession(
        kind="past",
        user=login.user,
        terminal=login.line,
        source=login.host,
        login_ns=login.time_ns,
        logout_ns=when,
        pid=login.pid,
    )


def failed(records: list[_utmp.LoginRecord], known: set[str]) -> Iterator[LoginSession]:
    """Attempts summed per account and source.

    A name that is no account is not kept: people type passwords there.
    """
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for record in records:
        user = record.user if record.user in known else "(name not kept)"
        count, last = counts.get((user, record.host), (0, 0))
        counts[user, record.host] = (count + 1, max(last, record.time_ns))
    for (user, source), (count, last) in sorted(counts.items()):
        yield LoginSession(kind="failed", user=user, source=source, attempts=count, last_ns=last)


COLLECTOR = Collector("access.login", LoginSession, collect, 600)

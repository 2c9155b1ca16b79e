"""User accounts, and the state (never the hash) of their passwords."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _accounts

_NO_LOGIN = ("nologin", "false", "sync", "halt", "shutdown", "null")
# struct lastlog: 32-bit time, 32 bytes of line, 256 of host.
_LASTLOG = struct.Struct("<I32s256s")
_NS = 1_000_000_000


class User(Asset, frozen=True, kw_only=True):
    """A local account."""

    KEY = ("name", "uid")
    VOLATILE = frozenset({"last_login_ns", "last_login_from"})

    name: Annotated[str, column("User", "用户")]
    uid: Annotated[int, column("UID", "UID")]
    gid: Annotated[int, column("GID", "GID")]
    full_name: Annotated[str, column("Full name", "全名", "GECOS field")] = ""
    home: Annotated[str, column("Home", "主目录")] = ""
    shell: Annotated[str, column("Shell", "登录 Shell")] = ""
    interactive: Annotated[
        bool, column("Can log in", "可登录", "its shell lets somebody log in")
    ] = False
    system: Annotated[bool, column("System account", "系统账号")] = False
    groups: Annotated[list[str], column("Groups", "所属组")] = []
    password: Annotated[
        str, column("Password", "密码状态", "set, locked, empty, none or unknown")
    ] = "unknown"  # noqa: S105 - a state, not a password
    hash_algorithm: Annotated[str, column("Hash algorithm", "哈希算法")] = ""
    password_store: Annotated[
        str, column("Password store", "密码存储", "shadow or passwd", wide=True)
    ] = ""
    password_changed: Annotated[str, column("Password changed", "密码修改日期")] = ""
    min_days: Annotated[int | None, column("Minimum days", "最短天数", wide=True)] = None
    max_days: Annotated[int | None, column("Maximum days", "最长天数", wide=True)] = None
    warn_days: Annotated[int | None, column("Warning days", "告警天数", wide=True)] = None
    inactive_days: Annotated[int | None, column("Inactive days", "宽限天数", wide=True)] = None
    expires: Annotated[str, column("Account expires", "账号到期")] = ""
    last_login_ns: Annotated[int | None, column("Last login", "最近登录", "ns since 1970")] = None
    last_login_from: Annotated[str, column("Last login from", "最近登录来源", wide=True)] = ""


def collect(host: Host, notes: Notes) -> Iterator[User]:
    """One row per line of /etc/passwd. Raises HostError when it cannot be read."""
    found = _accounts.accounts(host, notes)
    shadow = _shadow(host, notes)
    first_person = _accounts.uid_min(host)
    member_of: dict[str, list[str]] = {}
    names: dict[int, str] = {}
    for group in _accounts.groups_or_note(host, notes):
        names.setdefault(group.gid, group.name)
        for member in group.members:
            member_of.setdefault(member, []).append(group.name)
    last = _LastLog(host, notes)
    for account in found:
        ageing, store = _password(account, shadow)
        primary = names.get(account.gid, str(account.gid))
        when, where = last.of(account.uid)
        yield User(
            name=account.name,
            uid=account.uid,
            gid=account.gid,
            full_name=account.gecos.rstrip(","),
            home=account.home,
            shell=account.shell,
            # An empty shell field means /bin/sh.
            interactive=account.shell.rpartition("/")[2] not in _NO_LOGIN,
            system=account.uid < first_person or account.uid == 65534,
            groups=sorted({primary, *member_of.get(account.name, [])}),
            password=ageing.password.state,
            hash_algorithm=ageing.password.algorithm,
            password_store=store,
            password_changed=_date(ageing.changed),
            min_days=ageing.minimum,
            max_days=ageing.maximum,
            warn_days=ageing.warning,
            inactive_days=ageing.inactive,
            expires=_date(ageing.expires),
            last_login_ns=when,
            last_login_from=where,
        )


def _shadow(host: Host, notes: Notes) -> dict[str, _accounts.Ageing] | None:
    try:
        return _accounts.parse_shadow(_accounts.read_lines(host, "/etc/shadow"), notes)
    except PathMissing:
        # Image layers often come without it: nobody has a password then.
        if host.kind == "live":
            notes.add("/etc/shadow", "missing: the state of passwords kept there is unknown")
            return None
        return {}
    except HostError as error:
        notes.add("/etc/shadow", error)
        return None


def _password(
    account: _accounts.Account, shadow: dict[str, _accounts.Ageing] | None
) -> tuple[_accounts.Ageing, str]:
    if account.password.state != "elsewhere":
        return _accounts.Ageing(account.password), "passwd"
    if shadow is None:
        return _accounts.Ageing(_accounts.Password("unknown")), ""
    # "x" without a line in shadow: no password can match.
    return shadow.get(account.name, _accounts.Ageing(_accounts.Password("none"))), "shadow"


def _date(days: int | None) -> str:
    if days is None:
        return ""
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return ""


class _LastLog:
    """/var/log/lastlog, a sparse array indexed by uid."""

    def __init__(self, host: Host, notes: Notes) -> None:
        self._host = host
        self._notes = notes
        self._usable = True

    def of(self, uid: int) -> tuple[int | None, str]:
        """(ns since 1970, from where) of the last login; (None, "") where none is recorded."""
        if not self._usable:
            return None, ""
        try:
            with self._host.open("/var/log/lastlog") as file:
                file.seek(uid * _LASTLOG.size)
                record = file.read(_LASTLOG.size)
        except PathMissing:
            self._usable = False
            return None, ""
        except (HostError, OSError) as error:
            self._usable = False
            self._notes.add("/var/log/lastlog", error)
            return None, ""
        if len(record) < _LASTLOG.size:
            return None, ""
        seconds, line, source = _LASTLOG.unpack(record)
        if not seconds:
            return None, ""
        where = source.partition(b"\0")[0] or line.partition(b"\0")[0]
        return seconds * _NS, from_bytes(where)


COLLECTOR = Collector("access.user", User, collect, 1800)

"""User groups and who is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column

from . import _accounts


class UserGroup(Asset, frozen=True, kw_only=True):
    """A local group."""

    KEY = ("name", "gid")

    name: Annotated[str, column("Group", "用户组")]
    gid: Annotated[int, column("GID", "GID")]
    members: Annotated[list[str], column("Members", "成员", "listed in the group")] = []
    primary_of: Annotated[
        list[str], column("Primary group of", "主组用户", "accounts whose own group it is")
    ] = []
    system: Annotated[bool, column("System group", "系统组")] = False
    unknown_members: Annotated[
        list[str], column("Unknown members", "未知成员", "names without a local account", wide=True)
    ] = []
    password: Annotated[
        str, column("Password", "密码状态", "group password: set, locked, none, empty", wide=True)
    ] = ""
    administrators: Annotated[list[str], column("Administrators", "管理员", wide=True)] = []


def collect(host: Host, notes: Notes) -> Iterator[UserGroup]:
    """One row per line of /etc/group. Raises HostError when it cannot be read."""
    found = _accounts.groups(host, notes)
    try:
        people = _accounts.accounts(host, notes)
    except HostError as error:
        notes.add("/etc/passwd", error)
        people = []
    names = {account.name for account in people}
    primary: dict[int, list[str]] = {}
    for account in people:
        primary.setdefault(account.gid, []).append(account.name)
    secrets = _gshadow(host, notes)
    first_person = _accounts.uid_min(host)
    for group in found:
        password, administrators = secrets.get(group.name, ("", []))
        yield UserGroup(
            name=group.name,
            gid=group.gid,
            members=sorted(set(group.members)),
            primary_of=sorted(primary.get(group.gid, [])),
            system=group.gid < first_person or group.gid == 65534,
            unknown_members=sorted(set(group.members) - names) if names else [],
            password=password,
            administrators=administrators,
        )


def _gshadow(host: Host, notes: Notes) -> dict[str, tuple[str, list[str]]]:
    """Group -> (password state, administrators)."""
    try:
        lines = _accounts.read_lines(host, "/etc/gshadow")
    except PathMissing:
        return {}
    except HostError as error:
        notes.add("/etc/gshadow", error)
        return {}
    found: dict[str, tuple[str, list[str]]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(":")
        if len(fields) < 4:
            notes.add(f"/etc/gshadow:{number}", "not a line of four fields")
            continue
        state = _accounts.judge_password(fields[1]).state
        # In gshadow an empty field bars newgrp for strangers: there is no password.
        state = "none" if state == "empty" else state
        found[fields[0]] = (state, sorted(a for a in fields[2].split(",") if a))
    return found


COLLECTOR = Collector("access.group", UserGroup, collect, 1800)

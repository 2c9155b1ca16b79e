"""Who may become root: sudo and doas rules, members of powerful groups, accounts with uid 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _accounts
from ._sudoers import SudoEntry, read_sudoers

# Group -> what its members can reach.
POWERFUL = {
    "root": "files of group root",
    "sudo": "root through sudo",
    "wheel": "root through sudo or su",
    "admin": "root through sudo",
    "adm": "system logs",
    "docker": "root through the Docker socket",
    "podman": "root through the Podman socket",
    "lxd": "root through LXD",
    "incus-admin": "root through Incus",
    "libvirt": "root through virtual machines",
    "disk": "raw disks",
    "shadow": "password hashes",
    "kmem": "kernel memory",
    "systemd-journal": "system logs",
}
_DOAS = ("/etc/doas.conf", "/usr/local/etc/doas.conf")


class Privilege(Asset, frozen=True, kw_only=True):
    """One grant to one principal."""

    KEY = ("kind", "principal", "hosts", "privilege", "source")
    VOLATILE = frozenset({"line"})

    kind: Annotated[
        str,
        column(
            "Kind", "类型", "sudo_rule, sudo_defaults, sudo_alias, doas_rule, group_member, uid_0"
        ),
    ]
    principal: Annotated[str, column("Principal", "主体", "user, %group or alias")]
    privilege: Annotated[str, column("Privilege", "权限")] = ""
    no_password: Annotated[
        bool | None, column("Without password", "免密码", "NOPASSWD or !authenticate")
    ] = None
    any_command: Annotated[bool | None, column("Any command", "任意命令")] = None
    hosts: Annotated[list[str], column("Hosts", "主机", wide=True)] = []
    members: Annotated[
        list[str], column("Members", "成员", "accounts behind a group or alias", wide=True)
    ] = []
    source: Annotated[str, column("File", "文件")] = ""
    line: Annotated[int | None, column("Line", "行号", wide=True)] = None


def collect(host: Host, notes: Notes) -> Iterator[Privilege]:
    """Rows of every kind. Raises HostError when not even /etc/passwd can be read."""
    # A rule may be repeated in its file: it grants no more.
    return _accounts.unique(_collect(host, notes))


def _collect(host: Host, notes: Notes) -> Iterator[Privilege]:
    people = _accounts.accounts(host, notes)
    groups = _accounts.groups_or_note(host, notes)
    for account in people:
        if account.uid == 0:
            yield Privilege(
                kind="uid_0",
                principal=account.name,
                privilege="uid 0 is root",
                source="/etc/passwd",
                line=account.line,
            )
    members = _members(people, groups)
    for group in groups:
        reach = POWERFUL.get(group.name)
        for member in members[group.name] if reach else ():
            yield Privilege(
                kind="group_member",
                principal=member,
                privilege=f"group {group.name}: {reach}",
                source="/etc/group",
                line=group.line,
            )
    try:
        entries = read_sudoers(host, notes)
    except PathMissing:
        entries = []
    except HostError as error:
        notes.add("/etc/sudoers", error)
        entries = []
    yield from sudo_rows(entries, members)
    for path in _DOAS:
        yield from _doas(host, notes, path)


def _members(
    people: list[_accounts.Account], groups: list[_accounts.GroupEntry]
) -> dict[str, list[str]]:
    primary: dict[int, list[str]] = {}
    for account in people:
        primary.setdefault(account.gid, []).append(account.name)
    return {g.name: sorted({*g.members, *primary.get(g.gid, [])}) for g in groups}


def sudo_rows(entries: list[SudoEntry], members: dict[str, list[str]]) -> Iterator[Privilege]:
    """One row per principal of each entry; aliases and groups with who is behind them."""
    aliases = {
        e.principals[0]: [p.strip() for p in e.text.split(",")]
        for e in entries
        if e.kind == "alias" and e.hosts == ["User"]
    }
    for entry in entries:
        for principal in entry.principals:
            if entry.kind == "rule":
                behind = aliases.get(principal) or members.get(principal.removeprefix("%"), [])
                yield Privilege(
                    kind="sudo_rule",
                    principal=principal,
                    privilege=entry.text,
                    no_password="NOPASSWD:" in entry.text.replace(" :", ":"),
                    any_command=_any(entry.text),
                    hosts=entry.hosts,
                    members=behind if principal.startswith("%") or principal in aliases else [],
                    source=entry.source,
                    line=entry.line,
                )
            else:
                yield Privilege(
                    kind=f"sudo_{entry.kind}",
                    principal=principal,
                    privilege=entry.text,
                    no_password=True if "!authenticate" in entry.text else None,
                    hosts=entry.hosts if entry.kind == "alias" else [],
                    source=entry.source,
                    line=entry.line,
                )


def _any(text: str) -> bool:
    """Whether a list of commands ends with ALL, tags and run-as left aside."""
    for part in text.rpartition(")")[2].split(","):
        words = part.split(":")[-1].split()
        if words and words[0] == "ALL":
            return True
    return False


def _doas(host: Host, notes: Notes, path: str) -> Iterator[Privilege]:
    try:
        lines = from_bytes(host.read(path, limit=1 << 20)).splitlines()
    except PathMissing:
        return
    except HostError as error:
        notes.add(path, error)
        return
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] not in ("permit", "deny"):
            notes.add(f"{path}:{number}", "not a doas rule")
            continue
        rest = words[1:]
        options: list[str] = []
        while rest and rest[0] in ("nopass", "nolog", "persist", "keepenv"):
            options.append(rest.pop(0))
        if rest and rest[0] == "setenv":
            close = next((i for i, w in enumerate(rest) if w.endswith("}")), len(rest) - 1)
            rest = rest[close + 1 :]
        if not rest:
            notes.add(f"{path}:{number}", "no principal in this rule")
            continue
        yield Privilege(
            kind="doas_rule",
            principal=rest[0].replace(":", "%", 1) if rest[0].startswith(":") else rest[0],
            privilege=" ".join([words[0], *options, *rest[1:]]),
            no_password="nopass" in options,
            any_command=words[0] == "permit" and "cmd" not in rest,
            source=path,
            line=number,
        )


COLLECTOR = Collector("access.privilege", Privilege, collect, 1800)

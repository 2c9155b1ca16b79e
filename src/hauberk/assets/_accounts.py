"""Parsers of the account databases: passwd, group, shadow. Bounded, total, no secrets kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.asset import Asset
from hauberk.schema.text import from_bytes

AssetT = TypeVar("AssetT", bound=Asset)

MAX_LINES = 100_000
READ_LIMIT = 32 * 1024 * 1024
_MAX_ID = 2**32 - 1
# Prefix of a crypt(5) hash -> algorithm.
_HASHES = (
    ("$y$", "yescrypt"),
    ("$gy$", "gost-yescrypt"),
    ("$7$", "scrypt"),
    ("$2", "bcrypt"),
    ("$6$", "sha512crypt"),
    ("$5$", "sha256crypt"),
    ("$1$", "md5crypt"),
    ("$md5", "sunmd5"),
    ("$sha1$", "sha1crypt"),
    ("$3$", "nt"),
    ("$argon2", "argon2"),
    ("_", "bsdicrypt"),
)


class Account(msgspec.Struct, frozen=True):
    """A line of /etc/passwd; `password` is only what its field means."""

    name: str
    password: Password
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    line: int


class GroupEntry(msgspec.Struct, frozen=True):
    """A line of /etc/group."""

    name: str
    gid: int
    members: list[str]
    line: int


class Password(msgspec.Struct, frozen=True):
    """What a password field means. `state`: set, locked, empty, none, elsewhere.

    "locked" is barred by "!", "none" has no password that could match, "elsewhere" is in shadow.
    """

    state: str
    algorithm: str = ""


class Ageing(msgspec.Struct, frozen=True):
    """A line of /etc/shadow; days since 1970 or spans of days, None where not set."""

    password: Password
    changed: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    warning: int | None = None
    inactive: int | None = None
    expires: int | None = None


def unique(rows: Iterator[AssetT]) -> Iterator[AssetT]:
    """Rows whose key has not come before."""
    seen: set[str] = set()
    for row in rows:
        key = row.key()
        if key not in seen:
            seen.add(key)
            yield row


def read_lines(host: Host, path: str) -> list[str]:
    """Lines of an account database. Raises HostError."""
    return from_bytes(host.read(path, limit=READ_LIMIT)).split("\n")[:MAX_LINES]


def judge_password(field: str) -> Password:
    """Meaning of a password field; the field itself goes no further."""
    if field == "":
        return Password("empty")
    if field == "x":
        return Password("elsewhere")
    bare = field.lstrip("!")
    locked = bare != field
    if bare in ("", "*", "*LK*", "*NP*", "x"):
        return Password("locked" if locked and bare in ("", "x") else "none")
    algorithm = next((name for mark, name in _HASHES if bare.startswith(mark)), "")
    if not algorithm and len(bare) == 13 and all(c.isalnum() or c in "./" for c in bare):
        algorithm = "descrypt"
    if not algorithm:
        # No hash of any known form: nothing typed can match it.
        return Password("locked" if locked else "none")
    return Password("locked" if locked else "set", algorithm)


def parse_passwd(lines: list[str], notes: Notes, source: str = "/etc/passwd") -> list[Account]:
    """Accounts in order; lines that are none are noted."""
    found: list[Account] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(("#", "+", "-")):
            continue
        fields = line.split(":")
        uid = _id(fields[2]) if len(fields) >= 7 else None
        gid = _id(fields[3]) if len(fields) >= 7 else None
        if uid is None or gid is None:
            notes.add(f"{source}:{number}", "not a line of seven fields with numeric ids")
            continue
        password = judge_password(fields[1])
        found.append(
            Account(fields[0], password, uid, gid, fields[4], fields[5], fields[6], number)
        )
    return found


def parse_group(lines: list[str], notes: Notes, source: str = "/etc/group") -> list[GroupEntry]:
    """Groups in order; lines that are none are noted."""
    found: list[GroupEntry] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(("#", "+", "-")):
            continue
        fields = line.split(":")
        gid = _id(fields[2]) if len(fields) >= 4 else None
        if gid is None:
            notes.add(f"{source}:{number}", "not a line of four fields with a numeric id")
            continue
        members = [m.strip() for m in fields[3].split(",") if m.strip()]
        found.append(GroupEntry(fields[0], gid, members, number))
    return found


def parse_shadow(lines: list[str], notes: Notes, source: str = "/etc/shadow") -> dict[str, Ageing]:
    """Password states by account; lines that are none are noted without their contents."""
    found: dict[str, Ageing] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(":")
        if len(fields) < 8:
            notes.add(f"{source}:{number}", "not a line of nine fields")
            continue
        days = [_days(f) for f in fields[2:8]]
        found.setdefault(fields[0], Ageing(judge_password(fields[1]), *days))
    return found


def accounts(host: Host, notes: Notes) -> list[Account]:
    """Accounts of /etc/passwd. Raises HostError.

    An image or folder without the file has no accounts; on a running machine that is an error.
    """
    return parse_passwd(_lines_or_none(host, "/etc/passwd"), notes)


def _lines_or_none(host: Host, path: str) -> list[str]:
    try:
        return read_lines(host, path)
    except PathMissing:
        if host.kind == "live":
            raise
        return []


def groups(host: Host, notes: Notes) -> list[GroupEntry]:
    """Groups of /etc/group. Raises HostError; absent is judged as for `accounts`."""
    return parse_group(_lines_or_none(host, "/etc/group"), notes)


def groups_or_note(host: Host, notes: Notes) -> list[GroupEntry]:
    """Groups of /etc/group; what cannot be read is noted."""
    try:
        return groups(host, notes)
    except HostError as error:
        notes.add("/etc/group", error)
        return []


def homes(found: list[Account]) -> list[tuple[str, str]]:
    """(home, first owner) of accounts that have one of their own."""
    owners: dict[str, str] = {}
    for account in found:
        home = account.home.rstrip("/")
        if home.startswith("/") and home not in ("/nonexistent", "/dev/null", "/proc"):
            owners.setdefault(home, account.name)
    return list(owners.items())[:5000]


def uid_min(host: Host) -> int:
    """First uid of people, from login.defs; 1000 by default."""
    try:
        text = from_bytes(host.head("/etc/login.defs", 1 << 16))
    except HostError:
        return 1000
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "UID_MIN":
            return _id(words[1]) or 1000
    return 1000


def _id(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        return None
    value = int(text)
    return value if value <= _MAX_ID else None


def _days(text: str) -> int | None:
    negative = text.startswith("-")
    digits = text[1:] if negative else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    return None if negative else int(digits)

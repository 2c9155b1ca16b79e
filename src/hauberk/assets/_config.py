"""Small bounded readers of configuration: text, folders, globs, accounts, hashes."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from hauberk.errors import HostError, PathMissing
from hauberk.ports import FileStat, Host, Notes
from hauberk.schema.text import from_bytes

TEXT_LIMIT = 1024 * 1024
LINE_LIMIT = 8192
MAX_LINES = 20_000
MAX_ENTRIES = 5_000
MAX_LINKS = 40
_CONTAINER_ROOT = re.compile(r"(/proc/\d+/root)(/.*)")
_USERINFO = re.compile(r"(?<=//)[^/@\s]*@")


class Account(NamedTuple):
    """One usable line of /etc/passwd."""

    name: str
    uid: int
    home: str
    shell: str


def inside(host: Host, path: str) -> str:
    """Resolve links below /proc/PID/root against that root; other paths stay as they are.

    The kernel resolves an absolute link in a container's tree against the reader's own root: a
    container could point its nginx.conf at a file of the machine. Raises HostError for a loop.
    """
    hit = _CONTAINER_ROOT.fullmatch(path)
    if hit is None:
        return path
    base = hit.group(1)
    todo = hit.group(2).split("/")[::-1]
    done: list[str] = []
    hops = 0
    while todo:
        part = todo.pop()
        if part == "..":
            done = done[:-1]
        elif part not in ("", "."):
            try:
                target = host.readlink("/".join([base, *done, part]))
            except HostError:  # no link: absent ones are told by who reads the path
                done.append(part)
                continue
            hops += 1
            if hops > MAX_LINKS:
                raise HostError(f"{path}: too many levels of symbolic links")
            done = [] if target.startswith("/") else done
            todo += target.split("/")[::-1]
    return "/".join([base, *done])


def read(host: Host, path: str, notes: Notes, limit: int = TEXT_LIMIT) -> bytes | None:
    """The first `limit` bytes; None when absent. Refusals and a cut are noted."""
    try:
        raw = host.head(inside(host, path), limit + 1)
    except PathMissing:
        return None
    except HostError as error:
        notes.add(path, error)
        return None
    if len(raw) > limit:
        notes.add(path, f"larger than {limit} bytes; the rest is left out", hides=True)
        return raw[:limit]
    return raw


def text(host: Host, path: str, notes: Notes, limit: int = TEXT_LIMIT) -> str | None:
    """Like `read`, as text in which bytes that are not UTF-8 survive."""
    raw = read(host, path, notes, limit)
    return None if raw is None else from_bytes(raw)


def lines(content: str) -> Iterator[tuple[int, str]]:
    """(line number, stripped line) without blank ones and those that start with #."""
    for number, line in enumerate(content.split("\n", MAX_LINES)[:MAX_LINES], 1):
        short = line[:LINE_LIMIT].strip()
        if short and not short.startswith("#"):
            yield number, short


def names(host: Host, folder: str, notes: Notes) -> list[str]:
    """Entries of a folder, sorted; empty when it is absent. Refusals are noted."""
    try:
        found = host.listdir(inside(host, folder))
    except PathMissing:
        return []
    except HostError as error:
        notes.add(folder, error)
        return []
    if len(found) > MAX_ENTRIES:
        notes.add(folder, f"more than {MAX_ENTRIES} entries; the rest is left out", hides=True)
    return found[:MAX_ENTRIES]


def stat(host: Host, path: str, notes: Notes, *, follow: bool = True) -> FileStat | None:
    """What the path is; None when absent. Refusals are noted."""
    try:
        return host.stat(inside(host, path) if follow else path, follow=follow)
    except PathMissing:
        return None
    except HostError as error:
        notes.add(path, error)
        return None


def link(host: Host, path: str) -> str:
    """The absolute target of a link, empty for anything else."""
    try:
        target = host.readlink(path)
    except HostError:
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def real(host: Host, path: str) -> str:
    """Follows links of the path itself, so that one program has one path."""
    for _ in range(8):
        target = link(host, path)
        if not target:
            break
        path = target
    return path


def is_file(host: Host, path: str, notes: Notes) -> bool:
    """Whether the path is a regular file, through links."""
    found = stat(host, path, notes)
    return found is not None and found.kind == "file"


def glob(host: Host, pattern: str, notes: Notes) -> list[str]:
    """Existing paths that match; `*`, `?` and `[...]` stay within one path component."""
    found = ["/"]
    for part in pattern.strip("/").split("/"):
        if not any(c in part for c in "*?["):
            found = [posixpath.join(base, part) for base in found]
            continue
        matches = (
            posixpath.join(base, name)
            for base in found
            for name in names(host, base, notes)
            if fnmatch.fnmatchcase(name, part) and not (name[0] == "." and part[0] != ".")
        )
        found = list(itertools.islice(matches, MAX_ENTRIES))
    return [path for path in found if stat(host, path, notes) is not None]


def accounts(host: Host, notes: Notes) -> list[Account]:
    """Accounts of /etc/passwd; malformed lines are left out."""
    found: list[Account] = []
    for _, line in lines(text(host, "/etc/passwd", notes, 4 * TEXT_LIMIT) or ""):
        parts = line.split(":")
        if len(parts) >= 6 and parts[2].isdecimal() and parts[2].isascii() and len(parts[2]) < 12:
            shell = parts[6] if len(parts) > 6 else ""
            found.append(Account(parts[0], int(parts[2]), parts[5], shell))
    return found


def homes(host: Host, notes: Notes) -> list[Account]:
    """Accounts with a home of their own: each folder once, by its first owner, never `/`."""
    seen: dict[str, Account] = {}
    for account in accounts(host, notes):
        home = posixpath.normpath(account.home)
        if home.startswith("/") and home.strip("/") and account.home != "/nonexistent":
            seen.setdefault(home, account._replace(home=home))
    return list(seen.values())


def sha256(raw: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(raw).hexdigest()


def without_password(value: str) -> str:
    """A URL without its user information."""
    return _USERINFO.sub("", value)

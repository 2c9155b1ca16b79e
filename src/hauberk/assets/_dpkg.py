"""The dpkg database as bytes: the status file, distroless `status.d`, file lists, diversions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes, to_bytes

STATUS = "/var/lib/dpkg/status"
STATUS_D = "/var/lib/dpkg/status.d"
INFO = "/var/lib/dpkg/info"
DIVERSIONS = "/var/lib/dpkg/diversions"
STATUS_LIMIT = 128 * 1024 * 1024
LIST_LIMIT = 64 * 1024 * 1024
MAX_PACKAGES = 200_000

_FIELDS = re.compile(
    rb"^(Package|Status|Architecture|Multi-Arch|Version|Source|Maintainer|Installed-Size):"
    rb"[ \t]*([^\n]*)$",
    re.MULTILINE,
)
_STANZA_END = re.compile(rb"\n[ \t\r]*\n")


class DpkgPackage(NamedTuple):
    """One stanza. `want`, `state` are dpkg's words ("install", "installed"); size in bytes."""

    name: str
    arch: str
    version: str
    source: str
    source_version: str
    want: str
    state: str
    maintainer: str
    size: int | None
    multi_arch: str


def parse_status(data: bytes) -> Iterator[DpkgPackage]:
    """Packages of a status file or of one `status.d` file.

    Stanzas without a package name, and packages that are not installed at all, are left out; a
    stanza without `Status` (distroless) counts as installed. Total: never raises, at most
    `MAX_PACKAGES`.
    """
    count = 0
    for stanza in _STANZA_END.split(data):
        package = _package(stanza)
        if package is None:
            continue
        count += 1
        if count > MAX_PACKAGES:
            return
        yield package


def _package(stanza: bytes) -> DpkgPackage | None:
    found: dict[bytes, bytes] = {}
    for key, value in _FIELDS.findall(stanza):
        found.setdefault(key, value)
    name = _text(found, b"Package")
    words = found.get(b"Status", b"install ok installed").split()
    if not name or len(words) != 3 or words[2] == b"not-installed":
        return None
    version = _text(found, b"Version")
    source, source_version = _source(_text(found, b"Source"), name, version)
    size = found.get(b"Installed-Size", b"").strip()
    return DpkgPackage(
        name,
        _text(found, b"Architecture"),
        version,
        source,
        source_version,
        from_bytes(words[0]),
        from_bytes(words[2]),
        _text(found, b"Maintainer"),
        int(size) * 1024 if size.isdigit() and len(size) < 13 else None,
        _text(found, b"Multi-Arch"),
    )


def _text(found: Mapping[bytes, bytes], key: bytes) -> str:
    return from_bytes(found.get(key, b"").strip())


def _source(field: str, name: str, version: str) -> tuple[str, str]:
    """`Source: name (version)`: either part may be missing and then equals the binary's."""
    source, _, rest = field.partition("(")
    return source.strip() or name, rest.rstrip(") ").strip() or version


def packages(host: Host, notes: Notes) -> Iterator[DpkgPackage]:
    """All packages that dpkg knows on `host`.

    Raises:
        PathMissing: there is no dpkg database.
        HostError: there is one that could not be read.
    """
    try:
        yield from parse_status(host.read(STATUS, limit=STATUS_LIMIT))
    except PathMissing:
        names = host.listdir(STATUS_D)
    else:
        try:
            names = host.listdir(STATUS_D)
        except PathMissing:
            return
    for name in names:
        if name.endswith(".md5sums"):
            continue
        try:
            yield from parse_status(host.read(f"{STATUS_D}/{name}", limit=LIST_LIMIT))
        except HostError as error:
            notes.add(f"{STATUS_D}/{name}", error)


def list_names(package: DpkgPackage) -> tuple[str, str]:
    """Where a package's file list may be: dpkg adds the architecture for `Multi-Arch: same`."""
    plain, qualified = f"{package.name}.list", f"{package.name}:{package.arch}.list"
    return (qualified, plain) if package.multi_arch == "same" else (plain, qualified)


class Diversion(NamedTuple):
    """Files of all packages but `package` (":" for a local one) at `source` live at `target`."""

    source: str
    target: str
    package: str


def parse_diversions(data: bytes) -> list[Diversion]:
    """Three lines each; an incomplete last group is dropped."""
    lines = [from_bytes(line) for line in data.split(b"\n")]
    whole = len(lines) // 3 * 3
    return [Diversion(*lines[i : i + 3]) for i in range(0, whole, 3)]


def owned(
    host: Host,
    notes: Notes,
    wanted: Mapping[bytes, str],
    spell: Callable[[bytes], tuple[bytes, ...]],
) -> dict[str, tuple[str, str]]:
    """Which package owns which file.

    Args:
        host: the machine.
        notes: told of lists that could not be read.
        wanted: spelling of a path in a list (`/bin/x` and `/usr/bin/x`) -> the caller's path.
        spell: all spellings of a path on this machine.

    Returns:
        caller's path -> (package name, architecture).

    Raises:
        PathMissing: there is no dpkg database.
    """
    installed = list(packages(host, notes))
    moved, kept = _diverted(_diversions(host, notes), wanted, spell)
    lookup = {**dict.fromkeys(moved, ""), **wanted}
    found: dict[str, tuple[str, str]] = {}
    for package, lines in _lists(host, notes, installed):
        for line in lookup.keys() & lines:
            stays = line not in kept or kept[line] == package.name
            target = lookup[line] if stays else moved.get(line, "")
            if target:
                found.setdefault(target, (package.name, package.arch))
    return found


def _diversions(host: Host, notes: Notes) -> list[Diversion]:
    try:
        return parse_diversions(host.read(DIVERSIONS, limit=LIST_LIMIT))
    except PathMissing:
        return []
    except HostError as error:
        notes.add(DIVERSIONS, error)
        return []


def _diverted(
    diversions: Iterable[Diversion],
    wanted: Mapping[bytes, str],
    spell: Callable[[bytes], tuple[bytes, ...]],
) -> tuple[dict[bytes, str], dict[bytes, str]]:
    """(listed path -> caller's path it was moved to, listed path -> package that stays there)."""
    moved: dict[bytes, str] = {}
    kept: dict[bytes, str] = {}
    for item in diversions:
        target = to_bytes(item.target)
        for source in spell(to_bytes(item.source)):
            if source in wanted or target in wanted:
                kept[source] = item.package
            if target in wanted:
                moved[source] = wanted[target]
    return moved, kept


def _lists(
    host: Host, notes: Notes, installed: Iterable[DpkgPackage]
) -> Iterator[tuple[DpkgPackage, list[bytes]]]:
    for package in installed:
        lines = _list(host, notes, package)
        if lines is not None:
            yield package, lines


def _list(host: Host, notes: Notes, package: DpkgPackage) -> list[bytes] | None:
    for name in list_names(package):
        if "/" in name:
            continue
        try:
            return host.read(f"{INFO}/{name}", limit=LIST_LIMIT).split(b"\n")
        except PathMissing:
            continue
        except HostError as error:
            notes.add(f"{INFO}/{name}", error)
            return None
    return _distroless_list(host, notes, package)


def _distroless_list(host: Host, notes: Notes, package: DpkgPackage) -> list[bytes] | None:
    """`status.d/NAME.md5sums` is the only list of files that a distroless image has."""
    path = f"{STATUS_D}/{package.name}.md5sums"
    if "/" in package.name:
        return None
    try:
        data = host.read(path, limit=LIST_LIMIT)
    except PathMissing:
        return None
    except HostError as error:
        notes.add(path, error)
        return None
    return [b"/" + line[34:].removeprefix(b"./") for line in data.split(b"\n") if len(line) > 34]

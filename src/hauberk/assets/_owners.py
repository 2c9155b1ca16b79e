"""Which OS package owns which file, asked of the package databases in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hauberk.assets import _apk, _dpkg, _rpm
from hauberk.assets.software_os_package import package_key
from hauberk.errors import HostError, PathMissing
from hauberk.ports import Host, Notes
from hauberk.schema.text import to_bytes

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
Wanted = Mapping[bytes, str]
Spell = Callable[[bytes], tuple[bytes, ...]]


def find_owners(
    host: Host, notes: Notes, paths: Iterable[str], *, strict: bool = False
) -> dict[str, str]:
    """Owner of each of `paths`; a path that no package owns is absent.

    Understands `Multi-Arch` names, diversions, and merged /usr (`/bin/x` for `/usr/bin/x`), in
    either spelling. Databases that cannot be read are noted, or raised when `strict`: for who
    draws conclusions from what is absent.

    Returns:
        path -> key of the `software.os_package` row.

    Raises:
        HostError: `strict`, and a database could not be read.
    """
    merged = _merged(host, notes)

    def spell(path: bytes) -> tuple[bytes, ...]:
        return _spellings(path, merged)

    # Several spellings of one file may be asked for: all of them hear the one answer.
    asked = [path for path in dict.fromkeys(paths) if path.startswith("/")]
    wanted: dict[bytes, str] = {}
    for path in asked:
        for spelling in spell(to_bytes(path)):
            wanted.setdefault(spelling, path)
    found = _ask(host, notes, wanted, spell, strict) if wanted else {}
    return {path: found[first] for path in asked if (first := wanted[to_bytes(path)]) in found}


def _ask(
    host: Host,
    notes: Notes,
    wanted: Wanted,
    spell: Spell,
    strict: bool,  # noqa: FBT001
) -> dict[str, str]:
    found: dict[str, str] = {}
    for look in (_by_dpkg, _by_rpm, _by_apk):
        try:
            found = {**look(host, notes, wanted, spell), **found}
        except PathMissing:
            continue
        except HostError as error:
            if strict:
                raise
            notes.add(host.name, error)
    return found


def _by_dpkg(host: Host, notes: Notes, wanted: Wanted, spell: Spell) -> dict[str, str]:
    answers = _dpkg.owned(host, notes, wanted, spell)
    return {path: package_key("dpkg", *owner) for path, owner in answers.items()}


def _by_rpm(host: Host, notes: Notes, wanted: Wanted, _spell: Spell) -> dict[str, str]:
    answers = _rpm.owned(host, notes, wanted)
    return {path: package_key("rpm", *owner) for path, owner in answers.items()}


def _by_apk(host: Host, _notes: Notes, wanted: Wanted, _spell: Spell) -> dict[str, str]:
    answers = _apk.owned(_apk.read(host), wanted)
    return {path: package_key("apk", *owner) for path, owner in answers.items()}


def _merged(host: Host, notes: Notes) -> frozenset[bytes]:
    """Names of root folders that are links into /usr."""
    found = set()
    for name in _MERGED:
        try:
            if host.stat(f"/{name}", follow=False).kind == "link":
                target = host.readlink(f"/{name}").strip("/")
                if target == f"usr/{name}":
                    found.add(name.encode())
        except PathMissing:
            continue
        except HostError as error:
            notes.add(f"/{name}", error)
    return frozenset(found)


def _spellings(path: bytes, merged: frozenset[bytes]) -> tuple[bytes, ...]:
    parts = path.split(b"/", 3)
    if len(parts) > 2 and parts[1] in merged:
        return (path, b"/usr" + path)
    if len(parts) > 3 and parts[1] == b"usr" and parts[2] in merged:
        return (path, path[4:])
    return (path,)

"""One look-up of installed versions by package name, without parsing a whole database."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hauberk.ports import Host, Notes
from hauberk.schema.text import from_bytes

from . import _config

_PACKAGES_LIMIT = 32 * 1024 * 1024


class Packages:
    """Installed versions by name out of dpkg's and apk's text databases; read when first asked."""

    def __init__(self, host: Host, notes: Notes) -> None:
        self._host, self._notes = host, notes
        self._raw: dict[str, bytes] | None = None

    def version(self, names: Iterable[str]) -> str:
        """`name version` of the first installed one, or ""."""
        if self._raw is None:
            self._raw = {
                path: b"\n" + (_config.read(self._host, path, self._notes, _PACKAGES_LIMIT) or b"")
                for path in ("/var/lib/dpkg/status", "/lib/apk/db/installed")
            }
        for name in names:
            for path, label, mark in (
                ("/var/lib/dpkg/status", "Package: ", "\nVersion: "),
                ("/lib/apk/db/installed", "P:", "\nV:"),
            ):
                found = _stanza(self._raw[path], f"\n{label}{name}\n".encode(), mark.encode())
                if found:
                    return f"{name} {found}"
        return ""


def _stanza(raw: bytes, head: bytes, mark: bytes) -> str:
    at = raw.find(head)
    if at < 0:
        return ""
    end = raw.find(b"\n\n", at)
    stanza = raw[at : end if end >= 0 else None]
    if b"\nStatus: " in stanza and b" installed\n" not in stanza:
        return ""
    start = stanza.find(mark)
    return from_bytes(stanza[start + len(mark) :].split(b"\n", 1)[0]) if start >= 0 else ""


def upstream(package: str) -> str:
    """`nginx 1:1.22.1-9+deb12u1` -> `1.22.1`."""
    text = package.partition(" ")[2].partition(":")[2] or package.partition(" ")[2]
    return re.split(r"[-+~]", text, maxsplit=1)[0]

"""The apk database (Alpine, Wolfi) as bytes: `installed` holds packages and their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hauberk.errors import PathMissing
from hauberk.ports import Host
from hauberk.schema.text import from_bytes

PATHS = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
LIMIT = 128 * 1024 * 1024
MAX_PACKAGES = 200_000


class ApkPackage(NamedTuple):
    """One block; `size` in bytes, `built_s` seconds since 1970 (apk keeps no install time)."""

    name: str
    version: str
    arch: str
    origin: str
    maintainer: str
    license: str
    size: int | None
    built_s: int | None


def read(host: Host) -> bytes:
    """The database of `host`.

    Raises:
        PathMissing: there is none.
        HostError: it could not be read.
    """
    for path in PATHS[:-1]:
        try:
            return host.read(path, limit=LIMIT)
        except PathMissing:
            continue
    return host.read(PATHS[-1], limit=LIMIT)


def parse_installed(data: bytes) -> Iterator[ApkPackage]:
    """Packages in file order; blocks without a name or version are left out. Never raises."""
    count = 0
    for block in data.split(b"\n\n"):
        fields: dict[bytes, bytes] = {}
        for line in block.split(b"\n"):
            key, colon, value = line.partition(b":")
            if key in (b"F", b"R"):  # the files follow, nothing of the package comes after
                break
            if colon:
                fields.setdefault(key, value)
        name, version = _text(fields, b"P"), _text(fields, b"V")
        if not name or not version:
            continue
        count += 1
        if count > MAX_PACKAGES:
            return
        yield ApkPackage(
            name,
            version,
            _text(fields, b"A"),
            _text(fields, b"o") or name,
            _text(fields, b"m"),
            _text(fields, b"L"),
            _number(fields.get(b"I", b"")),
            _number(fields.get(b"t", b"")),
        )


def _text(fields: Mapping[bytes, bytes], key: bytes) -> str:
    return from_bytes(fields.get(key, b"").strip())


def _number(value: bytes) -> int | None:
    return int(value) if value.isdigit() and len(value) < 19 else None


def owned(data: bytes, wanted: Mapping[bytes, str]) -> dict[str, tuple[str, str]]:
    """Caller's path -> (package name, architecture), for spellings in `wanted`."""
    folders = {path.rpartition(b"/")[0].lstrip(b"/") for path in wanted}
    found: dict[str, tuple[str, str]] = {}
    name = arch = folder = b""
    for line in data.split(b"\n"):
        kind = line[:2]
        if kind == b"R:":
            if folder in folders:
                path = b"/" + folder + b"/" + line[2:] if folder else b"/" + line[2:]
                if path in wanted:
                    found.setdefault(wanted[path], (from_bytes(name), from_bytes(arch)))
        elif kind == b"F:":
            folder = line[2:]
        elif kind == b"P:":
            name, folder = line[2:], b""
        elif kind == b"A:":
            arch = line[2:]
    return found

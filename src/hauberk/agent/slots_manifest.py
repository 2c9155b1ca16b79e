"""What an agent package says of itself: `manifest.json`, its first file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from hauberk.errors import BadInput
from hauberk.link.wire import UNDECODABLE

NAME = "manifest.json"
MAX_MANIFEST = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a package; `link` is a symbolic link's text, then `sha256` is of nothing."""

    path: str
    mode: int = 0o644
    size: int = 0
    sha256: str = ""
    link: str = ""


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is bundled: for the bill of materials."""

    name: str
    version: str
    kind: Literal["python", "library", "interpreter", "product"]
    licence: str = ""
    source: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`arch` is the kernel's word (x86_64). `size`: bytes of all files. Paths are relative."""

    name: str
    version: str
    sequence: int
    arch: str
    size: int
    files: list[ManifestFile]
    components: list[Component] = []
    format: int = 1


def decode(raw: bytes, source: str = NAME) -> Manifest:
    """Raises BadInput when it is not a manifest of this format."""
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except UNDECODABLE as error:
        raise BadInput(f"not a package's manifest: {error}", source=source) from error
    if manifest.format != 1:
        raise BadInput(f"manifest format {manifest.format} is not known here", source=source)
    return manifest


def read(folder: Path) -> Manifest:
    """The manifest of an unpacked package.

    Raises:
        BadInput: missing or damaged.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST + 1)
    except OSError as error:
        raise BadInput(f"cannot be read: {error}", source=str(path)) from error
    if len(raw) > MAX_MANIFEST:
        raise BadInput(f"over {MAX_MANIFEST} bytes", source=str(path))
    return decode(raw, str(path))


def paths(manifest: Manifest) -> set[str]:
    """Everything that belongs to a package, its folders and its manifest too."""
    found = {NAME}
    for entry in manifest.files:
        found.add(entry.path)
        found.update(str(parent) for parent in PurePosixPath(entry.path).parents)
    return found - {"."}


def differences(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What is missing, changed or not listed below `folder`, one line each."""
    listed = {NAME}
    for entry in manifest.files:
        listed.add(entry.path)
        if wrong := _wrong(folder / entry.path, entry):
            yield f"{entry.path}: {wrong}"
    for top, _, names in os.walk(folder):
        for name in names:
            path = str((Path(top) / name).relative_to(folder))
            if path not in listed:
                yield f"{path}: not in the manifest"


def _wrong(path: Path, entry: ManifestFile) -> str:
    try:
        if entry.link or path.is_symlink():
            return "" if path.is_symlink() and str(path.readlink()) == entry.link else "changed"
        if path.stat().st_mode & 0o7777 != entry.mode:
            return "other permissions"
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"could not be checked: {error}"
    return "" if digest.hexdigest() == entry.sha256 else "changed"

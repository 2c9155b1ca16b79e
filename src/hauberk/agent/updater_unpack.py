"""Unpacks an agent package and trusts nothing in it: files, folders and links that stay inside.

Written by hand over `tarfile`'s reader, not `extractall`: older interpreters lack its filters, and
none of them bounds size and memory.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from hauberk.agent import slots_manifest
from hauberk.agent.slots_manifest import Manifest
from hauberk.errors import BadInput, StorageFull

MAX_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 20_000
MAX_DICTIONARY = 64 * 1024 * 1024
MAX_PATH, MAX_NAME = 1024, 255
_CHUNK = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Plain(tarfile.TarInfo):
    """Refuses extended headers: nothing that we make has them, and they are read into memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE):
            raise BadInput(
                f"{self.name!r}: type {self.type!r} is no file, folder or link", source="package"
            )
        if self.size < 0:
            raise BadInput(f"{self.name!r}: size {self.size}", source="package")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return member


class _Xz(io.RawIOBase):
    """Reads .xz with bounded memory and a bounded total."""

    def __init__(self, file: io.BufferedReader, limit: int) -> None:
        self._file, self._left = file, limit
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = size if size >= 0 else _CHUNK
        out = b""
        while not out and not self._decoder.eof and wanted:
            fresh = self._file.read(_CHUNK) if self._decoder.needs_input else b""
            if not fresh and self._decoder.needs_input:
                raise BadInput("the archive ends in the middle", source="package")
            out = self._decoder.decompress(fresh, wanted)
        self._left -= len(out)
        if self._left < 0:
            raise BadInput(f"unpacks to more than {MAX_BYTES} bytes", source="package")
        return out


class _Writer:
    """Creates what the members say below one folder that only we write to."""

    def __init__(self, into: Path, pace: Callable[[], None]) -> None:
        self._into, self._pace = into, pace
        self._folders, self._names = {PurePosixPath()}, set[PurePosixPath]()
        self.found: dict[str, slots_manifest.ManifestFile] = {}

    def member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = _inside(member.name)
        if path in self._names or (path in self._folders and not member.isdir()):
            raise BadInput(f"{member.name!r} comes twice", source="package")
        self._parents(path.parent)
        if member.isdir():
            self._parents(path)
            return
        self._names.add(path)
        target = self._into / path
        if member.issym():
            _link(path.parent, member.linkname)
            target.symlink_to(member.linkname)
            entry = slots_manifest.ManifestFile(path=str(path), link=member.linkname)
        else:
            source = tar.extractfile(member)
            if source is None:
                raise BadInput(f"{member.name!r} holds nothing", source="package")
            entry = self._file(str(path), target, source, member.mode & 0o755)
        self.found[entry.path] = entry

    def _parents(self, folder: PurePosixPath) -> None:
        """Only folders that were made here, so that no link leads the way."""
        if folder in self._folders:
            return
        if folder in self._names:
            raise BadInput(f"{str(folder)!r} is a file and a folder", source="package")
        self._parents(folder.parent)
        _folder(self._into / folder)
        self._folders.add(folder)

    def _file(
        self, path: str, target: Path, source: IO[bytes], mode: int
    ) -> slots_manifest.ManifestFile:
        digest, size = hashlib.sha256(), 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(target, flags, 0o600)
        with open(descriptor, "wb") as out:  # noqa: PTH123 a descriptor
            while data := source.read(_CHUNK):
                out.write(data)
                digest.update(data)
                size += len(data)
                self._pace()
            os.fchmod(out.fileno(), mode)
        return slots_manifest.ManifestFile(
            path=path, mode=mode, size=size, sha256=digest.hexdigest()
        )


def unpack(
    package: Path,
    into: Path,
    *,
    room: Callable[[int], None],
    pace: Callable[[], None] = lambda: None,
) -> Manifest:
    """Unpack `package` (.tar.xz) into the new folder `into` and compare it with its manifest.

    Args:
        package: the file.
        into: does not exist yet; after an error the caller removes it.
        room: asked once, with the bytes that the manifest announces; raises StorageFull.
        pace: called now and then; may sleep or raise.

    Raises:
        BadInput: hostile, damaged, or not what its manifest lists.
        StorageFull: no room on the device.
    """
    try:
        return _unpack(package, into, room, pace)
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"{into}: {error.strerror} while unpacking") from error
        raise
    except (lzma.LZMAError, tarfile.TarError, EOFError) as error:
        raise BadInput(f"damaged archive: {error}", source=str(package)) from error


def _unpack(
    package: Path, into: Path, room: Callable[[int], None], pace: Callable[[], None]
) -> Manifest:
    _folder(into)
    writer = _Writer(into, pace)
    with (
        package.open("rb") as file,
        tarfile.open(fileobj=_Xz(file, MAX_BYTES), mode="r|", tarinfo=_Plain) as tar,
    ):
        manifest: Manifest | None = None
        for count, member in enumerate(tar):
            if count >= MAX_MEMBERS:
                raise BadInput(f"more than {MAX_MEMBERS} members", source=str(package))
            if manifest is None:
                if member.name != slots_manifest.NAME or not member.isfile():
                    raise BadInput(
                        f"begins with {member.name!r}, not with {slots_manifest.NAME}",
                        source=str(package),
                    )
                if member.size > slots_manifest.MAX_MANIFEST:
                    raise BadInput("the manifest is too large", source=str(package))
                writer.member(tar, member)
                manifest = slots_manifest.read(into)
                if manifest.size > MAX_BYTES:
                    raise BadInput(f"announces {manifest.size} bytes", source=str(package))
                room(manifest.size)
                continue
            writer.member(tar, member)
    if manifest is None:
        raise BadInput("holds nothing", source=str(package))
    _compare(manifest, writer.found, str(package))
    sync_files(into)
    return manifest


def _compare(
    manifest: Manifest, found: dict[str, slots_manifest.ManifestFile], source: str
) -> None:
    found.pop(slots_manifest.NAME)
    listed = {entry.path: entry for entry in manifest.files}
    for path in sorted(listed.keys() | found.keys()):
        want, have = listed.get(path), found.get(path)
        if want is None:
            raise BadInput(f"{path} is not in the manifest", source=source)
        if have is None:
            raise BadInput(f"{path} is missing", source=source)
        if (want.sha256, want.link) != (have.sha256, have.link) or (
            not want.link and want.mode != have.mode
        ):
            raise BadInput(f"{path} is not what the manifest lists", source=source)


def _folder(path: Path) -> None:
    """As the files, whatever the service's umask: everybody may run the command in it."""
    path.mkdir(mode=0o700)
    path.chmod(0o755)


def _inside(name: str) -> PurePosixPath:
    """`name` as a path below the package. Raises BadInput when it is absolute or leaves it."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\0" in name or not parts or len(name) > MAX_PATH:
        raise BadInput(f"{name[:MAX_NAME]!r}: not a path inside the package", source="package")
    for part in parts:
        if part == "..":
            raise BadInput(f"{name!r} leaves the package", source="package")
        if len(part.encode("utf-8", "surrogateescape")) > MAX_NAME:
            raise BadInput(f"{part[:60]!r}...: name too long", source="package")
    return PurePosixPath(*parts)


def _link(folder: PurePosixPath, text: str) -> None:
    """A link in `folder` may go up at its beginning only, and not above the package.

    A ".." behind a name could follow another link to somewhere higher than it looks.
    """
    parts = list(PurePosixPath(text).parts)
    depth = len(folder.parts)
    while parts and parts[0] == "..":
        parts.pop(0)
        depth -= 1
    if depth < 0 or not parts:
        raise BadInput(f"link to {text!r} leaves the package", source="package")
    _inside("/" + text if text.startswith("/") else str(PurePosixPath(*parts)))


def sync_files(folder: Path) -> None:
    """Make everything on the filesystem of `folder` durable: one call instead of thousands."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)

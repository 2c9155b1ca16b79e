"""One file that holds named members: tar in zstd, with the SHA-256 of each at its end.

A member's name is data, never a path. What a file claims is believed after `check` alone, which
reads it to the end: a cut, damaged or foreign one gives one error and nothing of it is used.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
from backports import zstd

from hauberk.errors import BadInput
from hauberk.store.files import room, sync_folder

END = "end.json"
MAX_SMALL = 64 * 1024 * 1024
_COPY = 1024 * 1024
_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 3,
    zstd.CompressionParameter.checksum_flag: 1,
}
_WRONG = (tarfile.TarError, zstd.ZstdError, EOFError, OSError, ValueError)


class End(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last member: SHA-256 hex by member."""

    format: int
    sha256: dict[str, str]


FORMAT = 1


class Sink(Protocol):
    """Where an archive goes."""

    def write(self, data: bytes, /) -> object:
        """All of `data`."""


class Writer:
    """Writes a new archive. Use `create`."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._sha256: dict[str, str] = {}
        self.bytes = 0

    def add(self, name: str, data: bytes) -> None:
        """A small member."""
        self.stream(name, io.BytesIO(data), len(data))

    def stream(self, name: str, source: BinaryIO, size: int) -> None:
        """A member of exactly `size` bytes. Raises BadInput when the source holds fewer."""
        if name in self._sha256:
            raise BadInput("is in this archive already", source=name)
        told = tarfile.TarInfo(name)
        told.size = size
        # By hand: a tarfile that is given up writes its end all the same.
        self._out.write(told.tobuf(tarfile.PAX_FORMAT))
        reader = _Hashing(source)
        while reader.count < size:
            part = reader.read(min(_COPY, size - reader.count))
            if not part:
                raise BadInput(f"holds {reader.count} bytes, not {size}", source=name)
            self._out.write(part)
        self._out.write(bytes(-size % tarfile.BLOCKSIZE))
        self._sha256[name] = reader.sha256.hexdigest()
        self.bytes += size

    def close(self) -> None:
        """Write the end, without which nobody reads it."""
        self.add(END, msgspec.json.encode(End(format=FORMAT, sha256=self._sha256)))
        self._out.write(bytes(2 * tarfile.BLOCKSIZE))


@contextmanager
def create(path: Path) -> Iterator[Writer]:
    """A new archive at `path`, 0600, durable on leaving; what fails leaves no file.

    Raises:
        StorageFull: no room.
        BadInput: there is a file of this name.
    """
    if path.exists():
        raise BadInput("exists: choose another name or remove it", source=str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with room(str(path)):
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as out:
                with zstd.open(out, "wb", options=_OPTIONS) as packed:
                    writer = Writer(packed)
                    yield writer
                    writer.close()
                out.flush()
                os.fsync(out.fileno())
            part.rename(path)
            sync_folder(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def members(path: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    """(name, bytes, reader) of each member in order; a reader is good until the next is asked for.

    Raises:
        BadInput: the file is damaged, cut or no archive.
    """
    with (
        _readable(path),
        path.open("rb") as raw,
        zstd.open(raw, "rb") as packed,
        tarfile.open(fileobj=packed, mode="r|") as tar,
    ):
        for told in tar:
            reader = tar.extractfile(told) if told.isreg() else None
            if reader is None:
                raise BadInput(f"holds {told.name[:100]!r}, no file", source=str(path))
            yield told.name, told.size, reader  # type: ignore[misc]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput("no such file", source=str(path)) from error
    except _WRONG as error:
        raise BadInput(f"damaged, cut or no backup ({error})", source=str(path)) from error


def small(name: str, size: int, reader: BinaryIO) -> bytes:
    """The whole member. Raises BadInput over MAX_SMALL bytes."""
    if size > MAX_SMALL:
        raise BadInput(f"{size} bytes; at most {MAX_SMALL}", source=name)
    return reader.read()


def check(path: Path, progress: Callable[[int], None] = lambda _bytes: None) -> dict[str, str]:
    """Read all of it; SHA-256 by member.

    Raises:
        BadInput: it is not whole, or not what was written.
    """
    with _readable(path):
        return _check(path, progress)


def _check(path: Path, progress: Callable[[int], None]) -> dict[str, str]:
    found: dict[str, str] = {}
    end: End | None = None
    for name, size, reader in members(path):
        if end is not None or name in found:
            raise BadInput(f"{name[:100]!r} does not belong there", source=str(path))
        if name == END:
            end = _end(path, small(name, size, reader))
            continue
        hashing = _Hashing(reader)
        while hashing.read(_COPY):
            progress(hashing.count)
        if hashing.count != size:
            raise BadInput(f"{name!r} is cut", source=str(path))
        found[name] = hashing.sha256.hexdigest()
    if end is None:
        raise BadInput("has no end: the backup did not finish", source=str(path))
    for name in sorted(found.keys() | end.sha256.keys()):
        if found.get(name) != end.sha256.get(name):
            raise BadInput(f"{name!r} is not what was written", source=str(path))
    return found


def _end(path: Path, data: bytes) -> End:
    try:
        end = msgspec.json.decode(data, type=End)
    except msgspec.DecodeError as error:
        raise BadInput(f"its end cannot be read: {error}", source=str(path)) from error
    if end.format != FORMAT:
        raise BadInput(
            f"format {end.format}, this version reads {FORMAT}: use the version that wrote it",
            source=str(path),
        )
    return end


class _Hashing:
    """Reads through, and hashes what was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.sha256 = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.sha256.update(data)
        self.count += len(data)
        return data

"""Durable files: written beside, fsynced, renamed, and the folder fsynced too."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hauberk.errors import StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def room(what: str) -> Iterator[None]:
    """Turn "no space left" into StorageFull; other OSErrors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"{what}: no room left: free space on its disk") from error
        raise


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Make a folder's names durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Make a folder and its parents, durably; those that exist keep their mode."""
    missing: list[Path] = []
    at = path
    while not at.exists():
        missing.append(at)
        at = at.parent
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        sync_folder(folder.parent)


def name_of(folder: Path) -> str:
    """A random name that a folder keeps, whoever looks at it from where."""
    file = folder / ".name"
    if not file.exists():
        mine = folder / f".name.{secrets.token_hex(8)}"
        with room(str(folder)):
            write_atomic(mine, secrets.token_hex(8).encode(), mode=0o644)
        try:
            with suppress(FileExistsError):  # another process was faster
                os.link(mine, file)
        finally:
            mine.unlink()
        sync_folder(folder)
    return file.read_text("ascii")


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data`: after a crash it is the old or the new file, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    with room(str(path)):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            try:
                os.fchmod(handle, mode)
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

"""What LiveHost and RootHost share: error mapping, bounded reads over descriptors, walking."""

from __future__ import annotations

import errno
import os
import stat as st_mode
from collections.abc import Collection, Iterator
from typing import Literal, NoReturn

from hauberk.errors import HostError, PathDenied, PathMissing, PathTooLarge
from hauberk.ports import FileStat
from hauberk.schema.text import from_bytes, to_bytes

OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 18
# ESRCH: /proc files of a process that ended between opening and reading.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESRCH})
_DENIED = frozenset({errno.EACCES, errno.EPERM})


def fail(error: OSError, path: str) -> NoReturn:
    """Raise the HostError that `error` means for `path`."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _ABSENT:
        raise PathMissing(f"{path}: {reason}") from error
    if error.errno in _DENIED:
        raise PathDenied(f"{path}: {reason}; run as root to look at it") from error
    raise HostError(f"{path}: {reason}") from error


def raw(path: str) -> bytes:
    """The path's bytes. Raises HostError for a path that no file can have."""
    if not path.startswith("/"):
        raise HostError(f"{path!r}: give an absolute path")
    if "\0" in path:
        raise HostError(f"{path!r}: a path holds no NUL")
    try:
        return to_bytes(path)
    except UnicodeEncodeError as error:
        raise HostError(f"{path!r}: not encodable; take names from listdir") from error


def name_of(entry: str) -> str:
    """A name as `os.listdir` gives it, as the schema's text."""
    return entry if entry.isascii() else from_bytes(os.fsencode(entry))


def kind_of(mode: int) -> Literal["file", "dir", "link", "other"]:
    """What a file's mode says it is."""
    if st_mode.S_ISREG(mode):
        return "file"
    if st_mode.S_ISDIR(mode):
        return "dir"
    return "link" if st_mode.S_ISLNK(mode) else "other"


def to_stat(path: str, found: os.stat_result) -> FileStat:
    """FileStat from the operating system's answer; `mode` holds the permission bits only."""
    return FileStat(
        path=path,
        kind=kind_of(found.st_mode),
        size=found.st_size,
        mode=st_mode.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        mtime_ns=found.st_mtime_ns,
        inode=found.st_ino,
        device=found.st_dev,
    )


def read_all(fd: int, path: str, limit: int) -> bytes:
    """Everything behind `fd`. Raises PathTooLarge over `limit` bytes, HostError."""
    try:
        data = read_head(fd, limit + 1)
    except OSError as error:
        fail(error, path)
    if len(data) > limit:
        raise PathTooLarge(f"{path}: larger than {limit} bytes; read its head instead")
    return data


def read_head(fd: int, size: int) -> bytes:
    """At most `size` bytes from `fd`; sizes in /proc are 0, so it reads to the end."""
    part = os.read(fd, min(_CHUNK, size))
    if len(part) >= size or not part:
        return part
    parts = [part]
    left = size - len(part)
    while left > 0 and (part := os.read(fd, min(_CHUNK, left))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def walk_fd(
    fd: int, top: str, skip: Collection[str], max_depth: int, device: int | None = None
) -> Iterator[FileStat]:
    """Everything below the open folder `fd`, name-sorted, folders before what they hold.

    Holds one descriptor per level; entries that vanish meanwhile are left out.
    """
    if device is None:
        device = os.fstat(fd).st_dev
    try:
        names = sorted(os.listdir(fd))
    except OSError:
        return
    prefix = "/" if top == "/" else f"{top}/"
    for entry in names:
        path = prefix + name_of(entry)
        if path in skip:
            continue
        try:
            found = os.stat(entry, dir_fd=fd, follow_symlinks=False)
        except OSError:
            continue
        if found.st_dev != device:
            continue
        yield to_stat(path, found)
        if not st_mode.S_ISDIR(found.st_mode) or max_depth <= 1:
            continue
        try:
            child = os.open(entry, DIR_FLAGS, dir_fd=fd)
        except OSError:
            continue
        try:
            yield from walk_fd(child, path, skip, max_depth - 1, device)
        finally:
            os.close(child)

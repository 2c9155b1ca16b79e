"""What LiveHost and RootHost share: error mapping, bounded reads over descriptors, walking."""

from __future__ import annotations

import errno
import os
import stat as st_mode
from collections.abc import Callable, Collection, Iterator
from typing import Literal, NoReturn

from hauberk.errors import HostError, PathDenied, PathMissing, PathTooLarge
from hauberk.ports import FileStat
from hauberk.schema.text import from_bytes, to_bytes

OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 18
# Names of one folder that are held at once: anybody can make a folder of millions.
MAX_NAMES = 200_000
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


class _Level:
    """One open folder of a walk: what is left to look at below it."""

    __slots__ = ("cut", "depth", "fd", "left", "prefix")

    def __init__(
        self, fd: int, path: str, depth: int, wanted: Callable[[str], bool] | None = None
    ) -> None:
        self.fd = fd
        self.prefix = "/" if path == "/" else f"{path}/"
        self.depth = depth
        self.left: list[tuple[str, bool]] = []
        self.cut = False
        with os.scandir(fd) as entries:
            for entry in entries:
                folder = entry.is_dir(follow_symlinks=False)
                if not (folder or wanted is None or wanted(name_of(entry.name))):
                    continue
                if len(self.left) >= MAX_NAMES:
                    self.cut = True
                    break
                self.left.append((entry.name, folder))
        self.left.sort(reverse=True)


def walk_fd(
    fd: int,
    top: str,
    skip: Collection[str],
    max_depth: int,
    wanted: Callable[[str], bool] | None = None,
    denied: Callable[[str, str], None] | None = None,
) -> Iterator[FileStat]:
    """Everything below the open folder `fd`, name-sorted, folders before what they hold.

    Holds one descriptor per level (`fd` itself stays the caller's); entries that vanish meanwhile
    are left out. See `ports.Host.walk` for `wanted` and `denied`.
    """
    device = os.fstat(fd).st_dev
    levels: list[_Level] = []
    try:
        _enter(levels, os.dup(fd), top, 1, wanted, denied)
        while levels:
            level = levels[-1]
            if not level.left:
                os.close(levels.pop().fd)
                continue
            entry, folder = level.left.pop()
            name = name_of(entry)
            path = level.prefix + name
            if path in skip:
                continue
            try:
                found = os.stat(entry, dir_fd=level.fd, follow_symlinks=False)
            except OSError:
                continue
            if found.st_dev != device:
                continue
            yield to_stat(path, found)
            if folder and level.depth < max_depth:
                try:
                    child = os.open(entry, DIR_FLAGS, dir_fd=level.fd)
                except OSError as error:
                    _refused(error, path, denied)
                    continue
                _enter(levels, child, path, level.depth + 1, wanted, denied)
    finally:
        for level in levels:
            os.close(level.fd)


def _enter(
    levels: list[_Level],
    fd: int,
    path: str,
    depth: int,
    wanted: Callable[[str], bool] | None,
    denied: Callable[[str, str], None] | None,
) -> None:
    try:
        level = _Level(fd, path, depth, wanted)
    except OSError as error:
        os.close(fd)
        _refused(error, path, denied)
        return
    levels.append(level)
    if level.cut and denied is not None:
        denied(path, f"more than {MAX_NAMES} names: the rest is left out")


def _refused(error: OSError, path: str, denied: Callable[[str, str], None] | None) -> None:
    if denied is not None and error.errno not in _ABSENT:
        denied(path, os.strerror(error.errno or 0))

"""A mounted or unpacked root as a Host. No link in it leads out of it."""

from __future__ import annotations

import os
import stat as st_mode
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import BinaryIO, Self

from hauberk.errors import HostError, NotLive, PathDenied, PathMissing
from hauberk.ports import DEFAULT_READ_LIMIT, ContainerRuntime, FileStat, FsUsage, HostKind
from hauberk.schema.text import from_bytes

from . import _files

_MAX_LINKS = 40
_MAX_DEPTH = 256
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Files that a running system keeps fresh: the newest tells when the root was last alive.
_FRESH = (
    "/var/lib/dpkg/status",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/lib/apk/db/installed",
    "/var/log",
    "/var/log/wtmp",
    "/var/log/journal",
    "/etc",
    "/etc/passwd",
    "/etc/ld.so.cache",
    "/",
)


class RootHost:
    """The root folder `path` of another system; also `/proc/PID/root` of a container.

    Paths are resolved component by component over descriptors: absolute links start again at
    this root, `..` stops there, and nothing but regular files and folders is ever opened.
    """

    def __init__(self, path: str) -> None:
        self.kind: HostKind = "root"
        self.name = path
        self._root = -1
        try:
            self._root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            _files.fail(error, path)

    def close(self) -> None:
        """Give the root's descriptor back."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _resolve(self, path: str, *, follow: bool = True) -> int:
        """An O_PATH descriptor of what `path` names; close it."""
        todo = [p for p in reversed(_files.raw(path).split(b"/")) if p not in (b"", b".")]
        stack = [os.dup(self._root)]
        hops = 0
        try:
            while todo:
                part = todo.pop()
                if part == b"..":
                    if len(stack) > 1:
                        os.close(stack.pop())
                    continue
                if len(stack) > _MAX_DEPTH:
                    raise HostError(f"{path}: more than {_MAX_DEPTH} levels deep")
                step = os.open(part, _STEP, dir_fd=stack[-1])
                stack.append(step)
                if not st_mode.S_ISLNK(os.fstat(step).st_mode) or not (todo or follow):
                    continue
                hops += 1
                if hops > _MAX_LINKS:
                    raise HostError(f"{path}: too many levels of symbolic links")
                target = os.readlink(b"", dir_fd=step)
                os.close(stack.pop())
                if target.startswith(b"/"):
                    while len(stack) > 1:
                        os.close(stack.pop())
                todo += [p for p in reversed(target.split(b"/")) if p not in (b"", b".")]
            return stack.pop()
        except OSError as error:
            _files.fail(error, path)
        finally:
            for fd in stack:
                os.close(fd)

    def _open(self, path: str, flags: int, what: str) -> int:
        fd = self._resolve(path)
        try:
            mode = os.fstat(fd).st_mode
            if what == "file" and not st_mode.S_ISREG(mode):
                raise HostError(f"{path}: not a regular file")
            if what == "dir" and not st_mode.S_ISDIR(mode):
                raise PathMissing(f"{path}: not a directory")
            # By the descriptor, so that it is the very thing that was looked at.
            return os.open(f"/proc/self/fd/{fd}", flags)
        except OSError as error:
            _files.fail(error, path)
        finally:
            os.close(fd)

    def read(self, path: str, *, limit: int = DEFAULT_READ_LIMIT) -> bytes:
        """The whole file. Raises PathTooLarge over `limit` bytes."""
        fd = self._open(path, _files.OPEN_FLAGS, "file")
        try:
            return _files.read_all(fd, path, limit)
        finally:
            os.close(fd)

    def head(self, path: str, size: int) -> bytes:
        """At most the first `size` bytes."""
        fd = self._open(path, _files.OPEN_FLAGS, "file")
        try:
            return _files.read_head(fd, size)
        except OSError as error:
            _files.fail(error, path)
        finally:
            os.close(fd)

    def open(self, path: str) -> BinaryIO:
        """A seekable reader of a regular file; close it."""
        return os.fdopen(self._open(path, _files.OPEN_FLAGS, "file"), "rb")

    def _open_dir(self, path: str) -> int:
        return self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, "dir")

    def listdir(self, path: str) -> list[str]:
        """Entry names, sorted."""
        fd = self._open_dir(path)
        try:
            return sorted(_files.name_of(n) for n in os.listdir(fd))  # noqa: PTH208
        except OSError as error:
            _files.fail(error, path)
        finally:
            os.close(fd)

    def stat(self, path: str, *, follow: bool = True) -> FileStat:
        """Size, owner, times."""
        fd = self._resolve(path, follow=follow)
        try:
            return _files.to_stat(path, os.fstat(fd))
        finally:
            os.close(fd)

    def exists(self, path: str) -> bool:
        """False only when the path is absent."""
        try:
            os.close(self._resolve(path))
        except PathMissing:
            return False
        return True

    def readlink(self, path: str) -> str:
        """The link's text, not resolved."""
        fd = self._resolve(path, follow=False)
        try:
            if not st_mode.S_ISLNK(os.fstat(fd).st_mode):
                raise HostError(f"{path}: not a symbolic link")
            return from_bytes(os.readlink(b"", dir_fd=fd))
        except OSError as error:
            _files.fail(error, path)
        finally:
            os.close(fd)

    def walk(
        self,
        top: str,
        *,
        skip: Collection[str] = (),
        max_depth: int = 64,
        wanted: Callable[[str], bool] | None = None,
        denied: Callable[[str, str], None] | None = None,
    ) -> Iterator[FileStat]:
        """Everything below `top` on the same filesystem, never following links."""
        fd = self._open_dir(top)
        try:
            start = top.rstrip("/") or "/"
            yield from _files.walk_fd(fd, start, frozenset(skip), max_depth, wanted, denied)
        finally:
            os.close(fd)

    def usage(self, path: str) -> FsUsage:
        """Raises NotLive: space belongs to the machine that mounted this root."""
        raise NotLive(f"{path}: {self.name} is files only, it has no space figures of its own")

    def tool(self, argv: Sequence[str]) -> bytes:
        """Raises NotLive: nothing of another system is ever run."""
        raise NotLive(f"{' '.join(argv)}: {self.name} is files only, nothing in it is run")

    def runtimes(self) -> Sequence[ContainerRuntime]:
        """None: no process of this root is running."""
        return ()

    def now_ns(self) -> int:
        """The newest time among files that a running system keeps fresh."""
        newest = 0
        for path in _FRESH:
            try:
                newest = max(newest, self.stat(path).mtime_ns)
            except (PathMissing, PathDenied):
                continue
        return newest

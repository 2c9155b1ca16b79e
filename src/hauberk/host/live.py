"""The running machine as a Host."""

from __future__ import annotations

import os
import stat as st_mode
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import BinaryIO

from hauberk.errors import HostError, PathDenied, PathMissing
from hauberk.ports import DEFAULT_READ_LIMIT, ContainerRuntime, FileStat, FsUsage, HostKind
from hauberk.schema.text import from_bytes

from . import _files
from .runtimes import find_runtimes

TOOL_TIMEOUT_S = 10.0
TOOL_LIMIT = 64 * 1024 * 1024
TOOL_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Only these exact argument lists run: each reads and changes nothing.
TOOLS: frozenset[tuple[str, ...]] = frozenset(
    {
        ("nft", "-j", "list", "ruleset"),
        ("nft", "-j", "-a", "list", "ruleset"),
        ("iptables-save",),
        ("ip6tables-save",),
        ("iptables-nft-save",),
        ("ip6tables-nft-save",),
        ("iptables-legacy-save",),
        ("ip6tables-legacy-save",),
        ("ebtables-save",),
        ("ipset", "save"),
        ("ip", "-j", "addr", "show"),
        ("ip", "-j", "link", "show"),
        ("ip", "-j", "rule", "show"),
        ("ip", "-j", "route", "show"),
        ("ip", "-j", "route", "show", "table", "all"),
        ("ip", "-6", "-j", "route", "show", "table", "all"),
        ("ip", "-j", "neigh", "show"),
    }
)


class LiveHost:
    """This machine. Reads never block on FIFOs or devices; tools come from an allow-list."""

    def __init__(self) -> None:
        self.kind: HostKind = "live"
        self.name = os.uname().nodename

    def _open(self, path: str) -> int:
        name = _files.raw(path)
        try:
            if not st_mode.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - bytes path
                raise HostError(f"{path}: not a regular file")
            fd = os.open(name, _files.OPEN_FLAGS)
        except OSError as error:
            _files.fail(error, path)
        # Looked at again: it may have been exchanged between stat and open.
        if not st_mode.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise HostError(f"{path}: not a regular file")
        return fd

    def read(self, path: str, *, limit: int = DEFAULT_READ_LIMIT) -> bytes:
        """The whole file. Raises PathTooLarge over `limit` bytes."""
        fd = self._open(path)
        try:
            return _files.read_all(fd, path, limit)
        finally:
            os.close(fd)

    def head(self, path: str, size: int) -> bytes:
        """At most the first `size` bytes."""
        fd = self._open(path)
        try:
            return _files.read_head(fd, size)
        except OSError as error:
            _files.fail(error, path)
        finally:
            os.close(fd)

    def open(self, path: str) -> BinaryIO:
        """A seekable reader of a regular file; close it."""
        return os.fdopen(self._open(path), "rb")

    def listdir(self, path: str) -> list[str]:
        """Entry names, sorted."""
        try:
            return sorted(from_bytes(n) for n in os.listdir(_files.raw(path)))  # noqa: PTH208
        except OSError as error:
            _files.fail(error, path)

    def stat(self, path: str, *, follow: bool = True) -> FileStat:
        """Size, owner, times."""
        try:
            return _files.to_stat(path, os.stat(_files.raw(path), follow_symlinks=follow))  # noqa: PTH116
        except OSError as error:
            _files.fail(error, path)

    def exists(self, path: str) -> bool:
        """False only when the path is absent."""
        try:
            self.stat(path)
        except PathMissing:
            return False
        return True

    def readlink(self, path: str) -> str:
        """The link's text, not resolved."""
        try:
            return from_bytes(os.readlink(_files.raw(path)))  # noqa: PTH115 - bytes path
        except OSError as error:
            _files.fail(error, path)

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
        try:
            fd = os.open(_files.raw(top), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            _files.fail(error, top)
        try:
            start = top.rstrip("/") or "/"
            yield from _files.walk_fd(fd, start, frozenset(skip), max_depth, wanted, denied)
        finally:
            os.close(fd)

    def usage(self, path: str) -> FsUsage:
        """Space of the filesystem that holds `path`."""
        try:
            found = os.statvfs(_files.raw(path))
        except OSError as error:
            _files.fail(error, path)
        return FsUsage(
            total=found.f_blocks * found.f_frsize,
            free=found.f_bfree * found.f_frsize,
            available=found.f_bavail * found.f_frsize,
        )

    def tool(self, argv: Sequence[str]) -> bytes:
        """Standard output of an allowed read-only tool, C locale, no inherited environment."""
        if tuple(argv) not in TOOLS:
            raise HostError(f"{' '.join(argv)}: not on the list of read-only tools")
        program = _find_tool(argv[0])
        try:
            done = subprocess.run(
                [program, *argv[1:]],
                env={"PATH": ":".join(TOOL_FOLDERS), "LANG": "C", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TOOL_TIMEOUT_S,
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise HostError(f"{program}: no answer within {TOOL_TIMEOUT_S:.0f} s") from error
        except OSError as error:
            _files.fail(error, program)
        if done.returncode != 0:
            said = from_bytes(done.stderr[-500:]).strip()
            raise HostError(f"{program}: exit code {done.returncode}: {said}")
        if len(done.stdout) > TOOL_LIMIT:
            raise HostError(f"{program}: wrote more than {TOOL_LIMIT} bytes")
        return done.stdout

    def runtimes(self) -> Sequence[ContainerRuntime]:
        """Container runtimes whose socket exists."""
        return find_runtimes(self, os.environ.get("HAUBERK_CONTAINER_SOCKETS", ""))

    def now_ns(self) -> int:
        """Wall clock, ns."""
        return time.time_ns()


def _find_tool(name: str) -> str:
    for folder in TOOL_FOLDERS:
        path = f"{folder}/{name}"
        try:
            found = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            continue
        except OSError as error:
            _files.fail(error, path)
        # As root we run nothing that another user could have put there.
        if found.st_uid != 0 or found.st_mode & 0o022:
            raise PathDenied(f"{path}: not root's alone; mend its owner or mode")
        return path
    raise PathMissing(f"{name}: no such tool in {':'.join(TOOL_FOLDERS)}")

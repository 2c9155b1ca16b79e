"""A Host made of a dict, so that tests never touch the machine."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from hauberk.errors import HostError, NotLive, PathDenied, PathMissing, PathTooLarge
from hauberk.ports import (
    DEFAULT_READ_LIMIT,
    ContainerInfo,
    ContainerRuntime,
    FileStat,
    FsUsage,
    HostKind,
    ImageInfo,
)

_MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Node:
    """A file with more than contents. `kind="other"` is a socket, FIFO or device."""

    data: bytes | str = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    kind: Literal["file", "dir", "other"] = "file"


@dataclass(frozen=True, slots=True)
class DictRuntime:
    """A container runtime of given answers; with `error` every call raises it."""

    name: str = "docker"
    socket: str = "/var/run/docker.sock"
    held_version: str = "1"
    held_storage: str = "overlay2"
    held_containers: Sequence[ContainerInfo] = ()
    held_images: Sequence[ImageInfo] = ()
    held_registries: Sequence[str] = ()
    error: HostError | None = None

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def version(self) -> str:
        """The version given."""
        self._check()
        return self.held_version

    def storage(self) -> str:
        """The storage driver given."""
        self._check()
        return self.held_storage

    def containers(self) -> Sequence[ContainerInfo]:
        """The containers given."""
        self._check()
        return self.held_containers

    def images(self) -> Sequence[ImageInfo]:
        """The images given."""
        self._check()
        return self.held_images

    def registries(self) -> Sequence[str]:
        """The registries given."""
        self._check()
        return self.held_registries


class DictHost:
    """A machine of `files`: path -> contents (bytes, str or Node); "/x/" is an empty folder.

    Args:
        files: parents exist by themselves.
        kind: "live" lets `tool` and `usage` answer; "dict" and "root" raise NotLive there.
        links: link path -> target text; absolute targets stay inside.
        denied: may be stat'ed but not read; everything below raises PathDenied.
        tools: argv joined by spaces -> standard output, or an error to raise.
        runtimes: container runtimes to answer with.
        usage: mount point -> space; the longest prefix answers.
        now_ns: wall clock; the newest file time by default.
        name: for messages.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | str | Node] | None = None,
        *,
        kind: HostKind = "dict",
        links: Mapping[str, str] | None = None,
        denied: Collection[str] = (),
        tools: Mapping[str, bytes | str | HostError] | None = None,
        runtimes: Sequence[ContainerRuntime] = (),
        usage: Mapping[str, FsUsage] | None = None,
        now_ns: int | None = None,
        name: str = "dict",
    ) -> None:
        self.kind: HostKind = kind
        self.name = name
        self._nodes: dict[str, Node] = {"/": Node(kind="dir", mode=0o755)}
        self._links = dict(links or {})
        self._denied = frozenset(denied)
        self._tools = dict(tools or {})
        self._runtimes = tuple(runtimes)
        self._usage = dict(usage or {})
        self._children: dict[str, set[str]] = {"/": set()}
        for path, value in (files or {}).items():
            if path.endswith("/"):
                self._add(path.rstrip("/") or "/", Node(kind="dir", mode=0o755))
            else:
                self._add(path, value if isinstance(value, Node) else Node(value))
        for path in (*self._links, *(p for p in self._denied if p not in self._nodes)):
            self._add(path, Node())
        self._now_ns = now_ns
        self._inodes = {path: number for number, path in enumerate(sorted(self._nodes), 2)}

    def _add(self, path: str, node: Node) -> None:
        if not path.startswith("/"):
            raise ValueError(f"{path!r}: give an absolute path")
        self._nodes[path] = node
        if node.kind == "dir":
            self._children.setdefault(path, set())
        while path != "/":
            parent, _, base = path.rpartition("/")
            parent = parent or "/"
            self._children.setdefault(parent, set()).add(base)
            known = self._nodes.get(parent)
            if known is None or known.kind != "dir":
                self._nodes[parent] = Node(kind="dir", mode=0o755)
            path = parent

    def _resolve(self, path: str, *, follow: bool = True) -> str:
        if not path.startswith("/"):
            raise HostError(f"{path!r}: give an absolute path")
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        here = "/"
        hops = 0
        while todo:
            part = todo.pop()
            if part == "..":
                here = posixpath.dirname(here)
                continue
            if here in self._denied:
                raise PathDenied(f"{path}: permission denied")
            if here not in self._children:
                raise PathMissing(f"{path}: not a directory: {here}")
            here = posixpath.join(here, part)
            if here in self._links and (todo or follow):
                hops += 1
                if hops > _MAX_LINKS:
                    raise HostError(f"{path}: too many levels of symbolic links")
                target = self._links[here]
                here = "/" if target.startswith("/") else posixpath.dirname(here)
                todo += [p for p in reversed(target.split("/")) if p not in ("", ".")]
            elif here not in self._nodes:
                raise PathMissing(f"{path}: no such file or directory")
        return here

    def _data(self, path: str) -> bytes:
        real = self._resolve(path)
        if real in self._denied:
            raise PathDenied(f"{path}: permission denied")
        node = self._nodes[real]
        if node.kind != "file":
            raise HostError(f"{path}: not a regular file")
        return node.data if isinstance(node.data, bytes) else node.data.encode()

    def read(self, path: str, *, limit: int = DEFAULT_READ_LIMIT) -> bytes:
        """The whole file."""
        data = self._data(path)
        if len(data) > limit:
            raise PathTooLarge(f"{path}: larger than {limit} bytes; read its head instead")
        return data

    def head(self, path: str, size: int) -> bytes:
        """At most the first `size` bytes."""
        return self._data(path)[:size]

    def open(self, path: str) -> BinaryIO:
        """A seekable reader."""
        return io.BytesIO(self._data(path))

    def listdir(self, path: str) -> list[str]:
        """Entry names, sorted."""
        real = self._resolve(path)
        if real in self._denied:
            raise PathDenied(f"{path}: permission denied")
        if real not in self._children:
            raise PathMissing(f"{path}: not a directory")
        return sorted(self._children[real])

    def stat(self, path: str, *, follow: bool = True) -> FileStat:
        """Size, owner, times; links are 0777, folders 0755 unless a Node says otherwise."""
        real = self._resolve(path, follow=follow)
        if real in self._links:
            return self._stat(path, real, "link", len(self._links[real]), 0o777)
        node = self._nodes[real]
        data = node.data if isinstance(node.data, bytes) else node.data.encode()
        return self._stat(path, real, node.kind, len(data), node.mode)

    def _stat(
        self,
        path: str,
        real: str,
        kind: Literal["file", "dir", "link", "other"],
        size: int,
        mode: int,
    ) -> FileStat:
        node = self._nodes[real]
        return FileStat(
            path=path,
            kind=kind,
            size=size,
            mode=mode,
            uid=node.uid,
            gid=node.gid,
            mtime_ns=node.mtime_ns,
            inode=self._inodes[real],
            device=1,
        )

    def exists(self, path: str) -> bool:
        """False only when the path is absent."""
        try:
            self._resolve(path)
        except PathMissing:
            return False
        return True

    def readlink(self, path: str) -> str:
        """The link's text."""
        real = self._resolve(path, follow=False)
        if real in self._denied:
            raise PathDenied(f"{path}: permission denied")
        if real not in self._links:
            raise HostError(f"{path}: not a symbolic link")
        return self._links[real]

    def walk(
        self,
        top: str,
        *,
        skip: Collection[str] = (),
        max_depth: int = 64,
        wanted: Callable[[str], bool] | None = None,
        denied: Callable[[str, str], None] | None = None,
    ) -> Iterator[FileStat]:
        """Everything below `top`, never following links."""
        prefix = "/" if top == "/" else f"{top.rstrip('/')}/"
        for name in self.listdir(top):
            path = prefix + name
            if path in skip:
                continue
            found = self.stat(path, follow=False)
            if found.kind != "dir" and wanted is not None and not wanted(name):
                continue
            yield found
            if found.kind != "dir" or max_depth <= 1:
                continue
            if path in self._denied:
                if denied is not None:
                    denied(path, "Permission denied")
                continue
            yield from self.walk(
                path, skip=skip, max_depth=max_depth - 1, wanted=wanted, denied=denied
            )

    def usage(self, path: str) -> FsUsage:
        """Space by the longest mount point given."""
        if self.kind != "live":
            raise NotLive(f"{path}: this host is files only, it has no space figures")
        self._resolve(path)
        fits = [m for m in self._usage if path == m or path.startswith(m.rstrip("/") + "/")]
        if not fits:
            raise HostError(f"{path}: this DictHost was given no usage for it")
        return self._usage[max(fits, key=len)]

    def tool(self, argv: Sequence[str]) -> bytes:
        """The output given for these arguments."""
        line = " ".join(argv)
        if self.kind != "live":
            raise NotLive(f"{line}: this host is files only, it runs no tools")
        answer = self._tools.get(line)
        if answer is None:
            raise PathMissing(f"{argv[0]}: no such tool on this machine")
        if isinstance(answer, HostError):
            raise answer
        return answer if isinstance(answer, bytes) else answer.encode()

    def runtimes(self) -> Sequence[ContainerRuntime]:
        """The runtimes given."""
        return self._runtimes

    def now_ns(self) -> int:
        """The clock given, else the newest file time."""
        if self._now_ns is not None:
            return self._now_ns
        return max(node.mtime_ns for node in self._nodes.values())

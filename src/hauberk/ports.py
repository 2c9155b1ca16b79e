"""What the pure parts need from the world, as Protocols. Implementations live above.

`Host` is the live machine, a mounted root, an image or a test's dict; collectors and checks see
nothing else, so that every way in gives equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, Protocol

import msgspec

from .schema.asset import Asset, Problem

HostKind = Literal["live", "root", "dict"]
DEFAULT_READ_LIMIT = 16 * 1024 * 1024


class FileStat(msgspec.Struct, frozen=True, kw_only=True):
    """What lstat or stat says. `kind` of other things (sockets, devices) is "other"."""

    path: str
    kind: Literal["file", "dir", "link", "other"]
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    inode: int = 0
    device: int = 0


class FsUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a mounted filesystem."""

    total: int
    free: int
    available: int


class ContainerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A container as its runtime's socket tells it."""

    id: str
    name: str
    runtime: str
    image: str = ""
    image_id: str = ""
    state: str = ""
    pid: int = 0
    created_ns: int = 0
    command: str = ""
    labels: dict[str, str] = {}
    ports: list[str] = []
    mounts: list[str] = []
    privileged: bool | None = None
    network_mode: str = ""


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A local image as its runtime's socket tells it."""

    id: str
    runtime: str
    tags: list[str] = []
    digests: list[str] = []
    size: int = 0
    created_ns: int = 0


class ContainerRuntime(Protocol):
    """One container runtime reached through its socket."""

    @property
    def name(self) -> str:
        """docker, containerd, podman, cri-o."""

    @property
    def socket(self) -> str:
        """Path of the socket."""

    def version(self) -> str:
        """Version of the runtime. Raises HostError when the socket does not answer."""

    def storage(self) -> str:
        """Storage driver, such as overlay2. Raises HostError."""

    def containers(self) -> Sequence[ContainerInfo]:
        """All containers, also stopped ones. Raises HostError."""

    def images(self) -> Sequence[ImageInfo]:
        """All local images. Raises HostError."""

    def registries(self) -> Sequence[str]:
        """Registries and mirrors that the runtime is configured with. Raises HostError."""


class Host(Protocol):
    """Reads one machine. Paths are absolute, in the machine's own view; links stay inside it.

    Every method raises PathMissing (absent), PathDenied (could not look) or another HostError.
    """

    @property
    def kind(self) -> HostKind:
        """Whether /proc, sockets and tools exist."""

    @property
    def name(self) -> str:
        """Host name or folder, for messages."""

    def read(self, path: str, *, limit: int = DEFAULT_READ_LIMIT) -> bytes:
        """The whole file. Raises PathTooLarge over `limit` bytes."""

    def head(self, path: str, size: int) -> bytes:
        """At most the first `size` bytes."""

    def open(self, path: str) -> BinaryIO:
        """A seekable reader of a regular file; close it."""

    def listdir(self, path: str) -> list[str]:
        """Entry names, sorted."""

    def stat(self, path: str, *, follow: bool = True) -> FileStat:
        """Size, owner, times."""

    def exists(self, path: str) -> bool:
        """False only when the path is absent. Raises PathDenied when it cannot tell."""

    def readlink(self, path: str) -> str:
        """The link's text, not resolved."""

    def walk(
        self,
        top: str,
        *,
        skip: Collection[str] = (),
        max_depth: int = 64,
        wanted: Callable[[str], bool] | None = None,
        denied: Callable[[str, str], None] | None = None,
    ) -> Iterator[FileStat]:
        """Everything below `top` on the same filesystem, never following links.

        `skip` holds absolute folders to leave out. `wanted` is asked the bare name of what is not
        a folder: what it refuses is neither looked at nor given (far cheaper than filtering).
        `denied` is told (path, reason) of each folder that could not be read.
        """

    def usage(self, path: str) -> FsUsage:
        """Space of the filesystem that holds `path`. Raises NotLive."""

    def tool(self, argv: Sequence[str]) -> bytes:
        """Standard output of a read-only tool of the machine (`nft -j list ruleset`).

        Raises NotLive, PathMissing (no such tool), HostError (it failed or hung).
        """

    def runtimes(self) -> Sequence[ContainerRuntime]:
        """Container runtimes whose socket exists; empty where there is none."""

    def now_ns(self) -> int:
        """Wall clock of the machine, ns; the newest file time where it is not live."""


@dataclass(slots=True)
class Notes:
    """Where a collector says what it could not look at.

    `hidden`: rows may be missing because of it, so that a missing row does not mean "gone".
    `pace`: to be called now and then by a search that gives no rows for long; it may sleep.
    """

    problems: list[Problem] = field(default_factory=list)
    limit: int = 200
    hidden: bool = False
    pace: Callable[[], None] = lambda: None

    def add(self, where: str, what: object, *, hides: bool = False) -> None:
        """Note one problem; past `limit` they are only counted in the last one.

        `hides`: whole rows may be missing, not just a field of some.
        """
        self.hidden = self.hidden or hides
        if len(self.problems) < self.limit:
            self.problems.append(Problem(where=where, what=str(what)))
        elif len(self.problems) == self.limit:
            self.problems.append(Problem(where="...", what="more problems than can be listed"))


@dataclass(frozen=True, slots=True)
class Collector:
    """One asset subclass: its Struct and how it is read from a Host.

    `collect` yields rows, notes what it could not read, and raises HostError only when nothing at
    all could be looked at. It raises NotLive when the subclass needs a running machine.
    `every_s` is the default interval.
    """

    subclass: str
    struct: type[Asset]
    collect: Callable[[Host, Notes], Iterator[Asset]]
    every_s: int


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, may jump."""

    def mono_ns(self) -> int:
        """Nanoseconds since boot, never jumps."""


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One verified batch: who sent it, when it came, and the envelope's bytes.

    `digest` tells a repetition from other content under the same sequence; it is asked for by
    `append` alone, and empty in what `read` gives.
    """

    tenant: str
    workload: str
    agent: str
    boot: str
    sequence: int
    received_ns: int
    body: bytes
    position: int = 0
    digest: bytes = b""


class Log(Protocol):
    """One partition of the inbox, as its consumers see it. Positions rise; they may leave gaps."""

    @property
    def id(self) -> str:
        """Random name of this very log: positions of another one mean nothing here."""

    @property
    def name(self) -> str:
        """Number of the partition, "" where there is only one."""

    @property
    def repeats(self) -> bool:
        """Whether `read` may give one (agent, boot, sequence) again, as a later item.

        It never gives the sequences of one (agent, boot) out of order otherwise.
        """

    @property
    def last(self) -> int:
        """Position of the newest durable item, as far as known; 0 when there was none."""

    def read(self, after: int, *, max_items: int, max_bytes: int) -> list[InboxItem]:
        """Items with position > after, in order; at least one if there is any.

        Raises:
            Unreachable: it cannot be asked now.
            Conflict: the log ends before `after`: it lost what was taken from it.
        """

    def wait(self, after: int, timeout_s: float) -> bool:
        """Block until an item behind `after` is there, or the time is over."""

    def trim(self, upto: int) -> None:
        """Forget bodies of positions <= upto (every consumer has them)."""

    def depth(self) -> tuple[int, int]:
        """(items, bytes) not yet trimmed."""


class Inbox(Protocol):
    """Durable log between ingest and its consumers, in partitions.

    All batches of a workload are in one partition, in the order in which they were acknowledged.
    """

    @property
    def logs(self) -> Sequence[Log]:
        """The partitions."""

    def append(self, items: Sequence[InboxItem]) -> list[int | None]:
        """Store items durably; positions in their partitions, None for one stored before.

        Raises:
            StorageFull, Busy (too deep: back-pressure), Unreachable: not known to be stored; the
                same items may be given again.
            Conflict: same sequence, other bytes.
        """

    def depth(self) -> tuple[int, int]:
        """(items, bytes) not yet trimmed, of all partitions."""

    def size(self) -> int:
        """Bytes on disk."""

    def wrong(self) -> str:
        """Why no batch is taken now, "" when they are."""

    def close_input(self) -> None:
        """Finish what waits and take nothing more; reading and trimming go on."""

    def close(self) -> None:
        """Finish what waits and stop; again is fine."""


class Blobs(Protocol):
    """Content-addressed bytes: evidence, reports, packages."""

    def put(self, tenant: str, data: BinaryIO) -> str:
        """Store durably; returns the SHA-256 hex digest."""

    def get(self, tenant: str, digest: str) -> BinaryIO:
        """Open for reading. Raises NotFound."""

    def delete(self, tenant: str, digest: str) -> None:
        """Forget it; absent is fine."""

    def all(self) -> Iterator[tuple[str, str]]:
        """(tenant, digest) of every blob."""


class EventSink(Protocol):
    """Where a sensor source puts events; called in the source's own thread."""

    def __call__(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        """Take rows of one table."""


JsonRow = Mapping[str, object]

"""Where the lake's tables live: folders on this machine, or an S3-compatible store.

Both promise the same: no commit names a data object that is not durable, and a commit that was
reported is durable. On a file system that takes fsyncs in the right order and the repair of a
torn log; a store has whole objects or none, and `conditional_put` keeps two writers from taking
one log entry.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from hauberk.errors import StorageFull
from hauberk.store import delta_log, parquet
from hauberk.store.files import make_folder, room, sync_folder
from hauberk.store.object_cache import Cache
from hauberk.store.objects import Reach, Target

_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DataFile:
    """One live Parquet file of a table, as the log tells it. Without statistics: 0 and 2**63-1."""

    path: str
    bytes: int
    rows: int
    day: str
    first_ns: int
    last_ns: int


class Home(Protocol):
    """The place of one table."""

    url: str
    options: dict[str, str] | None

    def exists(self) -> bool:
        """Whether a table is there. Raises Unreachable."""

    def prepare(self) -> None:
        """Make the place for a new table."""

    def repair(self) -> None:
        """Undo what a crash left half-written in the log."""

    def checkpointed(self) -> int:
        """Version of the newest checkpoint, -1 when there is none or it cannot be told."""

    def guard(self) -> AbstractContextManager[None]:
        """Around every call of delta-rs: its errors become StorageFull or Unreachable."""

    def write(self, day: str, rows: Any, *, level: int, change: bool = True) -> AddAction:
        """Write one data file, durable once `settle` was called with its action.

        Args:
            day: partition value.
            rows: a pyarrow.Table without the partition column.
            level: zstd level.
            change: False when the rows were in the table before (compaction).

        Raises:
            StorageFull: no room; no file is left.
            Unreachable: the store does not answer.
        """

    def settle(self, actions: Iterable[AddAction]) -> None:
        """Make the written files' names durable."""

    def logged(self, after: int, upto: int) -> None:
        """Make the log entries after < version <= upto durable."""

    def kept_checkpoint(self) -> None:
        """Make the newest checkpoint durable."""

    def local(self, files: Sequence[DataFile]) -> AbstractContextManager[list[str]]:
        """Paths on this machine of data files, in the same order; valid inside the block.

        Raises:
            FileNotFoundError: one is gone: compaction and vacuum went on meanwhile.
            StorageFull, Unreachable: it cannot be fetched.
        """

    def distrust(self, files: Sequence[DataFile]) -> bool:
        """Forget local copies that could not be read; True when another try makes sense."""

    def shared(self, file: DataFile) -> str:
        """Address of a data file for other machines."""


class Files(Protocol):
    """The places of all tables."""

    reads: Path
    """Folder of what `Home.local` gives."""
    target: Target | None
    """The store, when it is one."""

    def tables(self) -> list[tuple[str, str]]:
        """(tenant, table) of every table. Raises Unreachable."""

    def names(self, tenant: str) -> list[str]:
        """The tables of one tenant. Raises Unreachable."""

    def home(self, tenant: str, table: str) -> Home:
        """The place of a table, which need not exist. The names are checked by the caller."""

    def free(self) -> int | None:
        """Bytes that are free there; None when nobody can tell."""


class FolderFiles:
    """`Files` below a folder."""

    def __init__(self, root: Path) -> None:
        make_folder(root)
        self.root = root
        self.reads = root
        self.target: Target | None = None

    def tables(self) -> list[tuple[str, str]]:
        """(tenant, table) of every table on disk."""
        found = self.root.glob("*/*/_delta_log")
        return sorted((p.parent.parent.name, p.parent.name) for p in found)

    def names(self, tenant: str) -> list[str]:
        """Folders of one tenant's tables."""
        return sorted(path.name for path in (self.root / tenant).glob("*"))

    def home(self, tenant: str, table: str) -> FolderHome:
        """The table's folder."""
        return FolderHome(self.root / tenant / table)

    def free(self) -> int | None:
        """Free bytes of the disk."""
        return shutil.disk_usage(self.root).free


class FolderHome:
    """`Home` in a folder: what delta-rs leaves out, fsync and repair, is done here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder)
        self.options: dict[str, str] | None = None

    def exists(self) -> bool:
        """Whether there is a log."""
        return (self.folder / "_delta_log").is_dir()

    def prepare(self) -> None:
        """Make the folder."""
        make_folder(self.folder)

    def repair(self) -> None:
        """Remove a torn last entry or checkpoint."""
        delta_log.repair(self.folder)

    def checkpointed(self) -> int:
        """From the pointer file."""
        return delta_log.checkpoint_version(self.folder)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """No room is StorageFull; the rest passes."""
        with room(self.url):
            try:
                yield
            except (OSError, DeltaError) as error:
                if "No space left" in str(error) or "os error 28" in str(error):
                    raise StorageFull(
                        f"{self.url}: no room left: free space on its disk", retry_after=30.0
                    ) from error
                raise

    def write(self, day: str, rows: Any, *, level: int, change: bool = True) -> AddAction:
        """Write and fsync."""
        name = parquet.name(day)
        path = self.folder / name
        make_folder(path.parent)
        try:
            with room(self.url), path.open("xb") as out:
                size = parquet.encode(rows, out, level=level)
                out.flush()
                os.fsync(out.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return parquet.added(name, day, rows, size=size, change=change)

    def settle(self, actions: Iterable[AddAction]) -> None:
        """Fsync the partitions' folders."""
        for folder in {self.folder / a.path.partition("/")[0] for a in actions}:
            sync_folder(folder)

    def logged(self, after: int, upto: int) -> None:
        """Fsync entries and folder."""
        delta_log.sync(self.folder, after, upto)
        if after < 0:
            sync_folder(self.folder)

    def kept_checkpoint(self) -> None:
        """Fsync it before the pointer to it."""
        delta_log.sync_checkpoint(self.folder)

    @contextmanager
    def local(self, files: Sequence[DataFile]) -> Iterator[list[str]]:
        """The files themselves."""
        folder = self.folder.resolve()
        yield [str(folder / file.path) for file in files]

    def distrust(self, files: Sequence[DataFile]) -> bool:  # noqa: ARG002
        """There is no other copy."""
        return False

    def shared(self, file: DataFile) -> str:
        """A path: other machines must mount the folder at the same place."""
        return str(self.folder.resolve() / file.path)


class S3Files:
    """`Files` below a prefix of a bucket, read through copies in a local folder."""

    def __init__(self, target: Target, cache: Path, *, max_bytes: int) -> None:
        """Nothing is asked of the store yet.

        Args:
            target: bucket, prefix, credentials.
            cache: folder of the local copies.
            max_bytes: bound of the copies.
        """
        self.target: Target | None = target
        self._options = target.delta()
        self._url = target.url
        self.store = target.open()
        self.reach = Reach(target.url)
        self.reads = cache
        self.cache = Cache(cache, self._fetch, max_bytes=max_bytes)

    def tables(self) -> list[tuple[str, str]]:
        """(tenant, table) by listing prefixes."""
        return [(tenant, name) for tenant in self._below("") for name in self.names(tenant)]

    def names(self, tenant: str) -> list[str]:
        """Prefixes of one tenant's tables."""
        return self._below(f"{tenant}/")

    def home(self, tenant: str, table: str) -> S3Home:
        """The table's prefix."""
        return S3Home(self, f"{tenant}/{table}", f"{self._url}/{tenant}/{table}", self._options)

    def free(self) -> int | None:
        """A store does not say."""
        return None

    def close(self) -> None:
        """Stop fetching."""
        self.cache.close()

    def _below(self, prefix: str) -> list[str]:
        import obstore  # noqa: PLC0415  an extra

        with self.reach(prefix):
            found = obstore.list_with_delimiter(self.store, prefix or None)
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    def _fetch(self, key: str) -> Iterator[bytes]:
        import obstore  # noqa: PLC0415  an extra

        with self.reach(key):
            yield from obstore.get(self.store, key).stream(min_chunk_size=_CHUNK)


class S3Home:
    """`Home` below a prefix."""

    def __init__(self, files: S3Files, key: str, url: str, options: dict[str, str]) -> None:
        self._files, self._key = files, key
        self.url = url
        self.options: dict[str, str] | None = options

    def exists(self) -> bool:
        """Whether there is an object in the log."""
        import obstore  # noqa: PLC0415  an extra

        with self.guard():
            found = obstore.list(self._files.store, f"{self._key}/_delta_log/", chunk_size=1)
            return next(iter(found), None) is not None

    def prepare(self) -> None:
        """Prefixes need no making."""

    def repair(self) -> None:
        """Objects are whole or not there."""

    def checkpointed(self) -> int:
        """The table's own news tells; a checkpoint too many costs little."""
        return -1

    def guard(self) -> AbstractContextManager[None]:
        """The store's errors."""
        return self._files.reach(self._key)

    def write(self, day: str, rows: Any, *, level: int, change: bool = True) -> AddAction:
        """Encode in memory and put: the answer says that it is durable."""
        import obstore  # noqa: PLC0415  an extra

        name = parquet.name(day)
        sink = pa.BufferOutputStream()
        size = parquet.encode(rows, sink, level=level)
        data = sink.getvalue().to_pybytes()
        with self.guard():
            obstore.put(self._files.store, f"{self._key}/{name}", data, chunk_size=_CHUNK)
        self._files.cache.keep(f"{self._key}/{name}", data)
        return parquet.added(name, day, rows, size=size, change=change)

    def settle(self, actions: Iterable[AddAction]) -> None:
        """They are."""

    def logged(self, after: int, upto: int) -> None:
        """They are."""

    def kept_checkpoint(self) -> None:
        """It is."""

    def local(self, files: Sequence[DataFile]) -> AbstractContextManager[list[str]]:
        """Copies, several fetched at once."""
        return self._files.cache.held([(f"{self._key}/{f.path}", f.bytes) for f in files])

    def distrust(self, files: Sequence[DataFile]) -> bool:
        """The store's objects are the truth."""
        self._files.cache.drop(f"{self._key}/{f.path}" for f in files)
        return True

    def shared(self, file: DataFile) -> str:
        """Its URL."""
        return f"{self.url}/{file.path}"

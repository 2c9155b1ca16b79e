"""Local copies of objects that never change: bounded, least recently used go first.

Several threads and processes may share a folder. A copy is fetched beside its place, fsynced and
renamed; a reader holds hard links of its own, so that nobody's eviction takes a file away from
under it. The bound may be exceeded by what readers hold at that moment. A copy whose length or end
is wrong is fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from hauberk.errors import StorageFull, Unreachable
from hauberk.store.files import make_folder, room

PREFETCH = 8
_MAGIC = b"PAR1"
_log = logging.getLogger(__name__)

Fetch = Callable[[str], Iterable[bytes]]


class Cache:
    """Copies of Parquet objects below one folder."""

    def __init__(self, folder: Path, fetch: Fetch, *, max_bytes: int) -> None:
        """Open or make it, and clear what dead processes left.

        Args:
            folder: of the copies; `held` gives paths below it.
            fetch: an object's bytes in chunks; raises FileNotFoundError or a Temporary.
            max_bytes: bound of the copies together.
        """
        self.folder = folder
        self._fetch, self._max = fetch, max_bytes
        make_folder(folder / "objects")
        make_folder(folder / "held")
        self._clear()
        self._own = folder / "held" / secrets.token_hex(8)
        self._own.mkdir(mode=0o700)
        # The folder's lock says that its process lives.
        self._alive = os.open(self._own, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._count = itertools.count()
        self._pool = ThreadPoolExecutor(PREFETCH, thread_name_prefix="lake-fetch")
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[threading.Lock, int]] = {}
        self._known = self._size()
        self._added = 0
        self.fetched = 0

    def close(self) -> None:
        """Stop fetching; the copies stay."""
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self._own, ignore_errors=True)
        os.close(self._alive)

    @contextmanager
    def held(self, wanted: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
        """Local paths of objects, (key, bytes) each, in the same order; valid inside the block.

        Raises:
            Unreachable: the store does not answer, or has another object under that key.
            FileNotFoundError: it has no such object.
            StorageFull: no room for the copies.
        """
        lease = self._own / str(next(self._count))
        lease.mkdir(mode=0o700)
        paths = [str(lease / f"{n}.parquet") for n in range(len(wanted))]
        try:
            jobs = [
                self._pool.submit(self._hold, key, size, path)
                for (key, size), path in zip(wanted, paths, strict=True)
            ]
            try:
                for job in jobs:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
            self._shrink()
            yield paths
        finally:
            shutil.rmtree(lease, ignore_errors=True)

    def keep(self, key: str, data: bytes) -> None:
        """Keep what was just written; a disk without room is not the writer's trouble."""
        try:
            self._store(key, [data], None)
        except StorageFull as error:
            _log.warning("lake: %s", error)
        self._shrink()

    def drop(self, keys: Iterable[str]) -> None:
        """Forget copies that turned out to be broken."""
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def _hold(self, key: str, size: int, path: str) -> None:
        with self._one(key):
            if self._link(key, size, path):
                return
            try:
                self._store(key, self._fetch(key), path)
            except StorageFull:
                self._evict(0)
                self._store(key, self._fetch(key), path)
            self.fetched += 1
        if not _whole(path, size):
            self.drop([key])
            raise Unreachable(f"{key}: the store gave something else than was put there")

    def _link(self, key: str, size: int, path: str) -> bool:
        cached = self._path(key)
        try:
            os.link(cached, path)
        except FileNotFoundError:
            return False
        if _whole(path, size):
            os.utime(path)
            return True
        _log.warning("lake: the local copy of %s is broken and fetched again", key)
        cached.unlink(missing_ok=True)
        Path(path).unlink()
        return False

    def _store(self, key: str, chunks: Iterable[bytes], path: str | None) -> None:
        cached = self._path(key)
        make_folder(cached.parent)
        temporary = cached.with_name(f".{secrets.token_hex(8)}.new")
        try:
            with room(str(self.folder)), temporary.open("xb") as out:
                for chunk in chunks:
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            if path is not None:
                os.link(temporary, path)
            temporary.replace(cached)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        with self._lock:
            self._added += size

    @contextmanager
    def _one(self, key: str) -> Iterator[None]:
        """One thread at a time for a key: two searches fetch a file once."""
        with self._lock:
            lock, users = self._keys.get(key, (threading.Lock(), 0))
            self._keys[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._keys.pop(key)
                if users > 1:
                    self._keys[key] = lock, users - 1

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / "objects" / name[:2] / f"{name}.parquet"

    def _shrink(self) -> None:
        with self._lock:
            full = self._known + self._added > self._max
        if full:
            self._evict(self._max * 9 // 10)

    def _evict(self, bound: int) -> None:
        """Delete the copies that were used longest ago until `bound` bytes are left."""
        with self._lock:
            found = sorted(self._copies(), key=lambda entry: entry[1].st_mtime_ns)
            left = sum(stat.st_size for _, stat in found)
            for path, stat in found:
                if left <= bound:
                    break
                path.unlink(missing_ok=True)
                left -= stat.st_size
            self._known, self._added = left, 0

    def _size(self) -> int:
        return sum(stat.st_size for _, stat in self._copies())

    def _copies(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in (self.folder / "objects").glob("*/*.parquet"):
            try:
                yield path, path.stat()
            except FileNotFoundError:
                continue  # another process evicted it

    def _clear(self) -> None:
        for folder in (self.folder / "held").iterdir():
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)


def _whole(path: str, size: int) -> bool:
    with Path(path).open("rb") as file:
        if os.fstat(file.fileno()).st_size != size or size < 2 * len(_MAGIC):
            return False
        file.seek(-len(_MAGIC), os.SEEK_END)
        return file.read() == _MAGIC

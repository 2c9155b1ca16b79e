"""Content-addressed bytes per tenant: files in a folder, or objects in an S3 bucket."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from hauberk.errors import BadInput, NotFound, StorageFull
from hauberk.schema.ids import TENANT_NAME
from hauberk.store.files import make_folder, room, sync_folder
from hauberk.store.objects import Reach, Target

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1024 * 1024
_PART, _PARTS = 8 * 1024 * 1024, 2
_REQUEST_S = 120
_log = logging.getLogger(__name__)


class FolderBlobs:
    """`ports.Blobs` below `root`; one blob has at most `max_bytes`."""

    def __init__(self, root: Path, *, max_bytes: int = 1024**3) -> None:
        self._root, self._max = root, max_bytes
        make_folder(root)

    def put(self, tenant: str, data: BinaryIO) -> str:
        """Store durably; returns the SHA-256 hex digest.

        Raises:
            BadInput: longer than the bound.
            StorageFull: no room; nothing was stored.
        """
        folder = self._folder(tenant)
        make_folder(folder)
        temporary = folder / f".{secrets.token_hex(8)}.new"
        digest = hashlib.sha256()
        size = 0
        try:
            with room(str(folder)):
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as out:
                    while chunk := data.read(_CHUNK):
                        size += len(chunk)
                        _check(size, self._max)
                        digest.update(chunk)
                        out.write(chunk)
                    out.flush()
                    os.fsync(out.fileno())
                name = digest.hexdigest()
                path = folder / name[:2] / name
                make_folder(path.parent)
                temporary.replace(path)
                sync_folder(path.parent)
        except (BadInput, OSError, StorageFull):
            temporary.unlink(missing_ok=True)
            raise
        return name

    def get(self, tenant: str, digest: str) -> BinaryIO:
        """Open for reading. Raises NotFound."""
        try:
            return self._path(tenant, digest).open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"no blob {digest} in this tenant") from error

    def delete(self, tenant: str, digest: str) -> None:
        """Forget it; absent is fine."""
        self._path(tenant, digest).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, str]]:
        """(tenant, digest) of every blob."""
        for path in sorted(self._root.glob("*/*/*")):
            if _DIGEST.fullmatch(path.name):
                yield path.parent.parent.name, path.name

    def bytes(self) -> int:
        """What all blobs take."""
        return sum(p.stat().st_size for p in self._root.glob("*/*/*") if p.is_file())

    def _folder(self, tenant: str) -> Path:
        return self._root / _tenant(tenant)

    def _path(self, tenant: str, digest: str) -> Path:
        return self._folder(tenant) / _name(digest)


class S3Blobs:
    """`ports.Blobs` below a prefix of a bucket; one blob has at most `max_bytes`.

    Bytes go up in parts under a name of their own, with some parts in memory; once the digest is
    known the store copies the whole object to its digest's name, which is there then or not.
    """

    def __init__(self, target: Target, *, max_bytes: int = 1024**3) -> None:
        self._store, self._max = target.open(request_s=_REQUEST_S), max_bytes
        self._reach = Reach(target.url)

    def put(self, tenant: str, data: BinaryIO) -> str:
        """Store durably; returns the SHA-256 hex digest.

        Raises:
            BadInput: longer than the bound.
            StorageFull: no room; nothing was stored.
            Unreachable: the store does not answer; nothing was stored under a digest.
        """
        import obstore  # noqa: PLC0415  an extra

        temporary = f"{_tenant(tenant)}/new/{secrets.token_hex(16)}"
        digest = hashlib.sha256()
        with self._reach(temporary):
            first = data.read(_PART)
            digest.update(first)
            if len(first) < _PART:
                # One request: nobody sees a part of it.
                _check(len(first), self._max)
                name = digest.hexdigest()
                obstore.put(self._store, f"{tenant}/{_name(name)}", first, use_multipart=False)
                return name
            try:
                with obstore.open_writer(
                    self._store, temporary, buffer_size=_PART, max_concurrency=_PARTS
                ) as out:
                    size = 0
                    chunk = first
                    del first
                    while chunk:
                        size += len(chunk)
                        _check(size, self._max)
                        out.write(chunk)
                        chunk = data.read(_CHUNK)
                        digest.update(chunk)
                name = digest.hexdigest()
                obstore.copy(self._store, temporary, f"{tenant}/{_name(name)}")
            finally:
                self._forget(temporary)
        return name

    def get(self, tenant: str, digest: str) -> BinaryIO:
        """Open for reading; the stream can seek. Raises NotFound, Unreachable."""
        import obstore  # noqa: PLC0415  an extra

        key = f"{_tenant(tenant)}/{_name(digest)}"
        with self._reach(key):
            try:
                size = obstore.head(self._store, key)["size"]
            except FileNotFoundError as error:
                raise NotFound(f"no blob {digest} in this tenant") from error
        return io.BufferedReader(_Object(self._store, self._reach, key, size), _CHUNK)

    def delete(self, tenant: str, digest: str) -> None:
        """Forget it; absent is fine. Raises Unreachable."""
        import obstore  # noqa: PLC0415  an extra

        key = f"{_tenant(tenant)}/{_name(digest)}"
        with self._reach(key), suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def all(self) -> Iterator[tuple[str, str]]:
        """(tenant, digest) of every blob. Raises Unreachable."""
        import obstore  # noqa: PLC0415  an extra

        with self._reach():
            keys = [item["path"] for part in obstore.list(self._store) for item in part]
        for key in keys:
            tenant, _, name = key.partition("/")
            digest = name.rpartition("/")[2]
            if not name.startswith("new/") and _DIGEST.fullmatch(digest):
                yield tenant, digest

    def bytes(self) -> int:
        """What all blobs take, by listing. Raises Unreachable."""
        import obstore  # noqa: PLC0415  an extra

        with self._reach():
            return sum(item["size"] for part in obstore.list(self._store) for item in part)

    def _forget(self, key: str) -> None:
        """A lifecycle rule of the bucket takes what stays after a crash."""
        import obstore  # noqa: PLC0415  an extra
        from obstore.exceptions import BaseError  # noqa: PLC0415  an extra

        try:
            obstore.delete(self._store, key)
        except (FileNotFoundError, BaseError) as error:
            _log.warning("blobs: %s is left behind: %s", key, str(error)[:200])


class _Object(io.RawIOBase):
    """An object's bytes by ranges."""

    def __init__(self, store: Any, reach: Reach, key: str, size: int) -> None:
        self._store, self._reach, self._key, self._size = store, reach, key, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        import obstore  # noqa: PLC0415  an extra

        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        with self._reach(self._key):
            try:
                found = obstore.get_range(self._store, self._key, start=self._at, length=wanted)
            except FileNotFoundError as error:
                raise NotFound(f"{self._key} was deleted meanwhile") from error
        buffer[:wanted] = memoryview(found)
        self._at += wanted
        return wanted


def _check(size: int, bound: int) -> None:
    if size > bound:
        raise BadInput(f"longer than {bound} bytes", source="blob")


def _tenant(tenant: str) -> str:
    if not TENANT_NAME.fullmatch(tenant):
        raise BadInput(f"{tenant!r} is not a tenant's name", source="tenant")
    return tenant


def _name(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest!r} is not a SHA-256 hex digest")
    return f"{digest[:2]}/{digest}"

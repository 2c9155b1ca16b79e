"""Content-addressed files in a folder per tenant."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO

from hauberk.errors import BadInput, NotFound, StorageFull
from hauberk.schema.ids import TENANT_NAME
from hauberk.store.files import make_folder, room, sync_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1024 * 1024


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
                        self._check(size)
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

    def _check(self, size: int) -> None:
        if size > self._max:
            raise BadInput(f"longer than {self._max} bytes", source="blob")

    def _folder(self, tenant: str) -> Path:
        if not TENANT_NAME.fullmatch(tenant):
            raise BadInput(f"{tenant!r} is not a tenant's name", source="tenant")
        return self._root / tenant

    def _path(self, tenant: str, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise NotFound(f"{digest!r} is not a SHA-256 hex digest")
        return self._folder(tenant) / digest[:2] / digest

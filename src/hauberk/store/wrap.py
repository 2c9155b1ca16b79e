"""Key files wrapped by a key that is kept elsewhere: a copy of the folder alone is worth nothing.

A wrapped file is `MAGIC`, 8 bytes that name the wrapping key, 12 bytes of nonce, and AES-256-GCM
over the plain file. Magic, key name and file name are authenticated too: one file cannot be put in
the place of another.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hauberk.errors import BadInput
from hauberk.store.files import write_atomic

MAGIC = b"HAUBERK-WRAP-1\n"
KEY_BYTES = 32
MAX_BYTES = 64 * 1024
_ID, _NONCE, _TAG = 8, 12, 16
_HEAD = len(MAGIC) + _ID + _NONCE
HOW = "make one with: hauberk keys new FILE"


class Wrap:
    """A wrapping key.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._id = hashlib.sha256(b"hauberk-wrap\0" + key).digest()[:_ID]
        self.id = self._id.hex()

    def seal(self, name: str, data: bytes) -> bytes:
        """The wrapped form of a file of this name."""
        nonce = secrets.token_bytes(_NONCE)
        head = MAGIC + self._id
        return head + nonce + self._cipher.encrypt(nonce, data, head + name.encode())

    def open(self, name: str, blob: bytes, *, source: str = "") -> bytes:
        """The plain form; `source` is named in errors.

        Raises:
            BadInput: wrapped by another key, damaged, or the file of another name.
        """
        known = wrapped_by(blob)
        if known != self.id:
            raise BadInput(
                f"is wrapped by the key {known or '(none)'}, and this one is {self.id}: "
                "set wrap_key_file to the file that wrapped it",
                source=source or name,
            )
        head, nonce = blob[: len(MAGIC) + _ID], blob[len(MAGIC) + _ID : _HEAD]
        try:
            return self._cipher.decrypt(nonce, blob[_HEAD:], head + name.encode())
        except InvalidTag as error:
            raise BadInput(
                "is damaged, or was wrapped under another name: restore it from a backup",
                source=source or name,
            ) from error


def load(path: Path) -> Wrap:
    """The wrapping key of a file: 64 hex digits.

    Raises:
        BadInput: it cannot be read, is no such key, or everybody may read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(1024)
    except OSError as error:
        raise BadInput(
            f"the wrapping key cannot be read ({error.strerror}): give the file back, or point "
            "wrap_key_file at it",
            source=str(path),
        ) from error
    if stat.S_IMODE(mode) & 0o007:
        raise BadInput("everybody may use this wrapping key: chmod 600", source=str(path))
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError as error:
        raise BadInput(f"is no wrapping key of 64 hex digits: {HOW}", source=str(path)) from error
    if len(key) != KEY_BYTES:
        raise BadInput(f"holds {len(key)} bytes, not {KEY_BYTES}: {HOW}", source=str(path))
    return Wrap(key)


def new_key(path: Path) -> Wrap:
    """Make a wrapping key in the new file `path`, 0600. Raises BadInput when it exists."""
    if path.exists():
        raise BadInput("exists: a wrapping key is never overwritten", source=str(path))
    write_atomic(path, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
    return load(path)


def wrapped_by(blob: bytes) -> str:
    """Hex name of the wrapping key, or "" for a file that is not wrapped."""
    if not blob.startswith(MAGIC) or len(blob) < _HEAD + _TAG:
        return ""
    return blob[len(MAGIC) : len(MAGIC) + _ID].hex()


def state_of(path: Path) -> str:
    """`wrapped_by` of a file's head."""
    with path.open("rb") as file:
        return wrapped_by(file.read(_HEAD + _TAG))


def read(path: Path, wrap: Wrap | None) -> bytes:
    """A key file's plain form.

    Raises:
        BadInput: wrapped, and not by `wrap`; or damaged.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadInput("is no key file: restore it from a backup", source=str(path))
    if not data.startswith(MAGIC):
        return data
    known = wrapped_by(data)
    if not known:
        raise BadInput("is a wrapped key cut short: restore it from a backup", source=str(path))
    if wrap is None:
        raise BadInput(
            f"is wrapped by the key {known}: set wrap_key_file (HAUBERK_WRAP_KEY_FILE, or the "
            "systemd credential hauberk-wrap-key) to its file",
            source=str(path),
        )
    return wrap.open(path.name, data, source=str(path))


def write(path: Path, data: bytes, wrap: Wrap | None) -> None:
    """Replace a key file, wrapped or plain, atomically; its owner stays."""
    owner = path.stat() if path.exists() else None
    write_atomic(path, data if wrap is None else wrap.seal(path.name, data))
    if owner is not None and os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def plain_file(path: Path, wrap: Wrap | None) -> Iterator[Path]:
    """A path under which the plain form can be read meanwhile: in memory alone if it is wrapped.

    For libraries that take keys from files only, as `ssl` does. Raises as `read`.
    """
    if not path.exists() or not state_of(path):
        yield path
        return
    data = read(path, wrap)
    handle = os.memfd_create("hauberk-key", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)

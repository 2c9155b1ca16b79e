"""Password hashes (argon2id) and generated secrets."""

from __future__ import annotations

import hashlib
import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hauberk.errors import BadInput, Busy

MIN_LENGTH, MAX_LENGTH = 12, 256
# OWASP's smaller profile: a login takes 19 MiB for some 30 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Each hash holds 19 MiB; a few more logins wait, and what is beyond them is told to come again:
# each one that waits holds a thread that other requests need.
_slots = threading.BoundedSemaphore(4)
_places = threading.BoundedSemaphore(12)
_WAIT_S = 10.0
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def hash_password(password: str) -> str:
    """The hash to store.

    Raises:
        BadInput: shorter than 12 or longer than 256 characters.
        Busy: too many logins at once.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise BadInput(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters", source="password")
    with _slot():
        return _hasher.hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Whether the password fits; takes as long when there is no such user.

    Raises:
        Busy: too many logins at once.
    """
    with _slot():
        try:
            fits = _hasher.verify(stored or _NOBODY, password[:MAX_LENGTH])
        except (VerificationError, InvalidHashError):
            return False
    return fits and stored is not None and len(password) <= MAX_LENGTH


def generate() -> str:
    """A password for people: 20 letters and digits in groups, 98 bits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    return "-".join(letters[i : i + 5] for i in range(0, 20, 5))


def new_secret(prefix: str = "") -> str:
    """A token of 256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """How sessions and API tokens are stored: random secrets need no slow hash."""
    return hashlib.sha256(b"hauberk-secret\0" + secret.encode()).hexdigest()


class _slot:  # noqa: N801
    def __enter__(self) -> None:
        if not _places.acquire(blocking=False):
            raise Busy("too many logins at once", retry_after=1.0)
        if not _slots.acquire(timeout=_WAIT_S):
            _places.release()
            raise Busy("too many logins at once", retry_after=_WAIT_S)

    def __exit__(self, *_: object) -> None:
        _slots.release()
        _places.release()


_NOBODY = _hasher.hash(secrets.token_hex(16))

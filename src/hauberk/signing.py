"""Ed25519 signatures over bytes, each bound to what it is for.

The context is part of what is signed, so that a signed batch can never pass as a signed task.
"""

from __future__ import annotations

from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .errors import Refused

Context = Literal["batch", "task", "desired", "rotate", "pack"]
SIGNATURE_SIZE = 64


def sign(key: Ed25519PrivateKey, context: Context, message: bytes) -> bytes:
    """The 64-byte signature of `message` for `context`."""
    return key.sign(_bound(context, message))


def verify(key: Ed25519PublicKey, context: Context, message: bytes, signature: bytes) -> None:
    """Check a signature.

    Raises:
        Refused: it does not match this key, context and message.
    """
    try:
        key.verify(signature, _bound(context, message))
    except InvalidSignature as error:
        raise Refused(f"the signature of this {context} does not match its key") from error


def raw_public(key: Ed25519PrivateKey | Ed25519PublicKey) -> bytes:
    """The 32 raw bytes of a public key."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _bound(context: Context, message: bytes) -> bytes:
    return b"hauberk-" + context.encode() + b"\0" + message

"""The signed envelope around a batch, and the bounds that a receiver enforces.

``[b"HBK", header bytes, payload bytes, signature]``: header is msgpack of `Header`, payload is
zstd of a wire batch, the signature covers header and payload. Nothing is decompressed before the
signature holds, and never beyond the declared size.

The last two versions are read. Version 2 tells the lane in the header, so that who has no use for
events need not unpack them; version 1 does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

import msgspec
from backports import zstd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hauberk import signing
from hauberk.errors import BadWire
from hauberk.link.wire import UNDECODABLE

MAGIC = b"HBK"
MAX_BODY = 8 * 1024 * 1024
MAX_RAW = 64 * 1024 * 1024
_LEVEL = 1
Lane = Literal["", "e", "i"]


class Header(msgspec.Struct, array_like=True, frozen=True):
    """Who, which sequence, when, how big. `wall_ns`/`mono_ns` bound the clock skew.

    `lane`: "e" carries events alone, "i" inventory alone, "" is not told (version 1).
    """

    version: int
    agent: str
    boot: str
    sequence: int
    wall_ns: int
    mono_ns: int
    raw_size: int
    lane: Lane = ""


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """As it travels and as the inbox keeps it."""

    magic: bytes
    header: bytes
    payload: bytes
    signature: bytes


_envelope = msgspec.msgpack.Decoder(Envelope)
_header = msgspec.msgpack.Decoder(Header)
_encoder = msgspec.msgpack.Encoder()
VERSION = 2
READABLE = (VERSION - 1, VERSION)


def seal(
    key: Ed25519PrivateKey,
    batch: bytes,
    *,
    agent: str,
    boot: str,
    sequence: int,
    wall_ns: int,
    mono_ns: int,
    lane: Lane,
    version: int = VERSION,
) -> bytes:
    """Compress, sign and wrap the bytes of a batch; `version`: one of READABLE."""
    told = (version, agent, boot, sequence, wall_ns, mono_ns, len(batch))
    # Version 1 byte for byte as its own agents make it: a server of that version compares bytes.
    header = _encoder.encode((*told, lane) if version > 1 else told)
    payload = zstd.compress(batch, level=_LEVEL)
    return _encoder.encode(
        Envelope(MAGIC, header, payload, signing.sign(key, "batch", header + payload))
    )


def parse(body: bytes) -> tuple[Envelope, Header]:
    """Read the envelope and its header; nothing is trusted yet.

    Raises:
        BadWire: no envelope, another version, or a size over the bounds.
    """
    if len(body) > MAX_BODY:
        raise BadWire(f"envelope of {len(body)} bytes; at most {MAX_BODY}")
    try:
        envelope = _envelope.decode(body)
        header = _header.decode(envelope.header)
    except UNDECODABLE as error:
        raise BadWire(f"not an envelope: {error}") from error
    if envelope.magic != MAGIC or header.version not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise BadWire(
            f"envelope version {header.version} is not {known}: upgrade the older side first"
        )
    if not 0 <= header.raw_size <= MAX_RAW:
        raise BadWire(f"declared size {header.raw_size} is over {MAX_RAW}: split the batch")
    if header.sequence < 1:
        raise BadWire(f"sequence {header.sequence} is not positive")
    return envelope, header


def digest(envelope: Envelope) -> bytes:
    """What tells a repetition from other content under the same sequence: BLAKE2b-128 of the batch.

    Not of the header: an agent that was upgraded meanwhile repeats a batch under a newer one.
    """
    return hashlib.blake2b(envelope.payload, digest_size=16).digest()


def check(envelope: Envelope, key: Ed25519PublicKey) -> None:
    """Check the signature. Raises Refused."""
    signing.verify(key, "batch", envelope.header + envelope.payload, envelope.signature)


def unpack(envelope: Envelope, header: Header) -> bytes:
    """Decompress the payload, never beyond the declared size.

    Raises:
        BadWire: not zstd, or its real size differs from the declared one.
    """
    decompressor = zstd.ZstdDecompressor()
    try:
        raw = decompressor.decompress(envelope.payload, max_length=header.raw_size + 1)
    except zstd.ZstdError as error:
        raise BadWire(f"payload is not zstd: {error}") from error
    if len(raw) != header.raw_size or not decompressor.eof:
        raise BadWire(f"payload is not the declared {header.raw_size} bytes")
    return raw


def read(body: bytes, key_of: Callable[[str], Ed25519PublicKey]) -> tuple[Header, bytes]:
    """Parse, verify and unpack in one go.

    Args:
        body: the envelope's bytes.
        key_of: gives the public key of an agent id, or raises Refused.
    """
    envelope, header = parse(body)
    check(envelope, key_of(header.agent))
    return header, unpack(envelope, header)

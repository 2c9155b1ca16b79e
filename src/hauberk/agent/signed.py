"""What makes an order of the server this agent's: signature, key, tenant, workload, agent."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hauberk import signing
from hauberk.errors import Refused
from hauberk.link.client.identity import Ids
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.link import Desired, Signed, Task

T = TypeVar("T", Task, Desired)
_signed = msgspec.msgpack.Decoder(Signed)


def open_signed(raw: bytes, context: signing.Context, kind: type[T], ids: Ids) -> T:
    """Decode and check a signed document.

    Args:
        raw: msgpack of `Signed`.
        context: "task" or "desired".
        kind: what the body is.
        ids: whom it must be for, and the key that must have signed it.

    Raises:
        Refused: damaged, unsigned, signed by another key, or for someone else.
    """
    try:
        document = _signed.decode(raw)
        body = msgspec.msgpack.decode(document.body, type=kind)
    except UNDECODABLE as error:
        raise Refused(f"this {context} cannot be decoded: {error}") from error
    if body.key_id != ids.task_key_id:
        raise Refused(f"this {context} names key {body.key_id}; this agent trusts another key")
    key = Ed25519PublicKey.from_public_bytes(ids.task_key)
    signing.verify(key, context, document.body, document.signature)
    if body.agent != ids.agent or body.workload != ids.workload:
        raise Refused(f"this {context} is for agent {body.agent}, workload {body.workload}")
    if ids.tenant and body.tenant != ids.tenant:
        raise Refused(f"this {context} is of tenant {body.tenant!r}, not of ours")
    return body


def claimed_id(raw: bytes) -> str:
    """The task id that a document claims, trusted for nothing but telling it back; "" if none."""
    try:
        return msgspec.msgpack.decode(_signed.decode(raw).body, type=Task).id
    except UNDECODABLE:
        return ""

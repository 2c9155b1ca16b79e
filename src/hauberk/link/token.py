"""The one-time enrolment token: server's address, its CA's fingerprint, a secret."""

from __future__ import annotations

import base64
import binascii

import msgspec

from hauberk.errors import BadWire
from hauberk.link.wire import UNDECODABLE

_PREFIX = "hbk1_"


class EnrolToken(msgspec.Struct, frozen=True, array_like=True):
    """`url` of the gateway, `ca_sha256` of the CA certificate's DER (32 bytes), `secret`."""

    url: str
    ca_sha256: bytes
    secret: bytes

    def text(self) -> str:
        """The token as an operator copies it."""
        raw = msgspec.msgpack.encode(self)
        return _PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse(text: str) -> EnrolToken:
    """Read a token. Raises BadWire."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        raise BadWire("not an enrolment token: it starts with hbk1_; copy it whole")
    body = text.removeprefix(_PREFIX)
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        return msgspec.msgpack.decode(raw, type=EnrolToken)
    except (binascii.Error, ValueError, *UNDECODABLE) as error:
        raise BadWire("the enrolment token is damaged: copy it whole") from error

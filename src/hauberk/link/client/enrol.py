"""Join a server with a one-time token, and renew the identity later.

The token carries the fingerprint of the server's CA: the CA is fetched without trust, compared, and
only then is anything of ours (token, facts) sent, over TLS that trusts this CA alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from pathlib import Path
from typing import Protocol

import msgspec

from hauberk import signing
from hauberk.errors import Refused
from hauberk.link import token as tokens
from hauberk.link.client import identity as identities
from hauberk.link.client.identity import Identity
from hauberk.link.client.transport import Channel, decode_reply, verified_context
from hauberk.schema.ids import agent_id
from hauberk.schema.link import EnrolReply, EnrolRequest, RotateReply, RotateRequest, WorkloadFacts


def enrol(
    folder: Path,
    token_text: str,
    *,
    url: str = "",
    facts: WorkloadFacts,
    version: str,
    site: str = "",
    timeout_s: float = 30.0,
) -> Identity:
    """Enrol and store the identity in `folder`.

    Args:
        folder: identity folder, made 0700.
        token_text: the one-time token as the operator copied it.
        url: gateway address; empty: the token's.
        facts: what the machine says of itself.
        version: agent version.
        site: part of the workload's address where private ranges overlap.
        timeout_s: seconds per exchange.

    Raises:
        BadWire: the token is damaged.
        Refused: another CA than the token names, or the server refuses the token.
        Unreachable, Busy: try again; the token is not used up.
    """
    token = tokens.parse(token_text)
    address = url or token.url
    ca = fetch_ca(address, token.ca_sha256, timeout_s=timeout_s)
    key = identities.new_key()
    request = EnrolRequest(
        token=token_text.strip(),
        csr=identities.csr(key),
        facts=facts,
        version=version,
        site=site,
    )
    channel = Channel(address, verified_context(ca), timeout_s=timeout_s)
    try:
        answer = channel.call("POST", "/v1/enrol", msgspec.msgpack.encode(request))
    finally:
        channel.close()
    reply = decode_reply(answer, EnrolReply, f"{address}/v1/enrol")
    if reply.agent != agent_id(signing.raw_public(key)):
        raise Refused(f"{address} answered for agent {reply.agent}, which is not this key")
    return identities.save(folder, address, key, reply)


def fetch_ca(url: str, ca_sha256: bytes, *, timeout_s: float = 30.0) -> bytes:
    """PEM of the server's CA, proven by its fingerprint.

    Raises:
        Refused: no certificate of the answer has this fingerprint.
        Unreachable, Busy: no answer.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    channel = Channel(url, blind, timeout_s=timeout_s)
    try:
        pem = channel.call("GET", "/v1/ca")
    finally:
        channel.close()
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    for part in pem.split(end)[:-1]:
        one = begin + part.partition(begin)[2] + end + b"\n"
        try:
            der = ssl.PEM_cert_to_DER_cert(one.decode("ascii"))
        except ValueError:
            continue
        if hmac.compare_digest(hashlib.sha256(der).digest(), ca_sha256):
            return one
    raise Refused(
        f"{url} presents another CA than the token names: wrong address, or someone in between; "
        "make a new token on the server that you mean"
    )


class RotatePort(Protocol):
    """The one route that a rotation uses."""

    def rotate(self, request: RotateRequest) -> RotateReply:
        """Ask for a new certificate."""


def rotate(folder: Path, old: Identity, transport: RotatePort) -> Identity:
    """New key and certificate under the same agent id; the old key vouches for the request.

    Raises:
        GatewayRefused, Unreachable, Busy: the old identity stays in use.
    """
    key = identities.new_key()
    request = identities.csr(key, old.ids.agent)
    proof = signing.sign(old.key, "rotate", request)
    reply = transport.rotate(RotateRequest(csr=request, proof=proof))
    return identities.rotated(folder, old, key, reply)

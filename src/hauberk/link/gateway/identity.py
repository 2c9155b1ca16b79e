"""Who is on the other end: from the client certificate to a tenant, workload and key.

The CA's signature was checked by TLS; the validity is checked here, so that an agent whose
certificate expired hears that it must enrol anew rather than a failed handshake. The certificate's
serial must be the agent's current one: a rotated, revoked or cloned identity ends at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hauberk.errors import Refused, Unauthenticated
from hauberk.ports import Clock

AGENT_URI = "hauberk:agent:"
_MAX = 20_000


class Cloned(Refused):
    """One key, two machines: refused until the agent enrols anew."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An authenticated agent."""

    tenant: str
    workload: str
    agent: str
    serial: str
    key: Ed25519PublicKey


Lookup = Callable[[str, str], Peer]
"""(agent id, certificate serial in hex) -> Peer; raises Unauthenticated, Forbidden or Cloned."""


def read_certificate(der: bytes | None, *, now_ns: int) -> tuple[str, str]:
    """(agent id, serial in hex) of a client certificate that our CA signed.

    Raises:
        Unauthenticated: none was shown, it is not an agent's, or it is not valid at `now_ns`.
    """
    if not der:
        raise Unauthenticated("this route needs the agent's client certificate: enrol first")
    try:
        certificate = x509.load_der_x509_certificate(der)
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        serial = f"{certificate.serial_number:x}"
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Unauthenticated(f"not an agent's certificate: {error}") from error
    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Unauthenticated(
            f"the certificate is valid from {certificate.not_valid_before_utc:%F} to "
            f"{certificate.not_valid_after_utc:%F}, not now: enrol anew"
        )
    uris = san.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith(AGENT_URI):
        raise Unauthenticated("not an agent's certificate: enrol anew")
    return uris[0].removeprefix(AGENT_URI), serial


class Identities:
    """Caches lookups for `ttl_s`; `forget` ends one at once."""

    def __init__(self, lookup: Lookup, clock: Clock, *, ttl_s: float = 5.0) -> None:
        self._lookup, self._clock = lookup, clock
        self._ttl_ns = int(ttl_s * 1e9)
        self._known: OrderedDict[bytes, tuple[int, Peer]] = OrderedDict()
        self._forgotten = 0

    def cached(self, der: bytes | None) -> Peer | None:
        """The peer when it was looked up within the TTL, without touching the database."""
        hit = self._known.get(der or b"")
        if hit is None or self._clock.mono_ns() - hit[0] >= self._ttl_ns:
            return None
        return hit[1]

    def of(self, der: bytes | None) -> Peer:
        """The peer of a certificate. Raises Unauthenticated, Forbidden or Cloned."""
        hit = self.cached(der)
        if hit is not None:
            return hit
        agent, serial = read_certificate(der, now_ns=self._clock.wall_ns())
        self._known.pop(der or b"", None)
        before = self._forgotten
        peer = self._lookup(agent, serial)
        if before == self._forgotten:  # else it may have been revoked meanwhile
            self._known[der or b""] = (self._clock.mono_ns(), peer)
        while len(self._known) > _MAX:
            self._known.popitem(last=False)
        return peer

    def forget(self, agent: str) -> None:
        """Look this agent up anew (revoked, cloned, rotated)."""
        self._forgotten += 1
        for der in [d for d, (_, peer) in list(self._known.items()) if peer.agent == agent]:
            self._known.pop(der, None)

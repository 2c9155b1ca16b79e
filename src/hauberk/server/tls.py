"""Certificates of the listening sides, renewed while they listen."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from hauberk.errors import BadInput
from hauberk.link.gateway.peer import server_context
from hauberk.ports import Clock
from hauberk.server.names import certificate_names
from hauberk.server.settings import Settings
from hauberk.store.keys import Keys, certificate_of, names_of


class Tls:
    """Contexts of the console (own certificate, else the CA's) and of the gateway (the CA's)."""

    def __init__(self, settings: Settings, keys: Keys, clock: Clock) -> None:
        """Make the certificate if there is none.

        Raises:
            BadInput: the own certificate or key cannot be used.
        """
        self._settings, self._keys, self._clock = settings, keys, clock
        keys.server_certificate(certificate_names(settings), now_ns=clock.wall_ns())
        self.own = bool(settings.tls_cert)
        with keys.server_pair() as pair:
            files = (Path(settings.tls_cert), Path(settings.tls_key)) if self.own else pair
            try:
                self.console = server_context(*files)
            except (OSError, ssl.SSLError) as error:
                raise BadInput(
                    f"certificate and key cannot be used ({error})", source=str(files[0])
                ) from error
            self.gateway = server_context(*pair, client_ca=keys.ca_file)

    def renew(self) -> bool:
        """Renew the certificate when names changed or it ends soon; True when it was."""
        names, now = certificate_names(self._settings), self._clock.wall_ns()
        if self._keys.renew_ca(now_ns=now):
            self.gateway.load_verify_locations(self._keys.ca_file)
        if not self._keys.server_certificate(names, now_ns=now):
            return False
        with self._keys.server_pair() as pair:
            self.gateway.load_cert_chain(*pair)
            if not self.own:
                self.console.load_cert_chain(*pair)
        return True

    def facts(self) -> tuple[str, list[str], int]:
        """(SHA-256 in hex, names, end of validity in ms) of the console's certificate."""
        own = Path(self._settings.tls_cert)
        certificate = certificate_of(own if self.own else self._keys.server_files[0])
        end = int(certificate.not_valid_after_utc.timestamp() * 1000)
        return certificate.fingerprint(hashes.SHA256()).hex(), names_of(certificate), end

"""The server's keys: CA, TLS certificate, keys that sign tasks and packages; 0600 in a 0700 folder.

CA and server certificate are ECDSA P-256, because browsers accept no Ed25519 server certificate;
agents' certificates carry their own Ed25519 key. With a wrapping key the files are wrapped by it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hauberk import signing
from hauberk.errors import BadInput, BadWire
from hauberk.schema.link import Package, Signed
from hauberk.store import wrap as wraps
from hauberk.store.files import make_folder, write_atomic
from hauberk.store.wrap import Wrap

CA_DAYS, SERVER_DAYS, AGENT_DAYS = 3650, 365, 30
RENEW_DAYS, CA_RENEW_DAYS = 45, 365
AGENT_URI = "hauberk:agent:"
FILES = ("ca.key", "task.key", "release.key", "server.key")
_SKEW = timedelta(minutes=10)
_encoder = msgspec.msgpack.Encoder()
_log = logging.getLogger(__name__)


class Keys:
    """All keys of one server. `now_ns` arguments are the wall clock.

    Attributes:
        folder: where the files are.
        task_key_id: 16 hex digits that name the task-signing key.
        task_public: its 32 raw public bytes.
        release_public: those of the key that signs agent packages.
    """

    def __init__(self, folder: Path, *, now_ns: int, wrap: Wrap | None = None) -> None:
        """Load the keys of `folder`, or make them. Plain ones are wrapped when `wrap` is given.

        Raises:
            BadInput: a key file is damaged, or wrapped and not by `wrap`.
        """
        make_folder(folder)
        folder.chmod(0o700)
        self.folder = folder
        self._wrap = wrap
        self._ca_key = _ec_key(folder / "ca.key", wrap)
        self._cas = self._load_cas(now_ns)
        self._task_key = _ed_key(folder / "task.key", wrap)
        self._release_key = _ed_key(folder / "release.key", wrap)
        if wrap is not None:
            rewrap(folder, wrap, wrap)
        self.task_public = signing.raw_public(self._task_key)
        self.release_public = signing.raw_public(self._release_key)
        self.task_key_id = hashlib.sha256(b"hauberk-task\0" + self.task_public).hexdigest()[:16]

    @property
    def ca_pem(self) -> bytes:
        """The CA certificate, and the one before it while that is valid."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in self._cas)

    @property
    def ca_sha256(self) -> bytes:
        """Fingerprint of the CA certificate's DER, which enrolment tokens carry."""
        return self._cas[0].fingerprint(hashes.SHA256())

    @property
    def ca_file(self) -> Path:
        """PEM of the CA, for TLS contexts."""
        return self.folder / "ca.pem"

    @property
    def server_files(self) -> tuple[Path, Path]:
        """(certificate chain, key) of the server's own TLS certificate."""
        return self.folder / "server.pem", self.folder / "server.key"

    @contextmanager
    def server_pair(self) -> Iterator[tuple[Path, Path]]:
        """`server_files` with a key that `ssl` can load, meanwhile. Raises BadInput."""
        certificate, key = self.server_files
        with wraps.plain_file(key, self._wrap) as plain:
            yield certificate, plain

    def sign(self, context: signing.Context, document: msgspec.Struct) -> bytes:
        """Bytes of Signed: the exact bytes of `document` and the task key's signature."""
        body = _encoder.encode(document)
        return _encoder.encode(Signed(body, signing.sign(self._task_key, context, body)))

    def sign_package(self, package: Package) -> bytes:
        """Bytes of Signed: what agents install, vouched for by the release key."""
        body = _encoder.encode(package)
        return _encoder.encode(Signed(body, signing.sign(self._release_key, "pack", body)))

    def server_certificate(self, names: Sequence[str], *, now_ns: int) -> bool:
        """Make or renew the TLS certificate for `names` (host names and addresses).

        Returns:
            True when a new one was written: load it into the listening contexts.
        """
        path, key_path = self.server_files
        wanted = sorted(set(names))
        if path.exists() and key_path.exists():
            current = certificate_of(path)
            left = current.not_valid_after_utc - _time(now_ns)
            good = left > timedelta(days=RENEW_DAYS)
            # Made while the clock was ahead, it would not be valid for long.
            good = good and current.not_valid_before_utc <= _time(now_ns)
            if good and sorted(names_of(current)) == wanted:
                return False
        key = _ec_key(key_path, self._wrap)
        builder = (
            _builder(_name("Hauberk server"), self._cas[0].subject, now_ns, SERVER_DAYS)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([_san(n) for n in wanted]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        certificate = self._issue(builder, key.public_key())
        write_atomic(path, certificate.public_bytes(Encoding.PEM) + self.ca_pem)
        return True

    def agent_certificate(
        self, public: Ed25519PublicKey, agent: str, *, now_ns: int
    ) -> tuple[bytes, str, int]:
        """Certify an agent's key.

        Returns:
            (PEM chain, serial in hex, end of validity as wall-clock ns)
        """
        builder = (
            _builder(_name(agent), self._cas[0].subject, now_ns, AGENT_DAYS)
            .public_key(public)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(AGENT_URI + agent)]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        certificate = self._issue(builder, public)
        pem = certificate.public_bytes(Encoding.PEM)
        end = int(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000
        return pem, f"{certificate.serial_number:x}", end

    def _issue(
        self,
        builder: x509.CertificateBuilder,
        public: ec.EllipticCurvePublicKey | Ed25519PublicKey,
    ) -> x509.Certificate:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key())
        return (
            builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )

    def renew_ca(self, *, now_ns: int) -> bool:
        """Certify the CA's key anew when its certificate ends within a year, or is not valid yet.

        Agents get it with their next certificate, within weeks. What the key certified stays good
        under either, so nobody is cut off meanwhile.

        Returns:
            True when there is a new one.
        """
        now, current = _time(now_ns), self._cas[0]
        left = current.not_valid_after_utc - now
        if current.not_valid_before_utc <= now and left > timedelta(days=CA_RENEW_DAYS):
            return False
        _log.warning("the CA certificate ends on %s: renewed", current.not_valid_after_utc)
        former = [one for one in self._cas if one.not_valid_after_utc > now][:1]
        self._cas = [self._new_ca(now_ns), *former]
        write_atomic(self.ca_file, self.ca_pem)
        return True

    def _load_cas(self, now_ns: int) -> list[x509.Certificate]:
        if not self.ca_file.exists():
            self._cas = [self._new_ca(now_ns)]
            write_atomic(self.ca_file, self.ca_pem)
            return self._cas
        self._cas = certificates_of(self.ca_file)
        self.renew_ca(now_ns=now_ns)
        return self._cas

    def _new_ca(self, now_ns: int) -> x509.Certificate:
        name = _name("Hauberk CA")
        public = self._ca_key.public_key()
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            _builder(name, name, now_ns, CA_DAYS)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )


def certificate_of(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises BadInput."""
    return certificates_of(path)[0]


def certificates_of(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, at least one. Raises BadInput."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"not a PEM certificate ({error})", source=str(path)) from error


def names_of(certificate: x509.Certificate) -> list[str]:
    """Host names and addresses that a certificate is for."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    hosts = san.get_values_for_type(x509.DNSName)
    return hosts + [str(a) for a in san.get_values_for_type(x509.IPAddress)]


def agent_key_of(csr_pem: bytes) -> Ed25519PublicKey:
    """The key of a certificate request, which must have signed it.

    Raises:
        BadWire: no request, another kind of key, or a wrong signature.
    """
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        public = request.public_key()
        if not isinstance(public, Ed25519PublicKey):
            raise BadWire("the certificate request carries no Ed25519 key")
        public.verify(request.signature, request.tbs_certrequest_bytes)
    except (ValueError, InvalidSignature) as error:
        raise BadWire(f"not a certificate request signed by its own key: {error}") from error
    return public


def _builder(
    subject: x509.Name, issuer: x509.Name, now_ns: int, days: int
) -> x509.CertificateBuilder:
    now = _time(now_ns)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _time(now_ns: int) -> datetime:
    return datetime.fromtimestamp(now_ns / 1e9, UTC)


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def rewrap(folder: Path, old: Wrap | None, new: Wrap | None) -> list[str]:
    """Bring each private key of `folder` under `new` (None: plain), each file atomically.

    A run that was cut short is begun anew: what is under `new` already stays.

    Returns:
        names of the files that changed.

    Raises:
        BadInput: a file is damaged, or wrapped by neither `old` nor `new`; the rest is as it was.
    """
    plain: dict[str, bytes] = {}
    wanted = new.id if new is not None else ""
    for name in FILES:
        path = folder / name
        if not path.exists():
            continue
        if wraps.state_of(path) == wanted:
            _load(path, new)
            continue
        _load(path, old)
        plain[name] = wraps.read(path, old)
    for name, data in plain.items():
        wraps.write(folder / name, data, new)
    return list(plain)


def _load(path: Path, wrap: Wrap | None) -> object:
    data = wraps.read(path, wrap)
    try:
        return load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"the key is damaged ({error}): restore it from a backup", source=str(path)
        ) from error


def _ec_key(path: Path, wrap: Wrap | None) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        wraps.write(path, _pem(fresh), wrap)
        return fresh
    key = _load(path, wrap)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInput("not an ECDSA key: restore it from a backup", source=str(path))
    return key


def _ed_key(path: Path, wrap: Wrap | None) -> Ed25519PrivateKey:
    if not path.exists():
        fresh = Ed25519PrivateKey.generate()
        wraps.write(path, _pem(fresh), wrap)
        return fresh
    key = _load(path, wrap)
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput("not an Ed25519 key: restore it from a backup", source=str(path))
    return key

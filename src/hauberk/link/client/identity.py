"""Who this agent is: one Ed25519 key for TLS and for batch signatures, its certificate and ids.

On disk a folder (0700) holds generations; `current` is a link that is swapped in one step, so key
and certificate always belong together, whatever moment a crash picks::

    identity/current -> g2
    identity/g2/{key.pem 0600, cert.pem, ca.pem, ids.json}
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hauberk import signing
from hauberk.errors import BadInput, NotFound
from hauberk.link.client.files import private_folder, sync_folder, write_atomic
from hauberk.schema.ids import AgentId, agent_id
from hauberk.schema.link import EnrolReply, RotateReply

_KEY, _CERT, _CA, _IDS, _CURRENT = "key.pem", "cert.pem", "ca.pem", "ids.json", "current"


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """What the server issued besides the certificate. `task_key`, `release_key`: 32 raw bytes."""

    url: str
    agent: str
    workload: str
    tenant: str
    task_key: bytes
    task_key_id: str
    release_key: bytes = b""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of the identity, with the paths that TLS reads."""

    ids: Ids
    key: Ed25519PrivateKey
    certificate: bytes
    ca: bytes
    folder: Path

    @property
    def key_file(self) -> Path:
        """PEM of the private key."""
        return self.folder / _KEY

    @property
    def certificate_file(self) -> Path:
        """PEM of the certificate chain."""
        return self.folder / _CERT

    @property
    def ca_file(self) -> Path:
        """PEM of the server's CA."""
        return self.folder / _CA

    def expires_ns(self) -> int:
        """Wall clock (ns) at which the certificate ends."""
        return _validity(self.certificate)[1]

    def rotation_due_ns(self) -> int:
        """Wall clock (ns) from which on a new certificate should be asked for: 2/3 of its life."""
        start, end = _validity(self.certificate)
        return start + (end - start) * 2 // 3


def new_key() -> Ed25519PrivateKey:
    """A fresh key."""
    return Ed25519PrivateKey.generate()


def csr(key: Ed25519PrivateKey, agent: AgentId | str = "") -> bytes:
    """PEM request with CN = agent id and the URI SAN hauberk:agent:<id>.

    Args:
        key: signs the request.
        agent: the id to keep when the key is rotated; empty: the id of `key`.
    """
    from cryptography import x509  # noqa: PLC0415  6 MiB that a running agent rarely needs

    name = agent or agent_id(signing.raw_public(key))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"hauberk:agent:{name}")]),
            critical=False,
        )
        .sign(key, None)
    )
    return request.public_bytes(serialization.Encoding.PEM)


def save(folder: Path, url: str, key: Ed25519PrivateKey, reply: EnrolReply) -> Identity:
    """Store a first identity (or a new one after enrolling anew) durably."""
    ids = Ids(
        url=url,
        agent=reply.agent,
        workload=reply.workload,
        tenant=reply.tenant,
        task_key=reply.task_key,
        task_key_id=reply.task_key_id,
        release_key=reply.release_key,
    )
    return _store(folder, ids, key, reply.certificate, reply.ca)


def rotated(folder: Path, old: Identity, key: Ed25519PrivateKey, reply: RotateReply) -> Identity:
    """Store the new generation: same ids, new key and certificate."""
    ids = msgspec.structs.replace(old.ids, task_key=reply.task_key, task_key_id=reply.task_key_id)
    return _store(folder, ids, key, reply.certificate, reply.ca)


def load(folder: Path) -> Identity:
    """Read the current generation.

    Raises:
        NotFound: this agent is not enrolled.
        BadInput: a file is damaged; enrol anew.
    """
    current = folder / _CURRENT
    if not current.is_symlink():
        raise NotFound(f"{folder}: not enrolled; run: hauberk enroll URL --token TOKEN")
    generation = folder / current.readlink()
    try:
        ids = msgspec.json.decode((generation / _IDS).read_bytes(), type=Ids)
        key = serialization.load_pem_private_key((generation / _KEY).read_bytes(), None)
        certificate = (generation / _CERT).read_bytes()
        ca = (generation / _CA).read_bytes()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"identity cannot be read ({error}); enrol anew", source=str(generation)
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput("not an Ed25519 key; enrol anew", source=str(generation / _KEY))
    return Identity(ids=ids, key=key, certificate=certificate, ca=ca, folder=generation)


def generation(folder: Path) -> str:
    """Name of the current generation, "" when not enrolled: cheap way to see a change."""
    current = folder / _CURRENT
    return str(current.readlink()) if current.is_symlink() else ""


def _store(
    folder: Path, ids: Ids, key: Ed25519PrivateKey, certificate: bytes, ca: bytes
) -> Identity:
    private_folder(folder)
    former = sorted(int(p.name[1:]) for p in folder.glob("g[0-9]*") if p.name[1:].isdigit())
    place = folder / f"g{former[-1] + 1 if former else 1}"
    place.mkdir(mode=0o700)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomic(place / _KEY, pem, mode=0o600)
    write_atomic(place / _CERT, certificate, mode=0o644)
    write_atomic(place / _CA, ca, mode=0o644)
    write_atomic(place / _IDS, msgspec.json.encode(ids), mode=0o600)
    sync_folder(folder)
    link = folder / ".current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(place.name)
    link.replace(folder / _CURRENT)
    sync_folder(folder)
    for number in former:
        shutil.rmtree(folder / f"g{number}")
    return Identity(ids=ids, key=key, certificate=certificate, ca=ca, folder=place)


def _validity(pem: bytes) -> tuple[int, int]:
    from cryptography import x509  # noqa: PLC0415  6 MiB that a running agent rarely needs

    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise BadInput(f"not a certificate: {error}", source=_CERT) from error
    start = int(certificate.not_valid_before_utc.timestamp()) * 1_000_000_000
    return start, int(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000

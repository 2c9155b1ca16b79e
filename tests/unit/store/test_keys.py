from __future__ import annotations

import ssl
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from storekit import DAY_NS, NOW_NS

from hauberk import signing
from hauberk.errors import BadInput, BadWire
from hauberk.link.client.identity import csr
from hauberk.schema.link import Signed, TaskResult
from hauberk.store.keys import Keys, agent_key_of, certificate_of, names_of


def test_keys_stay_the_same_and_private(tmp_path: Path) -> None:
    one = Keys(tmp_path / "keys", now_ns=NOW_NS)
    two = Keys(tmp_path / "keys", now_ns=NOW_NS)
    assert (one.ca_pem, one.task_key_id) == (two.ca_pem, two.task_key_id)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    ssl.create_default_context(cadata=one.ca_pem.decode())


def test_damaged_key_is_said(tmp_path: Path) -> None:
    Keys(tmp_path, now_ns=NOW_NS)
    (tmp_path / "task.key").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match="restore it from a backup"):
        Keys(tmp_path, now_ns=NOW_NS)


def test_server_certificate_is_renewed_when_it_must(tmp_path: Path) -> None:
    keys = Keys(tmp_path, now_ns=NOW_NS)
    names = ["localhost", "127.0.0.1", "::1"]
    assert keys.server_certificate(names, now_ns=NOW_NS) is True
    assert keys.server_certificate(list(reversed(names)), now_ns=NOW_NS) is False
    assert keys.server_certificate([*names, "web.example"], now_ns=NOW_NS) is True
    assert keys.server_certificate([*names, "web.example"], now_ns=NOW_NS + 300 * DAY_NS) is False
    assert keys.server_certificate([*names, "web.example"], now_ns=NOW_NS + 330 * DAY_NS) is True
    certificate = certificate_of(keys.server_files[0])
    assert sorted(names_of(certificate)) == sorted([*names, "web.example"])
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(keys.ca_pem))


def test_agent_certificate_carries_the_agents_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path, now_ns=NOW_NS)
    key = Ed25519PrivateKey.generate()
    pem, serial, end = keys.agent_certificate(key.public_key(), "a" * 32, now_ns=NOW_NS)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.public_key() == key.public_key()
    assert f"{certificate.serial_number:x}" == serial
    assert 29 * DAY_NS < end - NOW_NS <= 30 * DAY_NS
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == ["hauberk:agent:" + "a" * 32]


def test_signed_documents_verify_for_their_context_only(tmp_path: Path) -> None:
    keys = Keys(tmp_path, now_ns=NOW_NS)
    raw = keys.sign("task", TaskResult(task="t", outcome="done"))
    signed = msgspec.msgpack.decode(raw, type=Signed)
    public = Ed25519PublicKey.from_public_bytes(keys.task_public)
    signing.verify(public, "task", signed.body, signed.signature)
    with pytest.raises(signing.Refused):
        signing.verify(public, "desired", signed.body, signed.signature)


def test_requests_must_be_signed_by_their_key() -> None:
    key = Ed25519PrivateKey.generate()
    assert agent_key_of(csr(key)) == key.public_key()
    with pytest.raises(BadWire):
        agent_key_of(b"nonsense")
    name = x509.Name([])
    other = x509.CertificateSigningRequestBuilder().subject_name(name)
    pem = other.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    with pytest.raises(BadWire, match="Ed25519"):
        agent_key_of(pem.public_bytes(Encoding.PEM))


def test_a_ca_that_ends_within_a_year_is_renewed_and_nobody_is_cut_off(tmp_path: Path) -> None:
    old = Keys(tmp_path / "keys", now_ns=NOW_NS)
    first = x509.load_pem_x509_certificate(old.ca_pem)
    agent = Ed25519PrivateKey.generate().public_key()
    late = NOW_NS + 9 * 365 * DAY_NS + 30 * DAY_NS
    pem, _, _ = old.agent_certificate(agent, "a1", now_ns=late)
    new = Keys(tmp_path / "keys", now_ns=late)
    current, former = x509.load_pem_x509_certificates(new.ca_pem)
    assert former == first
    assert current.public_key() == first.public_key()
    assert current.not_valid_after_utc > first.not_valid_after_utc
    assert new.ca_sha256 != old.ca_sha256
    assert new.ca_file.read_bytes() == new.ca_pem
    # Both ways: who knows the old one only, and who shows a certificate that it signed.
    new.server_certificate(["localhost"], now_ns=late)
    certificate_of(new.server_files[0]).verify_directly_issued_by(first)
    x509.load_pem_x509_certificate(pem).verify_directly_issued_by(current)
    assert not new.renew_ca(now_ns=late)
    # The former one goes when it ends.
    assert new.renew_ca(now_ns=late + 9 * 365 * DAY_NS + 300 * DAY_NS)
    assert first not in x509.load_pem_x509_certificates(new.ca_pem)


def test_certificates_of_a_clock_that_ran_ahead_are_made_anew(tmp_path: Path) -> None:
    ahead = Keys(tmp_path / "keys", now_ns=NOW_NS + 3000 * DAY_NS)
    ahead.server_certificate(["localhost"], now_ns=NOW_NS + 3000 * DAY_NS)
    back = Keys(tmp_path / "keys", now_ns=NOW_NS)
    assert x509.load_pem_x509_certificate(back.ca_pem).not_valid_before_utc.timestamp() <= (
        NOW_NS / 1e9
    )
    assert back.server_certificate(["localhost"], now_ns=NOW_NS)
    assert not back.server_certificate(["localhost"], now_ns=NOW_NS)

import stat

import pytest
from cryptography import x509

from hauberk import signing
from hauberk.errors import BadInput, NotFound
from hauberk.link.client import identity as identities
from hauberk.schema.ids import agent_id
from hauberk.schema.link import RotateReply


def test_the_request_names_the_key(authority):
    key = identities.new_key()
    csr = x509.load_pem_x509_csr(identities.csr(key))
    name = agent_id(signing.raw_public(key))
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == f"CN={name}"
    san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [f"hauberk:agent:{name}"]


def test_files_are_private_and_load_gives_the_same(identity, tmp_path):
    folder = tmp_path / "identity"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(identity.key_file.stat().st_mode) == 0o600
    read = identities.load(folder)
    assert read.ids == identity.ids
    assert (read.certificate, read.ca) == (identity.certificate, identity.ca)
    assert signing.raw_public(read.key) == signing.raw_public(identity.key)
    assert identities.generation(folder) == identity.folder.name == "g1"


def test_rotation_keeps_the_agent_and_swaps_in_one_step(identity, authority, tmp_path):
    folder = tmp_path / "identity"
    key = identities.new_key()
    csr = identities.csr(key, identity.ids.agent)
    reply = RotateReply(
        certificate=authority.issue(csr), ca=authority.pem, task_key=b"k" * 32, task_key_id="k2"
    )
    renewed = identities.rotated(folder, identity, key, reply)
    read = identities.load(folder)
    assert read.ids.agent == identity.ids.agent
    assert read.ids.task_key_id == "k2"
    assert read.ids.tenant == "t1"
    assert signing.raw_public(read.key) == signing.raw_public(key)
    assert renewed.folder.name == "g2"
    assert sorted(p.name for p in folder.iterdir()) == ["current", "g2"]


def test_a_crash_before_the_swap_keeps_the_old_pair(identity, authority, tmp_path, monkeypatch):
    folder = tmp_path / "identity"
    key = identities.new_key()
    reply = RotateReply(
        certificate=authority.issue(identities.csr(key, identity.ids.agent)),
        ca=authority.pem,
        task_key=bytes(32),
        task_key_id="k1",
    )

    def crash(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.symlink_to", crash)
        with pytest.raises(KeyboardInterrupt):
            identities.rotated(folder, identity, key, reply)
    read = identities.load(folder)
    assert read.certificate == identity.certificate
    assert signing.raw_public(read.key) == signing.raw_public(identity.key)
    assert identities.rotated(folder, read, key, reply).folder.name == "g3"


def test_not_enrolled_and_damaged_say_what_to_do(identity, tmp_path):
    with pytest.raises(NotFound, match="hauberk enroll"):
        identities.load(tmp_path / "nowhere")
    assert identities.generation(tmp_path / "nowhere") == ""
    identity.key_file.write_bytes(b"garbage")
    with pytest.raises(BadInput, match="enrol anew"):
        identities.load(tmp_path / "identity")


def test_rotation_is_due_after_two_thirds_of_the_life(identity):
    day = 86_400_000_000_000
    assert identity.expires_ns() - identity.rotation_due_ns() == pytest.approx(20 * day, abs=1e9)

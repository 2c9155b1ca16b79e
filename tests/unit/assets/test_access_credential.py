import datetime as dt
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hauberk.assets import access_credential as module
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node
from hauberk.host.root import RootHost
from hauberk.ports import Notes

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
PASSWD = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"


def make_certificate(until=dt.datetime(2030, 1, 2, tzinfo=dt.UTC)):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(dt.datetime(2020, 1, 2, tzinfo=dt.UTC))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("web.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made, pem


@pytest.fixture(scope="module")
def files():
    certificate, key = make_certificate()
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return {
        "/etc/passwd": PASSWD,
        "/etc/ssl/private/web.pem": Node(key + pem + pem, mode=0o644),
        "/etc/nginx/tls/web.cer": certificate.public_bytes(serialization.Encoding.DER),
        "/etc/ssl/certs/trust.pem": pem,
        "/etc/app/store.p12": Node(b"\x30\x82", mode=0o600),
        "/etc/ssh/sshd_config": "# x\nAuthorizedKeysFile %h/.ssh/authorized_keys /etc/keys/%u\n",
        "/etc/ssh/ssh_host_rsa_key": Node(
            "-----BEGIN RSA PRIVATE KEY-----\nSECRETSECRET\n-----END RSA PRIVATE KEY-----\n",
            mode=0o600,
        ),
        "/home/ann/.ssh/authorized_keys": (
            f"# mine\nssh-ed25519 {BLOB} ann@laptop\nno-pty ssh-ed25519 {BLOB} twice\n"
        ),
        "/etc/keys/root": f'from="10.0.0.1" ssh-ed25519 {BLOB} admin\n',
        "/home/ann/.ssh/id_rsa": Node(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nSECRETSECRET\n-----END",
            uid=1000,
            mode=0o600,
        ),
        "/home/ann/.ssh/config": "Host x\n",
        "/home/ann/.aws/credentials": Node(
            "aws_secret_access_key=SECRETSECRET", uid=1000, mode=0o644
        ),
        "/home/ann/.netrc": "",
    }


def test_all_kinds(rows, files):
    found = rows(module, DictHost(files))
    kinds = {(r.kind, r.path): r for r in found}
    keys = [r for r in found if r.kind == "authorized_key"]
    assert {(r.account, r.path, r.comment) for r in keys} == {
        ("ann", "/home/ann/.ssh/authorized_keys", "ann@laptop"),
        ("root", "/etc/keys/root", "admin"),
    }
    assert next(r for r in keys if r.account == "root").options == ["from"]
    assert all(r.fingerprint.startswith("SHA256:") for r in keys)
    private = kinds["private_key", "/home/ann/.ssh/id_rsa"]
    assert (private.owner, private.mode, private.has_passphrase) == ("ann", "0600", True)
    host_key = kinds["ssh_host_key", "/etc/ssh/ssh_host_rsa_key"]
    assert (host_key.algorithm, host_key.has_passphrase, host_key.exposed) == (
        "pkcs1",
        False,
        False,
    )
    aws = kinds["credential_file", "/home/ann/.aws/credentials"]
    assert (aws.algorithm, aws.exposed) == ("aws", True)
    assert ("credential_file", "/home/ann/.netrc") not in kinds
    assert kinds["key_store", "/etc/app/store.p12"].exposed is False
    open_key = kinds["private_key", "/etc/ssl/private/web.pem"]
    assert (open_key.algorithm, open_key.has_passphrase, open_key.exposed) == ("pkcs8", False, True)


def test_certificates(rows, files):
    found = [r for r in rows(module, DictHost(files)) if r.kind == "certificate"]
    assert {r.path for r in found} == {"/etc/ssl/private/web.pem", "/etc/nginx/tls/web.cer"}
    for row in found:
        assert (row.subject, row.names, row.serial) == ("CN=web.test", ["web.test"], "abc")
        assert (row.algorithm, row.bits) == ("ec", 256) or row.algorithm.startswith("ec")
        assert row.not_after_ns == int(dt.datetime(2030, 1, 2, tzinfo=dt.UTC).timestamp()) * 10**9


def test_no_secret_leaves_the_machine(rows, files):
    assert "SECRETSECRET" not in str(rows(module, DictHost(files)))


def test_a_year_beyond_64_bits_is_cut(rows):
    certificate, _ = make_certificate(dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (row,) = rows(module, DictHost({"/etc/passwd": PASSWD, "/etc/x/a.crt": pem}))
    assert row.not_after_ns == 2**63 - 1


def test_broken_ones_are_noted_and_the_rest_goes_on(collect, files):
    pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    more = {
        **files,
        "/etc/a/broken.pem": pem,
        "/etc/a/broken.cer": b"\x30\x00",
        "/etc/keys/ann": "what is this\n",
        "/home/ann/.ssh/id_x": "-----BEGIN OPENSSH PRIVATE KEY-----\nnot base64!\n",
    }
    found, proof = collect(module, DictHost(more))
    assert proof.outcome == "partial"
    assert {p.where for p in proof.problems} == {
        "/etc/a/broken.pem",
        "/etc/a/broken.cer",
        "/etc/keys/ann:1",
    }
    assert any(r.kind == "certificate" for r in found)


def test_hostile_links_and_pipes(tmp_path):
    (tmp_path / "etc/ssl").mkdir(parents=True)
    (tmp_path / "home/ann/.ssh").mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(PASSWD)
    os.mkfifo(tmp_path / "etc/ssl/pipe.pem")
    os.mkfifo(tmp_path / "home/ann/.ssh/id_rsa")
    os.symlink("/dev/zero", tmp_path / "home/ann/.ssh/id_dsa")
    os.symlink("../../../../../../../etc/passwd", tmp_path / "home/ann/.ssh/authorized_keys")
    os.symlink("id_loop", tmp_path / "home/ann/.aws")
    with RootHost(str(tmp_path)) as host:
        # The link ends in the root's own passwd, whose lines are no keys.
        notes = Notes()
        assert list(module.collect(host, notes)) == []
    assert notes.problems
    assert all("authorized_keys" in p.where for p in notes.problems)


def test_this_machine(live):
    found = live(module)
    host = LiveHost()
    for row in found:
        assert host.stat(row.path).mode == int(row.mode, 8)
    expected = {
        f"/etc/ssh/{n}"
        for n in os.listdir("/etc/ssh")
        if n.startswith("ssh_host_") and n.endswith("_key")
    }
    assert {r.path for r in found if r.kind == "ssh_host_key"} == expected


def test_hostile_input(hostile, files):
    hostile(module, {p: f.data if isinstance(f, Node) else f for p, f in files.items()})


def authorized(text):
    return {"/etc/passwd": PASSWD, "/home/ann/.ssh/authorized_keys": text}


@pytest.mark.parametrize("odd", ["\x0c", "\x0b", "\x1c", "\u2028", "\x85"])
def test_what_is_no_newline_for_sshd_hides_no_key(rows, odd):
    text = f'environment="A={odd}" ssh-ed25519 {BLOB} a{odd}b\n'
    (key,) = rows(module, DictHost(authorized(text)))
    assert (key.account, key.line) == ("ann", 1)


@pytest.mark.parametrize("padding", ["\n" * 6000, "# " + "x" * (1 << 18) + "\n"])
def test_a_key_behind_too_much_padding_is_said_to_be_possible(collect, padding):
    _, proof = collect(module, DictHost(authorized(f"{padding}ssh-ed25519 {BLOB} a\n")))
    assert (proof.outcome, proof.full) == ("partial", False)
    assert proof.problems[0].where == "/home/ann/.ssh/authorized_keys"


def test_a_key_behind_very_many_names_is_said_to_be_possible(collect, files):
    many = {f"/home/ann/.ssh/a{n:03d}": "x" for n in range(250)}
    _, proof = collect(module, DictHost({**files, **many}))
    assert (proof.problems[0].where, proof.full) == ("/home/ann/.ssh", False)

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets._sshkeys import parse_private, parse_public, public_of_blob


def keygen(folder, name, *options, phrase=""):
    if not shutil.which("ssh-keygen"):
        pytest.skip("needs ssh-keygen")
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-N", phrase, "-C", "me@box", "-f", str(path), *options], check=True
    )
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{path}.pub"], capture_output=True, text=True, check=True
    )
    bits, fingerprint, _ = said.stdout.split(None, 2)
    return path.read_bytes(), (folder / f"{name}.pub").read_text(), int(bits), fingerprint


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048"), ("-t", "ecdsa", "-b", "384")]
)
@pytest.mark.parametrize("phrase", ["", "secret words"])
def test_agrees_with_ssh_keygen(tmp_path, options, phrase):
    private, public, bits, fingerprint = keygen(tmp_path, "k", *options, phrase=phrase)
    key = parse_public(public)
    assert (key.bits, key.fingerprint, key.comment) == (bits, fingerprint, "me@box")
    found = parse_private(private)
    assert (found.form, found.encrypted) == ("openssh", bool(phrase))
    assert (found.public.fingerprint, found.public.bits) == (fingerprint, bits)


def test_older_forms(tmp_path):
    private, *_ = keygen(tmp_path, "a", "-t", "rsa", "-b", "2048", "-m", "PEM")
    assert parse_private(private).form == "pkcs1"
    assert not parse_private(private).encrypted
    private, *_ = keygen(tmp_path, "b", "-t", "rsa", "-b", "2048", "-m", "PEM", phrase="secret")
    assert parse_private(private).encrypted
    private, *_ = keygen(tmp_path, "c", "-t", "rsa", "-b", "2048", "-m", "PKCS8", phrase="secret")
    assert (parse_private(private).form, parse_private(private).encrypted) == ("pkcs8", True)
    putty = b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: aes256-cbc\r\n"
    assert parse_private(putty).encrypted


BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def test_options_give_their_names_only():
    line = f'from="10.0.0.1,10.0.0.2",no-pty,command="mail --password \\"x y\\"" ssh-ed25519 {BLOB} c d'
    key = parse_public(line)
    assert key.options == ["from", "no-pty", "command"]
    assert key.comment == "c d"
    assert parse_public(f"restrict ssh-ed25519 {BLOB}").options == ["restrict"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-rsa not*base64",
        f"ssh-rsa {BLOB}",
        'command="never closed ssh-ed25519 AAAA',
        '"' * 5000,
        "a=" * 50_000 + " ssh-rsa AAAA",
    ],
)
def test_lines_that_are_no_key(line):
    assert parse_public(line) is None


@given(st.binary(max_size=300))
def test_any_bytes(data):
    public_of_blob(data)
    parse_private(data)
    parse_private(b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + data)
    parse_private(b"-----BEGIN RSA PRIVATE KEY-----" + data)
    parse_public(data.decode("latin-1"))


def test_truncated_private_keys(tmp_path):
    private, *_ = keygen(tmp_path, "k", "-t", "ed25519")
    for size in range(0, len(private), 7):
        found = parse_private(private[:size])
        assert found is None or found.form == "openssh"

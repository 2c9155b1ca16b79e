from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from storekit import NOW_NS

from hauberk.errors import BadInput
from hauberk.store import keys as store_keys
from hauberk.store import wrap
from hauberk.store.keys import FILES, Keys


def key(tmp_path: Path, name: str = "wrap.key") -> Path:
    path = tmp_path / name
    wrap.new_key(path)
    return path


def test_what_was_sealed_opens_under_its_name_alone(tmp_path: Path) -> None:
    one = wrap.load(key(tmp_path))
    sealed = one.seal("ca.key", b"secret")
    assert b"secret" not in sealed
    assert one.open("ca.key", sealed) == b"secret"
    assert sealed != one.seal("ca.key", b"secret")
    with pytest.raises(BadInput, match=r"task\.key: is damaged, or was wrapped under another name"):
        one.open("task.key", sealed)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    one = wrap.load(key(tmp_path))
    sealed = one.seal("ca.key", b"x")
    for at in range(len(sealed)):
        broken = bytearray(sealed)
        broken[at] ^= 1
        with pytest.raises(BadInput):
            one.open("ca.key", bytes(broken))


@pytest.mark.parametrize(
    ("data", "mode", "says"),
    [
        (b"zz" * 32, 0o600, "64 hex digits"),
        (b"ab" * 31, 0o600, "holds 31 bytes"),
        (b"", 0o600, "holds 0 bytes"),
        (b"\xff" * 64, 0o600, "64 hex digits"),
        (b"ab" * 32, 0o604, "chmod 600"),
    ],
)
def test_a_wrong_wrapping_key_is_told(tmp_path: Path, data: bytes, mode: int, says: str) -> None:
    path = tmp_path / "k"
    path.write_bytes(data)
    path.chmod(mode)
    with pytest.raises(BadInput, match=says):
        wrap.load(path)


def test_a_wrapping_key_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = key(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadInput, match="never overwritten"):
        wrap.new_key(path)
    with pytest.raises(BadInput, match="cannot be read"):
        wrap.load(tmp_path / "gone")


def test_plain_keys_are_wrapped_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    before = Keys(folder, now_ns=NOW_NS)
    before.server_certificate(["localhost"], now_ns=NOW_NS)
    plain = {name: (folder / name).read_bytes() for name in FILES}
    one = wrap.load(key(tmp_path))
    after = Keys(folder, now_ns=NOW_NS, wrap=one)
    assert (after.ca_pem, after.task_key_id) == (before.ca_pem, before.task_key_id)
    assert after.release_public == before.release_public
    for name in FILES:
        data = (folder / name).read_bytes()
        assert wrap.wrapped_by(data) == one.id
        assert b"PRIVATE KEY" not in data
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert wrap.read(folder / name, one) == plain[name]
    again = Keys(folder, now_ns=NOW_NS, wrap=one)
    assert again.ca_pem == before.ca_pem


def test_fresh_keys_are_never_plain(tmp_path: Path) -> None:
    one = wrap.load(key(tmp_path))
    keys = Keys(tmp_path / "keys", now_ns=NOW_NS, wrap=one)
    keys.server_certificate(["localhost"], now_ns=NOW_NS)
    assert {wrap.state_of(tmp_path / "keys" / name) for name in FILES} == {one.id}


def test_tls_loads_a_wrapped_key_from_memory(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", now_ns=NOW_NS, wrap=wrap.load(key(tmp_path)))
    keys.server_certificate(["localhost"], now_ns=NOW_NS)
    open_before = len(os.listdir("/proc/self/fd"))
    with keys.server_pair() as (certificate, plain):
        assert str(plain).startswith("/proc/self/fd/")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, plain)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_without_the_wrapping_key_the_mend_is_named(tmp_path: Path) -> None:
    one = wrap.load(key(tmp_path))
    Keys(tmp_path / "keys", now_ns=NOW_NS, wrap=one)
    with pytest.raises(BadInput, match=rf"ca\.key: is wrapped by the key {one.id}: set wrap_key"):
        Keys(tmp_path / "keys", now_ns=NOW_NS)
    other = wrap.load(key(tmp_path, "other"))
    with pytest.raises(BadInput, match=f"by the key {one.id}, and this one is {other.id}"):
        Keys(tmp_path / "keys", now_ns=NOW_NS, wrap=other)
    cut = tmp_path / "keys/ca.key"
    cut.write_bytes(cut.read_bytes()[:30])
    with pytest.raises(BadInput, match="cut short"):
        Keys(tmp_path / "keys", now_ns=NOW_NS, wrap=one)


def test_rotation_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    old, new = wrap.load(key(tmp_path)), wrap.load(key(tmp_path, "new"))
    made = Keys(folder, now_ns=NOW_NS, wrap=old)
    first = folder / "ca.key"
    wrap.write(first, wrap.read(first, old), new)
    assert store_keys.rewrap(folder, old, new) == ["task.key", "release.key"]
    assert Keys(folder, now_ns=NOW_NS, wrap=new).ca_pem == made.ca_pem
    assert sorted(store_keys.rewrap(folder, new, None)) == ["ca.key", "release.key", "task.key"]
    assert Keys(folder, now_ns=NOW_NS).ca_pem == made.ca_pem
    assert store_keys.rewrap(folder, None, None) == []


def test_a_damaged_key_stops_the_rotation_before_anything_changes(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    Keys(folder, now_ns=NOW_NS)
    (folder / "release.key").write_bytes(b"nonsense")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(BadInput, match="restore it from a backup"):
        store_keys.rewrap(folder, None, wrap.load(key(tmp_path)))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before

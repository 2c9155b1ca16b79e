from pathlib import Path

import msgspec
import pytest
from backports import zstd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hauberk import signing
from hauberk.errors import BadWire, Refused
from hauberk.link import envelope

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


GOLDEN = Path(__file__).parents[2] / "golden/wire"


def seal(batch=b"rows", key=KEY, sequence=1, lane="e"):
    return envelope.seal(
        key, batch, agent="a1", boot="b1", sequence=sequence, wall_ns=10, mono_ns=20, lane=lane
    )


def forge(payload, raw_size, *, version=2, sequence=1, magic=envelope.MAGIC):
    header = msgspec.msgpack.encode(envelope.Header(version, "a1", "b1", sequence, 0, 0, raw_size))
    return msgspec.msgpack.encode(
        envelope.Envelope(magic, header, payload, signing.sign(KEY, "batch", header + payload))
    )


def key_of(_agent):
    return KEY.public_key()


@given(st.binary(max_size=2000))
def test_round_trip(batch):
    header, raw = envelope.read(seal(batch), key_of)
    assert raw == batch
    assert (header.agent, header.boot, header.sequence) == ("a1", "b1", 1)
    assert (header.wall_ns, header.mono_ns, header.lane) == (10, 20, "e")


def test_the_version_before_is_read():
    """The file was sealed by version 0.1, which knew no lanes."""
    header, raw = envelope.read((GOLDEN / "envelope-1.bin").read_bytes(), key_of)
    assert (header.version, header.sequence, header.lane) == (1, 7, "")
    assert raw == (GOLDEN / "process.bin").read_bytes()


def test_the_version_before_is_made_byte_for_byte():
    golden = (GOLDEN / "envelope-1.bin").read_bytes()
    header, raw = envelope.read(golden, key_of)
    again = envelope.seal(
        KEY,
        raw,
        agent=header.agent,
        boot=header.boot,
        sequence=header.sequence,
        wall_ns=header.wall_ns,
        mono_ns=header.mono_ns,
        lane="e",
        version=1,
    )
    assert again == golden


@pytest.mark.parametrize("version", [0, 3, 99])
def test_other_versions_are_refused_by_name(version):
    with pytest.raises(BadWire, match=f"version {version} is not 1 or 2: upgrade the older"):
        envelope.parse(forge(zstd.compress(b"x"), 1, version=version))


def test_a_repetition_under_a_newer_header_has_the_same_digest():
    sealed, _ = envelope.parse(seal(lane="e"))
    again, _ = envelope.parse(seal(lane=""))
    assert sealed != again
    assert envelope.digest(sealed) == envelope.digest(again)
    assert envelope.digest(sealed) != envelope.digest(envelope.parse(seal(b"other"))[0])


def test_the_same_batch_seals_to_the_same_bytes():
    assert seal() == seal()


def test_a_wrong_signature_is_refused_before_anything_is_decompressed():
    with pytest.raises(Refused, match="signature"):
        envelope.read(seal(key=OTHER), key_of)
    bomb = forge(zstd.compress(bytes(10_000_000)), 5)
    parsed, header = envelope.parse(bomb)
    damaged = msgspec.structs.replace(parsed, signature=bytes(64))
    with pytest.raises(Refused):
        envelope.check(damaged, KEY.public_key())
    assert header.raw_size == 5


@pytest.mark.parametrize("part", ["header", "payload"])
def test_any_changed_byte_breaks_the_signature(part):
    parsed, _ = envelope.parse(seal())
    value = bytearray(getattr(parsed, part))
    value[-1] ^= 1
    with pytest.raises(Refused):
        envelope.check(msgspec.structs.replace(parsed, **{part: bytes(value)}), KEY.public_key())


def test_one_gibibyte_declared_is_refused_unread():
    with pytest.raises(BadWire, match="declared size 1073741824"):
        envelope.read(forge(b"", 2**30), key_of)


@pytest.mark.parametrize("size", [-1, envelope.MAX_RAW + 1])
def test_sizes_out_of_bounds(size):
    with pytest.raises(BadWire, match="declared size"):
        envelope.parse(forge(b"", size))


def test_a_zip_bomb_stops_at_the_declared_size():
    bomb = zstd.compress(bytes(500_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(BadWire, match="not the declared 100 bytes"):
        envelope.read(forge(bomb, 100), key_of)
    with pytest.raises(BadWire, match="not the declared"):
        envelope.read(forge(bomb, envelope.MAX_RAW), key_of)


def test_a_short_or_cut_payload_is_refused():
    payload = zstd.compress(b"x" * 1000)
    with pytest.raises(BadWire):
        envelope.read(forge(payload, 1001), key_of)
    with pytest.raises(BadWire):
        envelope.read(forge(payload[:-3], 1000), key_of)
    with pytest.raises(BadWire, match="not zstd"):
        envelope.read(forge(b"plain", 5), key_of)


def test_too_large_bodies_versions_magic_and_sequences():
    with pytest.raises(BadWire, match="at most"):
        envelope.parse(bytes(envelope.MAX_BODY + 1))
    with pytest.raises(BadWire, match="version"):
        envelope.parse(forge(b"", 0, version=3))
    with pytest.raises(BadWire, match="version"):
        envelope.parse(forge(b"", 0, magic=b"XXX"))
    with pytest.raises(BadWire, match="sequence"):
        envelope.parse(forge(b"", 0, sequence=0))


@given(st.binary(max_size=300))
def test_random_bytes_are_never_an_envelope(data):
    with pytest.raises(BadWire):
        envelope.parse(data)

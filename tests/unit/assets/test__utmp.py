import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets._utmp import USER, parse_records, record_size

NARROW = "<h2xi32s4s32s256shhiii4i20x"
WIDE = "<h2xi32s4s32s256shhqqq4i20x4x"


def record(form=NARROW, kind=USER, seconds=1700000000, micros=5, host=b"", address=(0, 0, 0, 0)):
    return struct.pack(
        form, kind, 42, b"pts/0", b"ts/0", b"ann", host, 0, 0, 1, seconds, micros, *address
    )


def test_sizes_are_those_of_glibc():
    assert record_size("x86_64") == struct.calcsize(NARROW) == 384
    assert record_size("aarch64") == struct.calcsize(WIDE) == 400


@pytest.mark.parametrize(("arch", "form"), [("x86_64", NARROW), ("aarch64", WIDE)])
def test_fields(arch, form):
    address = (int.from_bytes(bytes([192, 0, 2, 9]), "little"), 0, 0, 0)
    (found,) = parse_records(record(form, address=address), arch)
    assert (found.kind, found.pid, found.line, found.user) == (USER, 42, "pts/0", "ann")
    assert found.host == "192.0.2.9"
    assert found.time_ns == 1700000000 * 10**9 + 5000


def test_address_forms():
    six = struct.unpack("<4i", bytes.fromhex("20010db8000000000000000000000007"))
    assert next(parse_records(record(address=six), "x86_64")).host == "2001:db8::7"
    assert next(parse_records(record(host=b"peer.test"), "x86_64")).host == "peer.test"


def test_half_and_damaged_records_are_left_out():
    good = record()
    assert len(list(parse_records(good + good[:100], "x86_64"))) == 1
    assert list(parse_records(record(kind=77) + record(micros=10**6), "x86_64")) == []
    assert list(parse_records(record(seconds=-5), "x86_64")) == []


@given(st.binary(max_size=1600), st.sampled_from(["x86_64", "aarch64", "s390x", ""]))
def test_any_bytes(data, arch):
    for found in parse_records(data, arch):
        assert 0 <= found.time_ns < 2**63
        found.user.encode()

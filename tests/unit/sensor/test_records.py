from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.errors import Unsupported
from hauberk.schema.text import to_bytes
from hauberk.sensor import native, records


def test_layout_equals_the_compilers():
    try:
        module = native.load()
    except Unsupported as error:
        pytest.skip(f"native part not built: {error}")
    lib = module.lib
    ours = records.layout()
    assert ours["exec"] == 104
    assert {name: lib.hb_layout(name.encode()) for name in ours} == ours
    assert lib.hb_layout(b"no.such") == -1


def test_layout_names_every_field_once_and_in_order():
    ours = records.layout()
    offsets = [v for k, v in ours.items() if k.startswith("sock.")]
    assert offsets == sorted(offsets)
    assert offsets[0] == ours["head"]
    assert ours["sock"] == offsets[-1] + 16


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"x")), min_size=1))
def test_argv_keeps_every_byte(arguments):
    area = b"".join(a + b"\0" for a in arguments)
    assert [to_bytes(a) for a in records.argv(area)] == arguments


def test_argv_of_an_empty_and_of_an_unterminated_area():
    assert records.argv(b"") == []
    assert records.argv(b"\0") == [""]
    assert records.argv(b"a\0b") == ["a", "b"]


def test_argv_of_a_hostile_length_is_cut():
    for one in (b"a\0", b"\xff\0", b"\0"):
        found = records.argv(one * (records.MOST_ARGUMENTS + 9))
        assert len(found) == records.MOST_ARGUMENTS
        assert "\0" not in found[-1]


def test_long_paths_are_not_kept():
    before = len(records._paths)
    for n in range(50):
        raw = b"%d\0" % n + b"d" * 250 + b"\0" + b"e" * 250 + b"\0" + b"f" * 250 + b"\0"
        assert records.path(raw, 0).endswith(f"/{n}")
    assert len(records._paths) <= before


def test_path_from_components_and_from_a_name():
    assert records.path(b"true\0bin\0usr\0", 0) == "/usr/bin/true"
    assert records.path(b"memfd:x\0", 0) == "/memfd:x"
    assert records.path(b"./a\0rest", records.PATH_IS_FILENAME) == "./a"
    assert to_bytes(records.path(b"\xff\xfe\0tmp\0", 0)) == b"/tmp/\xff\xfe"


def test_comm_stops_at_the_first_nul_and_keeps_odd_bytes():
    assert records.comm(b"bash\0garbage\0\0\0\0") == "bash"
    assert to_bytes(records.comm(b"\xc3\x28" + bytes(14))) == b"\xc3\x28"


@pytest.mark.parametrize(
    ("family", "raw", "text"),
    [
        (socket.AF_INET, bytes([127, 0, 0, 1]) + bytes(12), "127.0.0.1"),
        (socket.AF_INET6, bytes(15) + b"\1", "::1"),
        (socket.AF_INET6, bytes(10) + b"\xff\xff\x0a\0\0\1", "10.0.0.1"),
    ],
)
def test_address(family, raw, text):
    assert records.address(family, raw) == text


@pytest.mark.parametrize(
    ("status", "code", "signal"),
    [(0, 0, None), (3 << 8, 3, None), (9, None, 9), (11 | 0x80, None, 11), (255 << 8, 255, None)],
)
def test_wait_status(status, code, signal):
    assert records.wait_status(status) == (code, signal)

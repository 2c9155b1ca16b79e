import os

import pytest

from hauberk.link.client.segment import Segment


def filled(folder, count=3):
    segment = Segment.create(folder, "e", 1, "boot-a")
    for number in range(1, count + 1):
        segment.append(
            b"x" * number, rows=number, sequence=number, wall_ns=10 * number, mono_ns=number
        )
    return segment


def test_records_come_back_in_order_and_done_is_remembered(tmp_path):
    segment = filled(tmp_path)
    first = segment.head()
    assert (first.sequence, first.rows, first.wall_ns, first.batch) == (1, 1, 10, b"x")
    segment.done()
    segment.close()
    again = Segment.open(tmp_path / "000000000001-e.seg")
    assert (again.pending, again.rows, again.last_sequence) == (2, 5, 3)
    assert again.head().sequence == 2
    again.done()
    again.done()
    assert again.head() is None
    again.close()
    last = Segment.open(tmp_path / "000000000001-e.seg")
    assert (last.pending, last.last_sequence) == (0, 3)
    last.append(b"y", rows=1, sequence=4, wall_ns=1, mono_ns=1)
    assert last.head().sequence == 4
    last.close()


def test_any_torn_tail_is_cut_and_the_rest_kept(tmp_path):
    segment = filled(tmp_path)
    path, whole = segment.path, segment.size
    segment.close()
    data = path.read_bytes()
    assert len(data) == whole
    two = whole - len(b"xxx") - 37
    for cut in range(two, whole):
        path.write_bytes(data[:cut])
        opened = Segment.open(path)
        assert opened.pending == 2
        assert opened.size == path.stat().st_size == two
        opened.append(b"new", rows=1, sequence=9, wall_ns=1, mono_ns=1)
        opened.close()
        opened = Segment.open(path)
        assert opened.last_sequence == 9
        opened.close()


@pytest.mark.parametrize("offset", range(-40, 0))
def test_a_changed_byte_ends_the_file_before_it(tmp_path, offset):
    segment = filled(tmp_path)
    path = segment.path
    segment.close()
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)
    opened = Segment.open(path)
    # Only the state byte may differ without being damage.
    assert opened.pending in ((2,) if offset != -40 else (2, 3))
    opened.close()


def test_no_header_no_segment(tmp_path):
    path = tmp_path / "000000000007-e.seg"
    for content in (b"", b"short", b"\0" * 200):
        path.write_bytes(content)
        assert Segment.open(path) is None


def test_a_failed_append_leaves_no_trace(tmp_path, monkeypatch):
    segment = filled(tmp_path)
    size, real = segment.size, os.pwrite
    calls = []

    def half_then_full(descriptor, data, offset):
        if calls:
            raise OSError(28, "No space left on device")
        calls.append(1)
        return real(descriptor, bytes(data)[:10], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half_then_full)
        with pytest.raises(OSError, match="No space"):
            segment.append(b"z" * 100, rows=1, sequence=4, wall_ns=1, mono_ns=1)
    assert segment.path.stat().st_size == segment.size == size
    assert segment.pending == 3
    segment.close()

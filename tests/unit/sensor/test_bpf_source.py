from __future__ import annotations

import pytest

from hauberk.errors import BadWire
from hauberk.sensor import bpf_source
from hauberk.sensor.source import Batch


class FakeReader:
    """Gives out prepared buffers."""

    opened: tuple

    def __init__(self, buffers):
        self.buffers = list(buffers)
        self.closed = False

    def programs(self):
        return ["tp_btf/sched_process_exec"]

    def drain(self, _size):
        return (self.buffers.pop(0), bool(self.buffers)) if self.buffers else (b"", False)

    def lost(self):
        return 7

    def close(self):
        self.closed = True


@pytest.fixture
def source(state, monkeypatch):
    def make(*buffers):
        reader = FakeReader(buffers)

        def opened(name, **sizes):
            reader.opened = (name, sizes)
            return reader

        monkeypatch.setattr(bpf_source.NativeReader, "open", opened)
        return bpf_source.BpfSource(state), reader

    return make


def test_buffers_become_events_and_more_is_said(source, ring):
    bpf, reader = source(ring.exec(5), ring.exit(5))
    batch = Batch()
    assert bpf.drain(batch)
    assert not bpf.drain(batch)
    assert [p.activity_id for p in batch.process] == [1, 2]
    assert bpf.names == ["bpf:tp_btf/sched_process_exec"]
    assert bpf.lost() == 7
    bpf.close()
    assert reader.closed


def test_an_empty_round_gives_out_what_waited_too_long(source, ring, clock):
    bpf, _ = source(ring.exec(5, area=b"a", total=100))
    batch = Batch()
    clock.mono = 2_000_000_000
    bpf.drain(batch)
    assert batch.process == []
    clock.pass_s(5)
    bpf.drain(batch)
    assert batch.process[0].argv_truncated


def test_ring_is_opened_with_the_settings(source, settings):
    _, reader = source()
    sizes = {"ring_bytes": settings.ring_bytes, "wake_bytes": settings.ring_bytes // 4}
    assert reader.opened == ("sensor", sizes)


def test_a_ring_of_another_build_is_an_error(source):
    bpf, _ = source(b"\xff" * 64)
    with pytest.raises(BadWire):
        bpf.drain(Batch())

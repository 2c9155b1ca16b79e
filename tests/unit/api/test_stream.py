from __future__ import annotations

import msgspec
import pytest

from hauberk.api import stream
from hauberk.errors import Busy
from hauberk.schema.view import EventRow, Notice


def event(**fields):
    return EventRow(
        table="process_activity",
        workload="w",
        hostname="h",
        received_ms=1,
        time_ms=1,
        fields=fields,
    )


def test_own_events_are_left_out_unless_asked_for():
    notice = Notice(topic="events", at_ms=1, events=[event(is_self=True), event(pid=2**60)])
    seen = stream.shown(notice, include_self=False)
    assert [e.fields for e in seen.events] == [{"pid": str(2**60)}]
    assert len(stream.shown(notice, include_self=True).events) == 2
    own = Notice(topic="events", at_ms=1, events=[event(is_self=True)])
    assert stream.shown(own, include_self=False) is None
    other = Notice(topic="agents", at_ms=1)
    assert stream.shown(other, include_self=False) is other


def test_a_message_is_one_data_line():
    raw = stream.message(Notice(topic="agents", at_ms=1, workload="a\nb\r\n\nevent: x"))
    lines = raw.split(b"\n")
    assert lines[0] == b"event: notice"
    assert lines[2:] == [b"", b""]
    assert msgspec.json.decode(lines[1].removeprefix(b"data: "))["workload"].startswith("a\nb")
    assert stream.heartbeat(7) == b"event: heartbeat\ndata: 7\n\n"


def test_streams_are_counted_per_tenant():
    streams = stream.Streams(limit=2)
    for _ in range(2):
        streams.check("a")
        streams.enter("a")
    with pytest.raises(Busy):
        streams.check("a")
    streams.check("b")
    streams.leave("a")
    streams.check("a")
    assert (streams.count("a"), streams.count("b")) == (1, 0)


def test_streams_that_passed_the_check_at_once_are_bounded():
    streams = stream.Streams(limit=1)
    streams.enter("a")
    assert not streams.over("a")
    streams.enter("a")
    assert streams.over("a")

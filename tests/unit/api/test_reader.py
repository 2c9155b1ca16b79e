from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from hauberk.api.reader import Reader, command_line, duration, reader, size
from hauberk.errors import BadInput
from hauberk.schema.asset import Column
from hauberk.schema.taxonomy import Title

AT = 1_790_000_000_000


def column(name, kind="int", doc=""):
    return Column(name, kind, Title("t", "t"), doc=doc)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("x", None, "not known"),
        ("x", True, "yes"),
        ("x", False, "no"),
        ("x", [], "none"),
        ("x", ["a", "b\n"], "a, b\\n"),
        ("argv", ["ls", "a b", "it's", ""], "ls 'a b' 'it'\\''s' ''"),
        ("x", "plain \x1b[0m", "plain \\x1b[0m"),
        ("pid", 70_000, 70_000),
        ("rows", 1_234_567, 1_234_567),
        ("x", -1.5, -1.5),
        ("x", float("inf"), "inf"),
        ("size_bytes", 1536, "1.5 KiB"),
        ("start_ns", 1_500_000_000, "1.5s"),
        ("time_ns", AT * 10**6 + 123_456_789, "2026-09-21 14:13:20.123+00:00"),
        ("x_ms", AT, "2026-09-21 14:13:20.000+00:00"),
        ("x_ms", 1500, "1.5s"),
        ("boot_time_s", 5, "1970-01-01 00:00:05.000+00:00"),
        ("uptime_s", 90_061, "1d 1h"),
        ("last_s", 1_790_000_000, "2026-09-21 14:13:20.000+00:00"),
    ],
)
def test_values(name, value, shown):
    assert Reader().plain(name, value) == shown


def test_what_a_column_knows_of_itself():
    who = Reader("zh-CN")
    assert who.value(column("lost", doc="-1: unknown"), -1) == "未知"
    assert who.value(column("lost", doc="-1: unknown"), 1) == 1
    assert who.value(column("size", doc="bytes on disk"), 2048) == "2.0 KiB"
    # Integers beyond 2^53 are text in the API.
    assert who.value(column("until_ns"), str(AT * 10**6)) == "2026-09-21 14:13:20.000+00:00"
    assert who.value(column("version", "str"), "12") == "12"


def test_moments():
    who = Reader("en", ZoneInfo("Asia/Shanghai"))
    assert who.stamp(AT) == "2026-09-21 22:13:20.000+08:00"
    assert who.stamp(None) == ""
    assert who.stamp(None, "never") == "never"
    assert who.stamp(2**62) == str(2**62)


def test_words():
    assert Reader("zh-CN").word("agents.behind", have=1, want=2) == "当前 1，期望 2"  # noqa: RUF001
    assert Reader().word("activity.process_activity.99") == "99"
    assert Reader("zh-CN").title(Title("a", "b")) == "b"


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "/etc/passwd", "Asia", "a\0b"])
def test_zones_that_are_none(zone):
    with pytest.raises(BadInput, match="time zone"):
        reader("en", zone)


def test_zones():
    assert reader("en", "UTC").stamp(0) == "1970-01-01 00:00:00.000+00:00"
    assert reader("zh-CN", "Asia/Shanghai").stamp(0) == "1970-01-01 08:00:00.000+08:00"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (150 * 2**20, "150 MiB"), (-2048, "-2.0 KiB"),
     (2**60, "1024 PiB")],
)  # fmt: skip
def test_sizes(value, shown):
    assert size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0"), (0.00003, "30 µs"), (0.4, "400 ms"), (2.5, "2.5s"), (3, "3s"), (200, "3m 20s"),
     (93_600, "1d 2h"), (86_400, "1d"), (-1, "-1s")],
)  # fmt: skip
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_command_lines():
    assert command_line(["/bin/sh", "-c", "echo $x"]) == "/bin/sh -c 'echo $x'"
    assert command_line(["名字"]) == "名字"

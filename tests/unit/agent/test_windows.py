from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from hauberk.agent import windows
from hauberk.schema.link import Window

BERLIN = ZoneInfo("Europe/Berlin")
S = 10**9


def at(*when, zone=UTC, fold=0):
    return int(datetime(*when, tzinfo=zone, fold=fold).timestamp()) * S


def test_no_windows_are_always_open():
    assert windows.open([], 0, UTC)
    assert windows.next_open_ns([], 5, UTC) == 5


def test_days_and_midnight():
    late = [Window(start="22:00", minutes=240, days=[4])]  # Friday night into Saturday
    assert not windows.open(late, at(2026, 11, 26, 23, 0), UTC)
    assert not windows.open(late, at(2026, 11, 27, 21, 59, 59), UTC)
    assert windows.open(late, at(2026, 11, 27, 22, 0), UTC)
    assert windows.open(late, at(2026, 11, 28, 1, 59, 59), UTC)
    assert not windows.open(late, at(2026, 11, 28, 2, 0), UTC)
    assert windows.next_open_ns(late, at(2026, 11, 28, 2, 0), UTC) == at(2026, 12, 4, 22, 0)


def test_local_time_is_meant():
    night = [Window(start="01:00", minutes=60)]
    china = timezone(timedelta(hours=8))
    assert windows.open(night, at(2026, 11, 25, 17, 30), china)
    assert not windows.open(night, at(2026, 11, 25, 1, 30), china)


def test_a_start_that_spring_skips_opens_an_hour_later_and_as_long():
    night = [Window(start="02:30", minutes=30)]
    assert not windows.open(night, at(2026, 3, 29, 0, 59), BERLIN)
    assert windows.open(night, at(2026, 3, 29, 1, 30), BERLIN)  # shows 03:30
    assert not windows.open(night, at(2026, 3, 29, 2, 0), BERLIN)


def test_a_start_that_autumn_shows_twice_opens_once():
    night = [Window(start="02:30", minutes=30)]
    first, second = (
        at(2026, 10, 25, 2, 45, zone=BERLIN, fold=0),
        at(2026, 10, 25, 2, 45, zone=BERLIN, fold=1),
    )
    assert second - first == 3600 * S
    assert windows.open(night, first, BERLIN)
    assert not windows.open(night, second, BERLIN)
    over = [Window(start="01:30", minutes=120)]  # two real hours over the change
    assert windows.open(over, first, BERLIN)
    assert not windows.open(over, second, BERLIN)


def test_a_window_without_sense_never_opens(caplog):
    windows._once.cache_clear()
    bad = [Window(start="25:00", minutes=60)]
    assert not windows.open(bad, at(2026, 1, 1), UTC)
    assert windows.next_open_ns(bad, at(2026, 1, 1), UTC) is None
    assert caplog.text.count("left out") == 1  # asked every few seconds, told once


@given(
    st.integers(0, 2**31),
    st.integers(0, 23),
    st.integers(1, 1440),
    st.lists(st.integers(0, 6), max_size=3),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(now, hour, minutes, days):
    some = [Window(start=f"{hour:02}:00", minutes=minutes, days=days)]
    opens = windows.next_open_ns(some, now * S, BERLIN)
    assert opens is not None
    assert windows.open(some, opens, BERLIN)
    assert opens == now * S or not windows.open(some, opens - S, BERLIN)


def test_the_zone_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    assert datetime(2026, 1, 1, tzinfo=windows.local_zone()).utcoffset() == timedelta(hours=8)
    monkeypatch.setenv("TZ", "No/Where")
    assert windows.local_zone() is UTC
    monkeypatch.delenv("TZ")
    assert windows.local_zone(tmp_path / "none") is UTC
    (tmp_path / "bad").write_bytes(b"not a zone")
    assert windows.local_zone(tmp_path / "bad") is UTC

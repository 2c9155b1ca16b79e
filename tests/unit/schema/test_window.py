import pytest

from hauberk.schema import window
from hauberk.schema.link import Window


def test_a_start_is_read():
    assert window.start_of(Window(start="09:05", minutes=1)) == (9, 5)


@pytest.mark.parametrize(
    "text", ["", "1:00", "aa:00", "24:00", "12:60", "12-30", "12:00x", "\uff11\uff12:00"]
)
def test_what_is_not_a_time(text):
    with pytest.raises(ValueError, match="is not"):
        window.start_of(Window(start=text, minutes=1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minutes": 0}, "minutes"),
        ({"minutes": 1441}, "minutes"),
        ({"days": [7]}, "days"),
        ({"days": [-1]}, "days"),
        ({"days": [1, 1]}, "days"),
        ({"start": "7"}, "HH:MM"),
    ],
)
def test_what_would_never_open_or_never_close(changes, words):
    with pytest.raises(ValueError, match=words):
        window.check(Window(**({"start": "01:00", "minutes": 60} | changes)))


def test_good_ones():
    window.check(Window(start="23:30", minutes=1440, days=[0, 6]))

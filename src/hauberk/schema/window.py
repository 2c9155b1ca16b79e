"""What a maintenance window must look like."""

from __future__ import annotations

from hauberk.schema.link import Window

MAX_MINUTES = 1440
MAX_WINDOWS = 50


def start_of(window: Window) -> tuple[int, int]:
    """(hour, minute). Raises ValueError."""
    hour, colon, minute = window.start.partition(":")
    digits = (hour + minute).isascii() and hour.isdecimal() and minute.isdecimal()
    if not (colon and len(hour) == len(minute) == 2 and digits):
        raise ValueError(f"{window.start!r} is not HH:MM")
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"{window.start!r} is not a time of day")
    return int(hour), int(minute)


def check(window: Window) -> None:
    """Raises ValueError for a window that would never open or is open for ever."""
    start_of(window)
    if not 1 <= window.minutes <= MAX_MINUTES:
        raise ValueError(f"1 to {MAX_MINUTES} minutes")
    if not all(0 <= day <= 6 for day in window.days) or len(set(window.days)) < len(window.days):
        raise ValueError("days are 0 (Monday) to 6, each once")

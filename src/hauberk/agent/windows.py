"""Maintenance windows in the machine's local time, over midnight and over clock changes.

A window opens when the local clock first shows its start and stays open for its minutes of real
time. A start that a spring change skips opens that much later; one that an autumn change shows
twice opens the first time only.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hauberk.schema.link import Window
from hauberk.schema.window import start_of

LOCALTIME = Path("/etc/localtime")
DAYS_BACK, DAYS_AHEAD = 2, 9
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


def open(windows: Sequence[Window], wall_ns: int, zone: tzinfo) -> bool:  # noqa: A001 as asked for
    """Whether work is allowed now. No windows: always.

    Args:
        windows: as in the schedule.
        wall_ns: wall clock, ns since 1970.
        zone: of the machine (`local_zone`).
    """
    if not windows:
        return True
    return any(start <= wall_ns < end for start, end in _spans(windows, wall_ns, zone))


def next_open_ns(windows: Sequence[Window], wall_ns: int, zone: tzinfo) -> int | None:
    """Wall clock of the next opening: now when open, None when no window ever opens."""
    if open(windows, wall_ns, zone):
        return wall_ns
    starts = (start for start, end in _spans(windows, wall_ns, zone) if start > wall_ns)
    return min(starts, default=None)


def local_zone(localtime: Path = LOCALTIME) -> tzinfo:
    """The machine's zone: TZ, else /etc/localtime, else UTC (logged when it cannot be read)."""
    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with (Path(name) if name else localtime).open("rb") as data:
            return ZoneInfo.from_file(data)
    except FileNotFoundError:
        return UTC
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        _once(f"time zone: {error}; windows are read as UTC")
        return UTC


@lru_cache(maxsize=64)
def _once(line: str) -> None:
    """Asked every few seconds, told once."""
    _log.warning("%s", line)


def _spans(windows: Sequence[Window], wall_ns: int, zone: tzinfo) -> Iterator[tuple[int, int]]:
    today = datetime.fromtimestamp(wall_ns // _NS, zone).date()
    for window in windows:
        try:
            hour, minute = start_of(window)
        except ValueError as error:
            # The server checks; one that did not must not stop the agent.
            _once(f"a window is left out: {error}")
            continue
        for offset in range(-DAYS_BACK, DAYS_AHEAD):
            day: date = today + timedelta(days=offset)
            if window.days and day.weekday() not in window.days:
                continue
            start = int(
                datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()
            )
            yield start * _NS, (start + window.minutes * 60) * _NS

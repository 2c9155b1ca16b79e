"""Values as the console shows them, for files that people open: language, time zone, units.

What a browser does in console/src/ui/Value.tsx and console/src/lib is done here once more.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hauberk.api.words import ABOUT, WORDS
from hauberk.errors import BadInput
from hauberk.schema.asset import Column
from hauberk.schema.taxonomy import Title
from hauberk.schema.text import display

Language = Literal["en", "zh-CN"]
Cell = str | int | float
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN = re.compile(r"(?:^|[^\d-])(-?\d+): (?:unknown|no owner found)")
_BYTES = re.compile(r"bytes\b")
_COMMAND = re.compile(r"argv|cmdline|command_line|exec_start")
_AT_SECONDS = re.compile(r"(^|_)(at|time)_s$")
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LONGEST = 1e15


@dataclass(frozen=True, slots=True)
class Reader:
    """Who will read the file."""

    language: Language = "en"
    zone: tzinfo = UTC

    def title(self, title: Title) -> str:
        """A title in their language."""
        return title.zh if self.language == "zh-CN" else title.en

    def word(self, key: str, **values: object) -> str:
        """A word of the console; what has none stands for itself."""
        title = WORDS.get(key) or ABOUT.get(key)
        if title is None:
            return display(key.rpartition(".")[2])
        text = self.title(title)
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", str(value))
        return text

    def stamp(self, ms: int | None, absent: str = "") -> str:
        """A moment in their zone, which stands behind it."""
        if ms is None:
            return absent
        try:
            moment = (_EPOCH + timedelta(milliseconds=ms)).astimezone(self.zone)
        except OverflowError:
            # A machine's clock may say anything; the number is better than nothing.
            return str(ms)
        return moment.isoformat(sep=" ", timespec="milliseconds")

    def value(self, column: Column, value: Any) -> Cell:
        """A field's value; null is "not known", never empty."""
        if column.kind == "int" and isinstance(value, str) and value.lstrip("-").isdecimal():
            value = int(value)  # beyond 2^53 the API writes text
        return self.plain(column.name, value, column.doc)

    def plain(self, name: str, value: Any, doc: str = "") -> Cell:
        """A value of which only the name is known."""
        if value is None:
            return self.word("value.unknown")
        if isinstance(value, bool):
            return self.word("value.yes" if value else "value.no")
        if isinstance(value, int | float):
            return self._number(name, value, doc)
        if isinstance(value, list):
            return self._joined(name, [str(item) for item in value])
        return display(str(value))

    def _joined(self, name: str, items: list[str]) -> str:
        if _COMMAND.fullmatch(name):
            return display(command_line(items))
        return ", ".join(map(display, items)) if items else self.word("value.none")

    def _number(self, name: str, value: float, doc: str) -> Cell:
        unknown = _UNKNOWN.search(doc)
        if unknown and value == int(unknown[1]):
            return self.word("value.unknown")
        if not math.isfinite(value):
            return str(value)
        if _BYTES.match(doc) or name == "bytes" or name.endswith("_bytes"):
            return size(value)
        return self._time(name, value)

    def _time(self, name: str, value: float) -> Cell:
        if _ends(name, "ms"):
            return self.stamp(int(value)) if value > 1e11 else duration(value / 1e3)
        if _ends(name, "ns"):
            return self.stamp(int(value) // 10**6) if value > 1e17 else duration(value / 1e9)
        if name.endswith("_s"):
            if _AT_SECONDS.search(name) or value > 1e9:
                return self.stamp(int(value * 1000))
            return duration(value)
        return value


def reader(language: Language, zone: str) -> Reader:
    """A reader in an IANA zone.

    Raises:
        BadInput: this server knows no such zone.
    """
    if zone == "UTC":
        return Reader(language)
    try:
        return Reader(language, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(
            "no such time zone here: use a name such as Asia/Shanghai or UTC", source="zone"
        ) from error


def size(value: float) -> str:
    """Bytes as `1.5 MiB`."""
    left, unit = abs(float(value)), 0
    while left >= 1024 and unit < len(_SIZES) - 1:
        left /= 1024
        unit += 1
    digits = 0 if unit == 0 or left >= 100 else 1
    return f"{'-' if value < 0 else ''}{left:.{digits}f} {_SIZES[unit]}"


def duration(seconds: float) -> str:
    """`1d 2h`, `3m 20s`, `2.5s`, `400 ms`, `30 µs`."""
    if seconds == 0:
        return "0"
    if seconds < 0 or seconds > _LONGEST:
        return f"{seconds:g}s"
    if seconds < 0.001:
        return f"{max(1, math.floor(seconds * 1e6 + 0.5))} µs"
    if seconds < 1:
        return f"{float(f'{seconds * 1e3:.3g}'):g} ms"
    if seconds < 60:
        return f"{math.floor(seconds * 10 + 0.5) / 10:g}s"
    left, out = math.floor(seconds + 0.5), []
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, length)
        if count:
            out.append(f"{count}{unit}")
        if len(out) == 2:
            break
    return " ".join(out)


def command_line(argv: list[str]) -> str:
    """An argument list as one would type it into a shell."""
    return " ".join(arg if _safe(arg) else "'" + arg.replace("'", "'\\''") + "'" for arg in argv)


def _safe(arg: str) -> bool:
    return bool(arg) and all(char.isalnum() or char in "_@%+=:,./-" for char in arg)


def _ends(name: str, unit: str) -> bool:
    return name == unit or name.endswith("_" + unit)

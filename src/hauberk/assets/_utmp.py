"""The binary login records of utmp, wtmp and btmp."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

import msgspec

from hauberk.schema.text import from_bytes

BOOT_TIME, INIT, LOGIN, USER, DEAD = 2, 5, 6, 7, 8
# glibc keeps 32-bit times on most 64-bit machines, but not on these.
_WIDE = frozenset({"aarch64", "loongarch64", "alpha", "ia64"})
_NARROW_FORM = struct.Struct("<hxxi32s4s32s256shhiii16s20x")
_WIDE_FORM = struct.Struct("<hxxi32s4s32s256shhqqq16s20x4x")


class LoginRecord(msgspec.Struct, frozen=True):
    """`kind` is ut_type; `time_ns` wall clock."""

    kind: int
    pid: int
    line: str
    user: str
    host: str
    time_ns: int


def record_size(arch: str) -> int:
    """Bytes of one record on machines of `arch`."""
    return (_WIDE_FORM if arch in _WIDE else _NARROW_FORM).size


def parse_records(data: bytes, arch: str) -> Iterator[LoginRecord]:
    """Whole records in `data`; a half one at the end is left out."""
    form = _WIDE_FORM if arch in _WIDE else _NARROW_FORM
    if arch in ("s390x", "ppc", "ppc64", "mips", "sparc64"):
        form = struct.Struct(">" + form.format[1:])
    for pos in range(0, len(data) - form.size + 1, form.size):
        fields = form.unpack_from(data, pos)
        kind, pid, line, _, user, host = fields[:6]
        seconds, micros, address = fields[-3], fields[-2], fields[-1]
        if not 0 <= kind <= 9 or not 0 <= seconds < 2**33 or not 0 <= micros < 10**6:
            # Not a record: the file is of another form or damaged.
            continue
        yield LoginRecord(
            kind,
            pid,
            _text(line),
            _text(user),
            _text(host) or _address(address),
            seconds * 1_000_000_000 + micros * 1000,
        )


def _text(field: bytes) -> str:
    return from_bytes(field.partition(b"\0")[0])


def _address(raw: bytes) -> str:
    if not any(raw):
        return ""
    if any(raw[4:]):
        return str(ipaddress.IPv6Address(raw))
    return str(ipaddress.IPv4Address(raw[:4]))

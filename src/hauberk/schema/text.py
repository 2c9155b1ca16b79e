"""Bytes that should be text, without losing any.

Command lines, file names and environment blocks are bytes. `from_bytes` gives a
valid UTF-8 `str` for any input and `to_bytes` gives the same bytes back: each byte
that is not UTF-8 becomes one character of U+10FF80..U+10FFFF, and a character of that
range in the input is itself escaped, so the mapping is a bijection.
"""

from __future__ import annotations

import codecs

_BASE = 0x10FF00
_FIRST = 0x10FF80
_LAST = 0x10FFFF
_LONE = {0xDC00 + byte: _BASE + byte for byte in range(0x80, 0x100)}


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(_BASE + byte) for byte in bad), error.end


codecs.register_error("hauberk-bytes", _escape)


def from_bytes(raw: bytes) -> str:
    """Decode `raw` so that `to_bytes` restores it exactly."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        # One C pass and one translation: ten times the speed of a handler call a byte, which
        # matters for hostile files of a megabyte.
        text = raw.decode("utf-8", "surrogateescape").translate(_LONE)
    if text.isascii() or (b"\xf4\x8f\xbe" not in raw and b"\xf4\x8f\xbf" not in raw):
        return text
    # The input holds a character of the escape range (F4 8F BE xx, F4 8F BF xx): escape it too.
    out: list[str] = []
    pos = 0
    while (hit := raw.find(b"\xf4\x8f", pos)) >= 0:
        out.append(raw[pos:hit].decode("utf-8", "hauberk-bytes"))
        unit = raw[hit : hit + 4]
        whole = unit.decode("utf-8", "ignore")
        if len(whole) == 1 and _FIRST <= ord(whole) <= _LAST:
            out.append("".join(chr(_BASE + byte) for byte in unit))
            pos = hit + 4
        else:
            out.append(raw[hit : hit + 1].decode("utf-8", "hauberk-bytes"))
            pos = hit + 1
    out.append(raw[pos:].decode("utf-8", "hauberk-bytes"))
    return "".join(out)


def to_bytes(text: str) -> bytes:
    """Restore the bytes that `from_bytes` decoded."""
    if text.isascii():
        return text.encode()
    out = bytearray()
    for char in text:
        code = ord(char)
        if _FIRST <= code <= _LAST:
            out.append(code - _BASE)
        else:
            out += char.encode("utf-8")
    return bytes(out)


def display(text: str) -> str:
    r"""Text for people: escaped bytes as `\xNN`, control characters as escapes."""
    if text.isprintable():
        return text
    out: list[str] = []
    for char in text:
        code = ord(char)
        if _FIRST <= code <= _LAST:
            out.append(f"\\x{code - _BASE:02x}")
        elif char.isprintable() or char == " ":
            out.append(char)
        else:
            out.append(char.encode("unicode_escape").decode("ascii"))
    return "".join(out)

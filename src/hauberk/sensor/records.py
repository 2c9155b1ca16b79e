"""Binary layout of the records of bpf/abi.h, and the parts that are plain translation."""

from __future__ import annotations

import socket
import struct

from hauberk.errors import BadWire
from hauberk.schema.text import from_bytes

ABI_VERSION = 2
EXEC, ARGS, EXIT, CONNECT, LISTEN, ACCEPT, CONNECTED = 1, 2, 3, 4, 5, 6, 7
ARGS_UNREADABLE, PATH_IS_FILENAME = 1, 2

HEAD_FIELDS = (("kind", "H"), ("flags", "H"), ("size", "I"), ("mono_ns", "Q"))
EXEC_FIELDS = (
    ("start_ns", "Q"),
    ("parent_start_ns", "Q"),
    ("cgroup_id", "Q"),
    ("pid", "I"),
    ("ppid", "I"),
    ("uid", "I"),
    ("gid", "I"),
    ("args_total", "I"),
    ("args_len", "I"),
    ("path_len", "I"),
    ("reserved", "I"),
    ("comm", "16s"),
    ("parent_comm", "16s"),
)
ARGS_FIELDS = (("start_ns", "Q"), ("pid", "I"), ("offset", "I"))
EXIT_FIELDS = (
    ("start_ns", "Q"),
    ("cgroup_id", "Q"),
    ("pid", "I"),
    ("ppid", "I"),
    ("uid", "I"),
    ("status", "I"),
    ("comm", "16s"),
)
SOCK_FIELDS = (
    ("start_ns", "Q"),
    ("cgroup_id", "Q"),
    ("id", "Q"),
    ("pid", "I"),
    ("ppid", "I"),
    ("uid", "I"),
    ("netns", "I"),
    ("family", "H"),
    ("protocol", "H"),
    ("src_port", "H"),
    ("dst_port", "H"),
    ("src", "16s"),
    ("dst", "16s"),
    ("comm", "16s"),
)
CONNECTED_FIELDS = (("id", "Q"), ("src_port", "I"), ("reserved", "I"))


def _struct(fields: tuple[tuple[str, str], ...]) -> struct.Struct:
    return struct.Struct("=" + "".join(code for _, code in fields))


HEAD = _struct(HEAD_FIELDS)
EXEC_BODY, ARGS_BODY, EXIT_BODY, SOCK_BODY, CONNECTED_BODY = map(
    _struct, (EXEC_FIELDS, ARGS_FIELDS, EXIT_FIELDS, SOCK_FIELDS, CONNECTED_FIELDS)
)
EXEC_SIZE, ARGS_SIZE, EXIT_SIZE, SOCK_SIZE, CONNECTED_SIZE = (
    HEAD.size + body.size for body in (EXEC_BODY, ARGS_BODY, EXIT_BODY, SOCK_BODY, CONNECTED_BODY)
)
SMALLEST = {
    EXEC: EXEC_SIZE,
    ARGS: ARGS_SIZE,
    EXIT: EXIT_SIZE,
    CONNECT: SOCK_SIZE,
    LISTEN: SOCK_SIZE,
    ACCEPT: SOCK_SIZE,
    CONNECTED: CONNECTED_SIZE,
}


def layout() -> dict[str, int]:
    """Sizes ("exec") and offsets ("exec.pid") as Python sees them, to compare with the compiler."""
    found = {"head": HEAD.size}
    at = 0
    for name, code in HEAD_FIELDS:
        found[f"head.{name}"] = at
        at += struct.calcsize("=" + code)
    kinds = (
        ("exec", EXEC_FIELDS),
        ("args", ARGS_FIELDS),
        ("exit", EXIT_FIELDS),
        ("sock", SOCK_FIELDS),
        ("connected", CONNECTED_FIELDS),
    )
    for kind, fields in kinds:
        at = HEAD.size
        for name, code in fields:
            found[f"{kind}.{name}"] = at
            at += struct.calcsize("=" + code)
        found[kind] = at
    return found


def malformed(what: str, at: int) -> BadWire:
    """The error of a record that cannot be: the object and the reader are of different builds."""
    return BadWire(
        f"{what} at byte {at} of a batch; rebuild the sensor's native part", source="sensor ring"
    )


_names: dict[bytes, str] = {}
_paths: dict[bytes, str] = {}
_addresses: dict[tuple[int, bytes], str] = {}
_MOST = 8192
_LONGEST_KEPT = 512
# Six MiB of empty arguments are as many objects: what is past this many is left out.
MOST_ARGUMENTS = 131_072
_MAPPED = bytes(10) + b"\xff\xff"


def comm(raw: bytes) -> str:
    """Task name of a NUL-padded field."""
    name = _names.get(raw)
    if name is None:
        if len(_names) >= _MOST:
            _names.clear()
        name = _names[raw] = from_bytes(raw.partition(b"\0")[0])
    return name


def path(raw: bytes, flags: int) -> str:
    """Executable's path from components, leaf first, or from a plain name."""
    if flags & PATH_IS_FILENAME:
        return from_bytes(raw.partition(b"\0")[0])
    text = _paths.get(raw)
    if text is None:
        parts = raw.split(b"\0")
        parts.reverse()
        text = from_bytes(b"/".join(parts))
        if len(raw) <= _LONGEST_KEPT:  # whoever makes long ones must not fill the memory
            if len(_paths) >= _MOST:
                _paths.clear()
            _paths[raw] = text
    return text


def argv(area: bytes) -> list[str]:
    """Arguments of a process from its argument area (each ends with NUL).

    At most MOST_ARGUMENTS: a list of that length is cut.
    """
    if not area:
        return []
    if area[-1] == 0:
        area = area[:-1]
    if area.isascii():
        return area.decode("ascii").split("\0", MOST_ARGUMENTS)[:MOST_ARGUMENTS]
    return [from_bytes(part) for part in area.split(b"\0", MOST_ARGUMENTS)[:MOST_ARGUMENTS]]


def address(family: int, raw: bytes) -> str:
    """Text of an address; IPv4 inside IPv6 reads as IPv4."""
    key = (family, raw)
    text = _addresses.get(key)
    if text is None:
        if len(_addresses) >= _MOST:
            _addresses.clear()
        if family == socket.AF_INET6 and not raw.startswith(_MAPPED):
            text = socket.inet_ntop(socket.AF_INET6, raw)
        elif family == socket.AF_INET6:
            text = socket.inet_ntop(socket.AF_INET, raw[12:])
        else:
            text = socket.inet_ntop(socket.AF_INET, raw[:4])
        _addresses[key] = text
    return text


def wait_status(status: int) -> tuple[int | None, int | None]:
    """(exit code, signal) of a wait(2) status; one of them is None."""
    signal = status & 0x7F
    return (None, signal) if signal else ((status >> 8) & 0xFF, None)

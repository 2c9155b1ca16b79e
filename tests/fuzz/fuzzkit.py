"""The shared driver: real samples, damaged at random, into one parser, within bounds.

`make test` runs every target from a fixed seed for a moment; HAUBERK_FUZZ_S=600 (`make fuzz`) gives
all targets together that many seconds from a seed of the moment, which a failure prints.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from hypothesis import strategies as st

TARGETS = 60  # about as many as there are: each has its part of the time
LONG = "HAUBERK_FUZZ_S" in os.environ
SECONDS = float(os.environ.get("HAUBERK_FUZZ_S", "60")) / TARGETS
CPU_S = 5.0  # of one call; coverage makes all of it slower
GROWTH_MIB = 192
MOST = 10**9 if LONG else 3000
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
PIECES = (
    b"\0",
    b"\n",
    b"\r\n\r\n",
    b"{",
    b"}",
    b'"',
    b"\\",
    b"\\\n",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"%s%n",
    b"../",
    b"[" * 300,
    b"{" * 300,
    b"(" * 300,
    b"9" * 400,
    b"-1",
    b"1e999",
    b"NaN",
    b"*" * 40,
    b" " * 99,
    b"=\n",
    b"\x81" * 99,
    b"\xdf\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
)


class Hung(BaseException):
    """A call took more CPU than it may."""


@dataclass(frozen=True)
class Target:
    """One parser.

    Args:
        name: shown.
        call: takes the damaged bytes and drains what it gives.
        samples: real input, which must pass (`clean`).
        allowed: the errors that the parser documents.
        known: input that broke it once.
        clean: whether the samples must pass without error.
    """

    name: str
    call: Callable[[bytes], object]
    samples: Sequence[bytes]
    allowed: tuple[type[Exception], ...] = ()
    known: Sequence[bytes] = field(default=())
    clean: bool = True


def damaged(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples after a few accidents."""
    data = bytearray(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(9)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at:at] = rng.choice(PIECES)
        elif kind == 3:
            del data[at : at + rng.randrange(1, 20)]
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            form = rng.choice((">B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
            size = struct.calcsize(form)
            value = (rng.choice(INTERESTING) + rng.randrange(-1, 2)) % (1 << 8 * size)
            data[at : at + size] = struct.pack(form, value)
        elif kind == 6:
            length = rng.randrange(1, 200)
            other = rng.choice(samples)
            start = rng.randrange(len(other) + 1)
            data[at : at + rng.choice((0, length))] = other[start : start + length]
        elif kind == 7:
            length = rng.randrange(1, 64)
            data[at:at] = bytes(data[at : at + length]) * rng.randrange(1, 40)
        else:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(16)))
    return bytes(data)


@contextlib.contextmanager
def bounded(name: str) -> Iterator[None]:
    """At most CPU_S of CPU for the block. Raises Hung."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"{name}: over {CPU_S} s of CPU")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def once(target: Target, data: bytes) -> None:
    """One call; whatever else than a documented error is told with the bytes that did it."""
    try:
        with bounded(target.name):
            target.call(data)
    except target.allowed:
        return
    except (Exception, Hung) as error:
        shown = data.hex() if len(data) < 4000 else f"{len(data)} bytes, {data[:200].hex()}..."
        raise AssertionError(
            f"{target.name}: {type(error).__name__}: {error}\ninput: {shown}"
        ) from error


def run(target: Target) -> int:
    """All of it; the number of calls."""
    for sample in target.samples if target.clean else ():
        with bounded(target.name):
            target.call(sample)
    for data in target.known:
        once(target, data)
    seed = time.time_ns() if LONG else 1
    rng = random.Random(f"{target.name}{seed}")
    before = peak_mib()
    until = time.monotonic() + SECONDS
    count = 0
    while time.monotonic() < until and count < MOST:
        try:
            once(target, damaged(rng, target.samples))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, call {count}: {error}") from error
        count += 1
    grown = peak_mib() - before
    assert grown < GROWTH_MIB, f"{target.name}: {grown} MiB more, seed {seed}, {count} calls"
    assert count > 3, f"{target.name}: {count} calls only: make it faster"
    return count


def peak_mib() -> int:
    """Most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# What msgpack and JSON can say: for hypothesis, where the form of a document is known.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)

"""Fixtures that run a collector over a dict, over hostile variants of it, and over this machine."""

import random

import msgspec
import pytest

from hauberk.host.collect import run
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost
from hauberk.schema.asset import columns_of


class FixedClock:
    def wall_ns(self):
        return 1

    def mono_ns(self):
        return 1


def _check(collector, rows):
    columns_of(collector.struct)
    for row in rows:
        plain = msgspec.to_builtins(row)
        assert msgspec.convert(plain, collector.struct) == row
        for value in plain.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, int):
                    assert -(2**63) <= item < 2**63, row
                elif isinstance(item, str):
                    item.encode()
    assert len({row.key() for row in rows}) == len(rows)


def _collect(collector, host):
    rows, proof = run(collector, host, epoch=1, clock=FixedClock())
    _check(collector, rows)
    return rows, proof


@pytest.fixture
def collect():
    """collect(module, host) -> (rows, proof); rows fit their columns and have unique keys."""
    return lambda module, host: _collect(module.COLLECTOR, host)


@pytest.fixture
def rows(collect):
    """rows(module, host) where nothing may be a problem."""

    def go(module, host):
        found, proof = collect(module, host)
        assert proof.outcome == "ok", proof
        return found

    return go


@pytest.fixture
def live(collect):
    """live(module): rows of this machine; problems are allowed, failing is not."""

    def go(module):
        found, proof = collect(module, LiveHost())
        assert proof.outcome in ("ok", "partial"), proof
        return found

    return go


def _variants(data, rng):
    yield b""
    for share in (0.1, 0.5, 0.9):
        yield data[: int(len(data) * share)]
    yield data[:-1]
    yield bytes(rng.randrange(256) for _ in range(400))
    yield data.replace(b"\n", b"\0")
    yield data.replace(b":", b"").replace(b" ", b"")
    yield data + b"\xff\xfe\xfa" * 50 + data
    yield b"\xf4\x8f\xbe\x80" + data
    yield b"9" * 5000 + b"\n" + data
    yield (data.replace(b"0", b"-99999999999999999999999") + b"\n") * 2
    yield b":" * 20_000 + b"\n" + b"=" * 20_000 + b"\n" + b"#" * 20_000
    for _ in range(20):
        broken = bytearray(data or b"x")
        for _ in range(max(1, len(broken) // 30)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        yield bytes(broken)


@pytest.fixture
def hostile(collect):
    """hostile(module, files, **DictHost args): each file in turn damaged, denied and too large.

    A collector may note problems or give up with a HostError; it may not trip over its input.
    """

    def go(module, files, **more):
        rng = random.Random(7)
        more.setdefault("kind", "live")
        for path, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            if not isinstance(data, bytes):
                continue
            for variant in _variants(data, rng):
                _, proof = collect(module, DictHost({**files, path: variant}, **more))
                bugs = [p for p in proof.problems if ".py:" in p.where]
                assert not bugs, (path, variant[:200], bugs)
            _, proof = collect(module, DictHost(files, denied={path}, **more))
            assert not [p for p in proof.problems if ".py:" in p.where], (path, "denied")

    return go

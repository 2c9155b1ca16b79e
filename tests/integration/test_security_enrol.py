"""5,000 machines behind one address enrol, as fast as the gateway's limit for it lets them."""

from __future__ import annotations

import heapq
import random

import pytest

from hauberk.agent import lifecycle
from hauberk.errors import Busy
from hauberk.link.gateway.bounds import Rate

MACHINES, RATE = 5000, 5.0


class Turned:
    """A clock that stands where it was set."""

    now = 0

    def wall_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now


def test_everybody_behind_one_address_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's own buckets and the agent's own waits, in simulated time."""
    rng = random.Random(7)
    monkeypatch.setattr(lifecycle.random, "random", rng.random)
    clock = Turned()
    enrolments = Rate(clock, per_s=RATE, burst=RATE * 12)
    asked = Rate(clock, per_s=RATE * 10, burst=RATE * 120)
    waiting = [(rng.random() * 2, machine, 0) for machine in range(MACHINES)]
    heapq.heapify(waiting)
    done: list[float] = []
    most = 0
    while waiting:
        at, machine, tries = heapq.heappop(waiting)
        clock.now = int(at * 1e9)
        try:
            asked.take("nat")
            enrolments.take("nat")
        except Busy as error:
            wait = lifecycle._wait(error, tries + 1)
            assert at + wait < lifecycle.PATIENCE_S, f"{len(done)} are in, one gave up"
            heapq.heappush(waiting, (at + wait, machine, tries + 1))
            most = max(most, tries + 1)
            continue
        done.append(at)
    assert len(done) == MACHINES
    ideal = (MACHINES - RATE * 12) / RATE
    assert done[-1] < 1.5 * ideal, (done[-1], ideal)
    assert most < 200

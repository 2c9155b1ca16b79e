from __future__ import annotations

import time

from hauberk.sensor.processes import Process
from hauberk.sensor.source import Batch, boot_minus_monotonic


def test_seed_does_not_overwrite_what_is_known_better(state, proc):
    proc.add(1, "init", ppid=0)
    proc.add(8, "app", ppid=1)
    state.processes.put(Process(8, 42, name="from the kernel"))
    state.seed()
    assert state.processes.get(1).name == "init"
    assert state.processes.get(8).name == "from the kernel"


def test_wall_offset(state, clock):
    assert state.wall_offset() == clock.wall - clock.mono
    clock.wall -= 10**12
    assert state.wall_offset() == clock.wall - clock.mono


def test_batch_counts_all_tables():
    batch = Batch()
    assert len(batch) == 0
    batch.process.append(None)
    batch.blind.append(None)
    assert len(batch) == 2


def test_boot_time_is_never_behind_monotonic_time():
    assert boot_minus_monotonic() >= 0
    assert time.clock_gettime_ns(time.CLOCK_BOOTTIME) > boot_minus_monotonic()

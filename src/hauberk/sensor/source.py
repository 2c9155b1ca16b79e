"""What every source of events has, and the state that sources share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from hauberk.ports import Clock
from hauberk.schema.event import BlindTime, NetworkActivity, ProcessActivity
from hauberk.sensor.containers import Containers
from hauberk.sensor.listeners import Listeners
from hauberk.sensor.processes import ProcessTable
from hauberk.sensor.procfs import ProcFs
from hauberk.sensor.settings import SensorSettings

UNKNOWN_LOSS = -1


@dataclass(slots=True)
class Batch:
    """Events gathered in one round, by table."""

    process: list[ProcessActivity] = field(default_factory=list)
    network: list[NetworkActivity] = field(default_factory=list)
    blind: list[BlindTime] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.process) + len(self.network) + len(self.blind)


class State:
    """What the sensor knows of the machine, used by all sources of one sensor."""

    def __init__(self, settings: SensorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.procfs = ProcFs(settings.proc)
        self.processes = ProcessTable(settings.processes, self.procfs.process)
        self.containers = Containers(settings.cgroup_roots)
        self.listeners = Listeners(self.procfs, self.processes, self.containers)

    def seed(self) -> None:
        """Learn the processes and listeners that exist already.

        Raises:
            OSError: /proc cannot be read.
        """
        for pid in self.procfs.pids():
            known = self.processes.get(pid)
            if known is None and (process := self.procfs.process(pid)) is not None:
                self.processes.put(process)
        self.listeners.scan()

    def wall_offset(self) -> int:
        """Nanoseconds to add to a time since boot to get the wall clock's."""
        return self.clock.wall_ns() - self.clock.mono_ns()


class Source(Protocol):
    """One way of seeing events. Any exception from `wait`, `drain` or `lost` means it died."""

    @property
    def names(self) -> list[str]:
        """What runs, such as "bpf:tp_btf/sched_process_exec"."""

    def wait(self, timeout_s: float) -> None:
        """Sleep up to `timeout_s`, less when much is pending."""

    def drain(self, batch: Batch) -> bool:
        """Add a bounded number of events to `batch`; True when more are waiting."""

    def lost(self) -> int:
        """Events lost since this source was opened."""

    def close(self) -> None:
        """Give everything back; again is fine."""


def boot_minus_monotonic() -> int:
    """Nanoseconds that the machine has slept: CLOCK_BOOTTIME less CLOCK_MONOTONIC."""
    monotonic = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - monotonic

"""Tier A and B: events of the eBPF programs, from their ring."""

from __future__ import annotations

from hauberk.sensor.decode import Decoder
from hauberk.sensor.native import NativeReader
from hauberk.sensor.source import Batch, State


class BpfSource:
    """Exec, exit, connect, listen and accept as the kernel programs report them.

    Raises:
        Unsupported: no native part, or this kernel refuses (on construction).
    """

    def __init__(self, state: State) -> None:
        settings = state.settings
        wake = settings.wake_bytes or settings.ring_bytes // 4
        self._size = settings.batch_bytes
        self._decoder = Decoder(state)
        self._reader = NativeReader.open("sensor", ring_bytes=settings.ring_bytes, wake_bytes=wake)
        self.names = [f"bpf:{section}" for section in self._reader.programs()]

    def wait(self, timeout_s: float) -> None:
        """Sleep; data that merely pends does not end it, so batches grow and wake-ups are few."""
        self._reader.wait(timeout_s)

    def drain(self, batch: Batch) -> bool:
        """Add one buffer's events."""
        data, more = self._reader.drain(self._size)
        if data:
            self._decoder.feed(data, batch)
        else:
            self._decoder.flush(batch)
        return more

    def lost(self) -> int:
        """Records that found no room since opening, over all CPUs."""
        return self._reader.lost()

    def costs(self) -> dict[str, tuple[int, int]]:
        """Program -> (runs, nanoseconds), while the kernel's BPF statistics are on."""
        return self._reader.costs()

    def close(self) -> None:
        """Detach the programs."""
        self._reader.close()

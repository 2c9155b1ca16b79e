"""Which sources this kernel really gives, found by trying them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hauberk.errors import Unsupported
from hauberk.schema.link import Tier
from hauberk.sensor.bpf_source import BpfSource
from hauberk.sensor.native import NativeReader
from hauberk.sensor.polling import ProcessPoller, SocketPoller
from hauberk.sensor.proc_connector import ProcConnector
from hauberk.sensor.source import Source, State

Opener = Callable[[State], Source]


@dataclass(slots=True)
class Choice:
    """The tier that was proven, its open sources with how to open each again, and why not more."""

    tier: Tier
    sources: list[tuple[Opener, Source]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def choose(state: State, *, without_bpf: str = "") -> Choice:
    """Open the best sources that work.

    Args:
        state: settings and shared knowledge.
        without_bpf: why eBPF shall not be tried (again); "" tries it.

    Raises:
        OSError: not even /proc can be read.
    """
    reasons: list[str] = []
    if not state.settings.native and not without_bpf:
        without_bpf = "switched off by settings"
    if without_bpf:
        reasons.append(f"no eBPF: {without_bpf}")
    else:
        try:
            source = BpfSource(state)
        except Unsupported as error:
            reasons.append(f"no eBPF: {error}")
        else:
            lsm = _lsm_refused()
            if lsm:
                reasons.append(f"no eBPF LSM (tier A): {lsm}")
            return Choice("B" if lsm else "A", [(BpfSource, source)], reasons)
    return _tier_d(state, reasons)


def _lsm_refused() -> str:
    """Why the kernel takes no LSM programs; "" when one was loaded and attached."""
    try:
        NativeReader.open("lsm_probe").close()
    except Unsupported as error:
        return str(error)
    return ""


def _tier_d(state: State, reasons: list[str]) -> Choice:
    choice = Choice("D", [], reasons)
    opener: Opener = ProcConnector
    try:
        source: Source = ProcConnector(state)
    except Unsupported as error:
        reasons.append(f"{error}; processes are polled, short-lived ones are not seen")
        opener = ProcessPoller
        source = ProcessPoller(state)
    choice.sources.append((opener, source))
    choice.sources.append((SocketPoller, SocketPoller(state)))
    reasons.append("sockets are polled, short connections are not seen")
    return choice

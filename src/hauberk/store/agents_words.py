"""What an agent says of itself, kept short: it may be hostile, and the state keeps it."""

from __future__ import annotations

from typing import Any

import msgspec

from hauberk.errors import BadWire
from hauberk.schema.link import Beat, BudgetState, PackageState, SensorHealth, WorkloadFacts

MAX_TEXT, MAX_WORD = 256, 100
_MAX_VERSION = 2**31 - 2


def check(beat: Beat) -> None:
    """Raises BadWire for values that no agent has and no store takes."""
    if len(beat.ledger) > 4096 or not beat.instance or len(beat.instance) > MAX_TEXT:
        raise BadWire("a beat needs an instance and at most 4096 ledger entries")
    if not 0 <= beat.desired_version <= _MAX_VERSION:
        raise BadWire("a beat with an absurd version of the desired state")
    numbers: list[float] = [beat.wall_ns, *_numbers(beat.resources)]
    for entry in beat.ledger:
        numbers += _numbers(entry)
    if not all(-(2**62) < n < 2**62 for n in numbers):  # not a number is not between
        raise BadWire("a beat with absurd numbers")


def _numbers(document: msgspec.Struct) -> list[float]:
    values = msgspec.structs.astuple(document)
    return [v for v in values if isinstance(v, int | float)]


def sensor_of(sensor: SensorHealth) -> SensorHealth:
    """A sensor's health, short."""
    return msgspec.structs.replace(
        sensor,
        sources=[s[:MAX_TEXT] for s in sensor.sources[:64]],
        reasons=[r[:1024] for r in sensor.reasons[:64]],
    )


def package_of(state: PackageState | None) -> PackageState | None:
    """What an agent did about packages, short."""
    if state is None:
        return None
    words = {
        name: getattr(state, name)[:MAX_WORD] for name in ("version", "sha256", "slot", "wanted")
    }
    return msgspec.structs.replace(state, message=state.message[:1024], **words)


def budget_of(state: BudgetState | None) -> BudgetState | None:
    """How grants are kept, short and with possible numbers alone."""
    if state is None:
        return None
    pressure = state.pressure
    if pressure is not None:
        known = ((name[:MAX_WORD], share) for name, share in list(pressure.items())[:8])
        pressure = {name: share for name, share in known if 0 <= share <= 100}
    return msgspec.structs.replace(
        state, detail=state.detail[:1024], shed=state.shed[:1024], pressure=pressure
    )


def facts_of(facts: WorkloadFacts) -> WorkloadFacts:
    """Facts are a machine's own words: keep them short."""
    short: dict[str, Any] = {
        name: value[:MAX_TEXT]
        for name in ("hostname", "machine_id", "os", "os_version", "kernel", "arch")
        if (value := getattr(facts, name))
    }
    addresses = [a[:64] for a in facts.addresses[:256]]
    return msgspec.structs.replace(facts, addresses=addresses, **short)


def json_of(document: msgspec.Struct | None) -> str:
    """A document as the state keeps it."""
    return msgspec.json.encode(document).decode()

"""Counts by class and subclass that never say 0 where nothing looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hauberk.schema.asset import Asset, Collection, columns_of
from hauberk.schema.taxonomy import CLASSES, Subclass
from hauberk.schema.view import AssetState, ClassState, SubclassState

_NS_PER_MS = 1_000_000
_LOOKED = ("ok", "partial")


def summarise(
    collections: Iterable[Collection], structs: Mapping[str, type[Asset]]
) -> list[ClassState]:
    """All 9 classes and 38 subclasses with what is known of each.

    Args:
        collections: the last one of each subclass of each workload.
        structs: row types by subclass that this build can collect.

    Returns:
        Display order. `rows` is None unless a workload was looked at. The state is the best that
        is true of everything: "error" or "partial" when one workload's collection was,
        "not_assessed" when no collection came (or only "not applicable" ones),
        "not_collected" when this build has no collector.
    """
    by_subclass: dict[str, list[Collection]] = {}
    for item in collections:
        by_subclass.setdefault(item.subclass, []).append(item)
    classes = []
    for each in CLASSES:
        states = [
            _state(sub, by_subclass.get(sub.id, []), structs.get(sub.id)) for sub in each.subclasses
        ]
        known = [state.rows for state in states if state.rows is not None]
        classes.append(
            ClassState(
                id=each.id,
                title=each.title,
                rows=sum(known) if known else None,
                subclasses=states,
            )
        )
    return classes


def _state(
    subclass: Subclass, collections: list[Collection], struct: type[Asset] | None
) -> SubclassState:
    looked = [item for item in collections if item.outcome in _LOOKED]
    state: AssetState
    if any(item.outcome == "error" for item in collections):
        state = "error"
    elif any(item.outcome == "partial" for item in collections):
        state = "partial"
    elif looked:
        state = "assessed"
    else:
        state = "not_assessed" if struct else "not_collected"
    times = [item.ended_ns // _NS_PER_MS for item in looked]
    return SubclassState(
        id=subclass.id,
        title=subclass.title,
        state=state,
        rows=sum(item.rows for item in looked) if looked else None,
        workloads=len(looked),
        oldest_ms=min(times, default=None),
        newest_ms=max(times, default=None),
        columns=list(columns_of(struct)) if struct else [],
    )

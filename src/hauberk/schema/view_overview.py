"""The view of the console's first page."""

from __future__ import annotations

from hauberk.schema.taxonomy import Title
from hauberk.schema.view import ClassState, EventRow, View


class RoleCount(View, frozen=True, kw_only=True):
    """On how many workloads a role was recognised."""

    role: str
    title: Title
    workloads: int


class Overview(View, frozen=True, kw_only=True):
    """What exists today; whatever has no engine yet is None: "not assessed"."""

    workloads: int
    agents: dict[str, int]
    tiers: dict[str, int]
    assets: list[ClassState]
    changes_24h: dict[str, int] | None
    events_24h: dict[str, int] | None
    blind: list[EventRow]
    roles: list[RoleCount]
    risks: int | None = None
    incidents: int | None = None
    first_run: bool = False

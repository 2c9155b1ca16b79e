"""Request bodies of the API. An unknown field is refused, never ignored."""

from __future__ import annotations

from typing import Literal

import msgspec

from hauberk.schema.link import Budget, Schedule

Role = Literal["admin", "analyst", "viewer"]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all request bodies: an unknown field is refused, never ignored."""


class Login(Input, frozen=True, kw_only=True):
    """POST /session. `name` may be `user` (default tenant) or `user@tenant`."""

    name: str
    password: str


class ScheduleInput(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule from outside."""


class BudgetInput(Budget, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A budget from outside."""


class DesiredInput(Input, frozen=True, kw_only=True):
    """PUT /workloads/{id}/desired: replaces schedule and budget; `version` is the one replaced."""

    version: int
    schedule: ScheduleInput
    budget: BudgetInput


class TaskInput(Input, frozen=True, kw_only=True):
    """POST /workloads/{id}/tasks."""

    kind: Literal["collect"]
    subclasses: list[str] = []
    ttl_s: float = 300.0


class EnrolmentInput(Input, frozen=True, kw_only=True):
    """POST /enrolments."""

    note: str = ""
    ttl_s: int = 86_400


class UserInput(Input, frozen=True, kw_only=True):
    """POST /users. Without `password` one is made and shown once."""

    name: str
    role: Role
    password: str | None = None


class UserPatch(Input, frozen=True, kw_only=True):
    """PATCH /users/{id}: what is absent stays."""

    role: Role | None = None
    disabled: bool | None = None


class TokenInput(Input, frozen=True, kw_only=True):
    """POST /tokens."""

    name: str
    role: Role
    ttl_s: int = 90 * 86_400


class TenantInput(Input, frozen=True, kw_only=True):
    """POST /tenants. `id` has small letters, digits and inner hyphens; at most 63."""

    id: str
    title: str = ""


class SavedViewInput(Input, frozen=True, kw_only=True):
    """POST /views and PUT /views/{id}."""

    name: str
    path: str
    query: str = ""
    shared: bool = False


class RunInput(Input, frozen=True, kw_only=True):
    """POST /runs: the same order to every machine that `filter` (of /workloads) leaves."""

    kind: Literal["collect"]
    subclasses: list[str] = []
    filter: str = ""
    ttl_s: float = 3600.0


class RolloutInput(Input, frozen=True, kw_only=True):
    """POST /rollouts: agents that `filter` (of /agents) leaves get the package `sha256`.

    The first `canary` of them get it first; the others after all of these were healthy for
    `soak_s`. More than `max_failed_pct` percent failed or rolled back in a ring halts it.
    `downgrade`: agents that run a newer package take it as well.
    """

    sha256: str
    filter: str = ""
    canary: int = 1
    soak_s: float = 300.0
    max_failed_pct: float = 10.0
    downgrade: bool = False

"""The API's own representation: what `-o json` prints and what the console's client is made of.

Times are milliseconds since 1970 (`*_ms`): nanoseconds would not fit the 53 bits of a
browser number.
`None` means "not known" or "not assessed", never 0.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

from hauberk.schema import input as bodies
from hauberk.schema.asset import Column, Problem
from hauberk.schema.link import (
    Budget,
    BudgetState,
    LedgerEntry,
    PackageState,
    Resources,
    Schedule,
    SensorHealth,
)
from hauberk.schema.link import WorkloadFacts as Facts
from hauberk.schema.taxonomy import Title

T = TypeVar("T")
Role = bodies.Role
Input = bodies.Input
Login = bodies.Login
ScheduleInput = bodies.ScheduleInput
BudgetInput = bodies.BudgetInput
DesiredInput = bodies.DesiredInput
TaskInput = bodies.TaskInput
EnrolmentInput = bodies.EnrolmentInput
UserInput = bodies.UserInput
UserPatch = bodies.UserPatch
TokenInput = bodies.TokenInput
TenantInput = bodies.TenantInput
SavedViewInput = bodies.SavedViewInput
RunInput = bodies.RunInput
RolloutInput = bodies.RolloutInput
AssetState = Literal["assessed", "partial", "error", "not_assessed", "not_collected"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all views."""


class Page(View, Generic[T], frozen=True, kw_only=True):
    """One page of a list. `next` is the cursor of the following page, `total` when it is cheap."""

    items: list[T]
    next: str | None = None
    total: int | None = None
    as_of_ms: int


class Failure(View, frozen=True, kw_only=True):
    """Body of every answer that is not 2xx: `code` is stable, `message` says what mends it."""

    code: str
    message: str
    field: str = ""


class Me(View, frozen=True, kw_only=True):
    """Who is asking. `csrf` goes into the X-Hauberk-CSRF header of every unsafe request."""

    name: str
    tenant: str
    role: Role
    via: Literal["session", "token", "local"]
    operator: bool = False
    csrf: str = ""
    expires_ms: int | None = None


class SubclassState(View, frozen=True, kw_only=True):
    """A subclass with what is known of it in this tenant.

    `rows` is None unless at least one workload was assessed; `workloads` counts those assessed.
    """

    id: str
    title: Title
    state: AssetState
    rows: int | None = None
    workloads: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None
    columns: list[Column] = []


class ClassState(View, frozen=True, kw_only=True):
    """One of the nine classes."""

    id: str
    title: Title
    rows: int | None = None
    subclasses: list[SubclassState] = []


class AssetRow(View, frozen=True, kw_only=True):
    """One asset. `fields` holds the columns of its subclass."""

    id: str
    workload: str
    hostname: str
    subclass: str
    key: str
    label: str
    first_seen_ms: int
    last_seen_ms: int
    changed_ms: int
    gone_ms: int | None = None
    fields: dict[str, Any] = {}


class FacetValue(View, frozen=True, kw_only=True):
    """One value of a field and the rows that have it; None counts rows without a value."""

    value: str | int | float | bool | None
    count: int


class Facets(View, frozen=True, kw_only=True):
    """The most frequent values of one field. `more`: there are others than those shown."""

    field: str
    values: list[FacetValue]
    more: bool
    as_of_ms: int


class Edge(View, frozen=True, kw_only=True):
    """A relation seen from one asset: `out` leaves it."""

    kind: str
    direction: Literal["out", "in"]
    asset: AssetRow | None
    subclass: str
    key: str
    evidence: str = ""


class Change(View, frozen=True, kw_only=True):
    """One entry of the change log. `before`/`after` hold the changed fields only."""

    seq: int
    at_ms: int
    workload: str
    hostname: str
    subclass: str
    asset: str
    label: str
    kind: Literal["added", "changed", "removed"]
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}


class AssetDetail(View, frozen=True, kw_only=True):
    """One asset with its columns, relations and history."""

    asset: AssetRow
    columns: list[Column]
    edges: list[Edge]
    changes: list[Change]


class RoleView(View, frozen=True, kw_only=True):
    """A role tag with its evidence."""

    role: str
    title: Title
    confidence: int
    evidence: list[str] = []


AgentState = Literal["online", "late", "offline", "revoked", "cloned"]


class AgentView(View, frozen=True, kw_only=True):
    """One agent and its last word. `skew_ms` bounds its clock's error against the server's.

    `goodbye`: why it is not there ("stopped", "upgrade", "uninstall"). `alarms` that are open.
    """

    id: str
    workload: str
    hostname: str
    state: AgentState
    version: str
    site: str = ""
    enrolled_ms: int
    last_beat_ms: int | None = None
    certificate_expires_ms: int | None = None
    skew_ms: int | None = None
    sensor: SensorHealth | None = None
    resources: Resources | None = None
    desired_version: int = 0
    acknowledged_version: int = 0
    package: PackageState | None = None
    budget: BudgetState | None = None
    goodbye: str = ""
    alarms: int = 0


class WorkloadView(View, frozen=True, kw_only=True):
    """A protected machine."""

    id: str
    hostname: str
    facts: Facts
    site: str = ""
    created_ms: int
    last_seen_ms: int | None = None
    agents: list[AgentView] = []
    roles: list[RoleView] = []


class CollectionView(View, frozen=True, kw_only=True):
    """How the last look at one subclass on one workload went."""

    subclass: str
    title: Title
    outcome: str
    rows: int
    ended_ms: int
    cpu_s: float
    problems: list[Problem] = []


class WorkloadDetail(View, frozen=True, kw_only=True):
    """A workload with everything its page shows first."""

    workload: WorkloadView
    collections: list[CollectionView]
    schedule: Schedule
    budget: Budget
    desired_version: int
    ledger: list[LedgerEntry]


class TaskView(View, frozen=True, kw_only=True):
    """A task and its fate. `state`: pending, sent, done, refused, failed, expired, cancelled."""

    id: str
    workload: str
    kind: str
    state: str
    created_ms: int
    not_after_ms: int
    created_by: str
    message: str = ""
    ended_ms: int | None = None


class EventRow(View, frozen=True, kw_only=True):
    """One event; `fields` holds the columns of its class (schema.event)."""

    table: str
    workload: str
    hostname: str
    received_ms: int
    time_ms: int
    fields: dict[str, Any] = {}


class EnrolmentView(View, frozen=True, kw_only=True):
    """An enrolment token; `token`, `command` and `install` only in the answer that made it.

    `install` is for a machine that has nothing; None where no package was added yet.
    """

    id: str
    note: str
    created_by: str
    created_ms: int
    expires_ms: int
    used_ms: int | None = None
    used_by: str = ""
    token: str | None = None
    command: str | None = None
    install: str | None = None


class UserView(View, frozen=True, kw_only=True):
    """A user; `password` only in the answer that made it."""

    id: str
    name: str
    role: Role
    disabled: bool
    created_ms: int
    last_login_ms: int | None = None
    password: str | None = None


class TokenView(View, frozen=True, kw_only=True):
    """An API token; `token` only in the answer that made it."""

    id: str
    name: str
    role: Role
    created_by: str
    created_ms: int
    expires_ms: int
    last_used_ms: int | None = None
    token: str | None = None


class TenantView(View, frozen=True, kw_only=True):
    """A tenant; `admin_password` only in the answer that made it."""

    id: str
    title: str
    created_ms: int
    agents: int = 0
    admin_password: str | None = None


class AuditView(View, frozen=True, kw_only=True):
    """One link of the hash chain."""

    seq: int
    at_ms: int
    actor: str
    action: str
    target: str
    detail: dict[str, Any] = {}
    hash: str


class AuditCheck(View, frozen=True, kw_only=True):
    """Result of walking the chain: `broken_at` is the first entry that does not fit."""

    entries: int
    intact: bool
    broken_at: int | None = None
    head: str = ""


class JobView(View, frozen=True, kw_only=True):
    """A server job. `state`: waiting, running, done, failed."""

    id: str
    kind: str
    state: str
    started_ms: int | None = None
    ended_ms: int | None = None
    message: str = ""


class StoreView(View, frozen=True, kw_only=True):
    """Size and forecast of one store."""

    name: str
    bytes: int
    rows: int | None = None
    retention_days: int | None = None
    days_left: float | None = None


class PartitionView(View, frozen=True, kw_only=True):
    """One partition of the inbox: the process that consumes it ("" for nobody), what waits in it.

    `behind` is in batches, by consumer ("state", "lake"). `name` is "" where there is only one.
    """

    name: str
    owner: str
    items: int
    bytes: int
    behind: dict[str, int]


class MemberView(View, frozen=True, kw_only=True):
    """One process of this deployment, as it last said. `role` is server or worker."""

    id: str
    role: str
    host: str
    pid: int
    version: str
    started_ms: int
    seen_ms: int
    live: bool
    consumes: bool
    partitions: list[str] = []


class SystemView(View, frozen=True, kw_only=True):
    """The server itself, and the processes that it shares its work with.

    `poison`: tables that no consumer could use and that are set aside.
    """

    version: str
    started_ms: int
    user: str
    unprivileged: bool
    urls: list[str]
    certificate_sha256: str
    certificate_names: list[str]
    certificate_expires_ms: int
    own_certificate: bool
    ca_sha256: str
    stores: list[StoreView]
    jobs: list[JobView]
    inbox_items: int
    inbox_bytes: int
    partitions: list[PartitionView] = []
    members: list[MemberView] = []
    poison: int = 0


class PartHealth(View, frozen=True, kw_only=True):
    """Whether one part of the server can work; `message` says what is wrong and what mends it."""

    name: str
    ok: bool
    message: str = ""


class Health(View, frozen=True, kw_only=True):
    """GET /healthz and /readyz."""

    ok: bool
    parts: list[PartHealth] = []


class Notice(View, frozen=True, kw_only=True):
    """One message of the stream; `topic` is one of `ingest.feed.TOPICS`."""

    topic: str
    at_ms: int
    workload: str = ""
    events: list[EventRow] = []
    changes: list[Change] = []
    agent: AgentView | None = None

"""Views of what is done to a fleet: runs, packages, rollouts, alarms, cost; and of saved views."""

from __future__ import annotations

from typing import Any, Literal

from hauberk.schema.link import AlarmKind
from hauberk.schema.view import TaskView, View

RunState = Literal["running", "done", "cancelled"]
RolloutState = Literal["canary", "all", "paused", "done", "halted", "cancelled"]
RolloutAgentState = Literal[
    "waiting", "offered", "trial", "healthy", "rolled_back", "failed", "skipped"
]


class SavedView(View, frozen=True, kw_only=True):
    """A page of the console with its filter, sort and columns, under a name.

    `mine`: the asker's own; only those can be changed. `query` is the page's own search string.
    """

    id: str
    name: str
    path: str
    query: str
    owner: str
    shared: bool
    mine: bool
    created_ms: int
    updated_ms: int


class RunView(View, frozen=True, kw_only=True):
    """One order to many machines. `states` counts its tasks by state; they add up to `total`.

    A cancelled run has no `ended_ms` while agents that already had their task may still answer.
    """

    id: str
    kind: str
    args: dict[str, Any] = {}
    filter: str = ""
    state: RunState
    total: int
    states: dict[str, int] = {}
    created_by: str
    created_ms: int
    not_after_ms: int
    ended_ms: int | None = None


class RunTaskView(TaskView, frozen=True, kw_only=True):
    """One machine's part of a run."""

    hostname: str


class PackageView(View, frozen=True, kw_only=True):
    """An agent package that the server's release key has signed."""

    sha256: str
    version: str
    sequence: int
    arch: str
    size: int
    note: str = ""
    created_by: str
    created_ms: int
    agents: int = 0


class RolloutView(View, frozen=True, kw_only=True):
    """A staged upgrade: a canary ring first, all others once it is healthy and has soaked.

    `states` counts agents by state; they add up to `total`. `message` says why it halted.
    """

    id: str
    sha256: str
    version: str
    filter: str = ""
    state: RolloutState
    ring: Literal["canary", "all"]
    canary: int
    soak_s: float
    max_failed_pct: float
    downgrade: bool = False
    total: int
    states: dict[str, int] = {}
    message: str = ""
    created_by: str
    created_ms: int
    ended_ms: int | None = None


class RolloutAgentView(View, frozen=True, kw_only=True):
    """One agent's way through a rollout."""

    agent: str
    workload: str
    hostname: str
    ring: Literal["canary", "all"]
    state: RolloutAgentState
    version: str = ""
    message: str = ""
    at_ms: int | None = None


class AlarmView(View, frozen=True, kw_only=True):
    """Somebody tampers with an agent, or it fell silent. `until_ms` is None while it is open."""

    id: str
    workload: str
    hostname: str
    agent: str
    kind: AlarmKind
    what: str
    detail: str = ""
    since_ms: int
    until_ms: int | None = None
    acknowledged_by: str = ""
    acknowledged_ms: int | None = None


class PoisonView(View, frozen=True, kw_only=True):
    """A table of a batch that could not be used and was set aside with its envelope.

    `consumer`: state or lake; `table` is "" for the whole batch; `bytes` and `sha256` are of the
    envelope, which is kept among the tenant's blobs.
    """

    consumer: str
    table: str
    workload: str
    agent: str
    boot: str
    sequence: int
    reason: str
    bytes: int
    sha256: str
    at_ms: int


class LedgerRow(View, frozen=True, kw_only=True):
    """What one capability (or one machine) cost since a time.

    `cpu_pct` is of one core over the time that windows cover; `workloads` counts machines.
    """

    capability: str = ""
    workload: str = ""
    hostname: str = ""
    workloads: int
    cpu_s: float
    cpu_pct: float | None
    bytes_out: int
    rows: int
    runs: int
    shed: int

"""What agent and server say to each other besides batches of rows.

Every body is msgpack of one Struct; signed documents carry the exact bytes that were signed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Tier = Literal["A", "B", "C", "D", "none"]


class WorkloadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine says of itself: shown, never used as identity."""

    hostname: str
    machine_id: str = ""
    os: str = ""
    os_version: str = ""
    kernel: str = ""
    arch: str = ""
    addresses: list[str] = []
    kind: Literal["physical", "vm", "container", "unknown"] = "unknown"
    cpus: int = 0
    memory_bytes: int = 0


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/enrol, without a client certificate. `csr` is PEM, signed by the agent's key."""

    token: str
    csr: bytes
    facts: WorkloadFacts
    version: str
    site: str = ""


class EnrolReply(msgspec.Struct, frozen=True, kw_only=True):
    """The identity: certificate chain (PEM), ids, and the key that signs tasks (32 raw bytes).

    `tenant` is what signed tasks and desired state will name; empty: the first signed one tells.
    `release_key` (32 raw bytes) signs agent packages; empty: the desired state tells it.
    """

    agent: str
    workload: str
    certificate: bytes
    ca: bytes
    task_key: bytes
    task_key_id: str
    tenant: str = ""
    release_key: bytes = b""


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/rotate over the old certificate; `proof` is the old key's signature over `csr`."""

    csr: bytes
    proof: bytes


class RotateReply(msgspec.Struct, frozen=True, kw_only=True):
    """The new certificate chain (PEM); task keys may have changed as well."""

    certificate: bytes
    ca: bytes
    task_key: bytes
    task_key_id: str


class SensorHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Which tier the kernel really gives, which sources run, and what was lost since start.

    `proven_s`: seconds since a canary last came back through it; None: none has yet.
    """

    tier: Tier
    sources: list[str] = []
    events: int = 0
    lost: int = 0
    reasons: list[str] = []
    proven_s: float | None = None


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one capability spent in one window: CPU-seconds, bytes sent, rows or events made."""

    capability: str
    window_start_ns: int
    window_s: float
    cpu_s: float
    bytes_out: int = 0
    rows: int = 0
    runs: int = 0
    shed: int = 0


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """The agent process itself: CPU-seconds since start and bytes now."""

    cpu_s: float
    private_bytes: int
    resident_bytes: int
    spool_bytes: int
    spool_dropped: int
    background_grant_pct: float
    event_grant_pct: float


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """What the release key signs (context "pack"): one agent package, a .tar.xz.

    `sequence` rises with every release: an agent refuses a lower one than it ever confirmed,
    unless `downgrade` says that this is meant.
    """

    version: str
    sequence: int
    arch: str
    sha256: str
    size: int
    downgrade: bool = False


SlotState = Literal["none", "current", "fetching", "trial", "rolled_back", "failed"]


class PackageState(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent did about packages.

    `version`, `sequence` and `sha256` are of the running slot; `wanted` is the SHA-256 of the
    package that `state` and `message` are about. state "none": this agent was not installed from a
    package and cannot upgrade itself.
    """

    state: SlotState
    version: str = ""
    sequence: int = 0
    sha256: str = ""
    slot: str = ""
    wanted: str = ""
    message: str = ""


AlarmKind = Literal["agent_silent", "agent_killed", "file_changed", "sensor_detached"]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody tampers with the agent, as the agent itself sees it. Open until it is told no more.

    `what` names the file, program or source; (kind, what) is unique in a beat.
    """

    kind: AlarmKind
    what: str
    since_ns: int
    detail: str = ""


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """How the grants are kept on this machine now.

    `by`: cgroup2, cgroup1, pacing (no cgroup can be used; `detail` says why). `pressure` is the
    machine's CPU, memory or I/O pressure (PSI "some avg10", %), None where the kernel tells none.
    """

    by: Literal["cgroup2", "cgroup1", "pacing"]
    detail: str = ""
    pressure: dict[str, float] | None = None
    backing_off: bool = False
    window_open: bool = True
    shed_level: int = 0
    shed: str = ""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/beat, every few seconds. `instance` is random per agent start (clone detection).

    `goodbye`: why this is the last beat of the instance ("stopped", "upgrade", "uninstall").
    """

    instance: str
    boot: str
    wall_ns: int
    mono_ns: int
    version: str
    facts: WorkloadFacts
    sensor: SensorHealth
    resources: Resources
    ledger: list[LedgerEntry] = []
    desired_version: int = 0
    certificate_expires_ns: int = 0
    package: PackageState | None = None
    budget: BudgetState | None = None
    alarms: list[Alarm] = []
    goodbye: str = ""


class BeatReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the server wants the agent to fetch or do next.

    `beat_s`: seconds until the next beat, by the size of the fleet; 0: the agent's own setting.
    """

    tasks: list[bytes] = []
    desired: bytes | None = None
    resync: bool = False
    rotate: bool = False
    server_ns: int = 0
    beat_s: float = 0.0


class BatchReply(msgspec.Struct, frozen=True, kw_only=True):
    """The batch is durable. `duplicate`: it had been acknowledged before."""

    sequence: int
    duplicate: bool = False
    pending: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every gateway answer that is not 2xx.

    `code`: "enrol" (identity gone, cloned or revoked: enrol anew), "drop" (this batch can never be
    accepted: set it aside), "later" (retry after `retry_after` s).
    """

    code: Literal["enrol", "drop", "later"]
    message: str
    retry_after: float = 0.0


TaskKind = Literal["collect", "reload", "cancel"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One signed, expiring order. `sequence` rises per agent; replays are refused.

    `not_after_ns` is wall clock; `ttl_s` bounds the age on the agent's monotonic clock as well,
    counted from first sight.
    """

    id: str
    tenant: str
    workload: str
    agent: str
    sequence: int
    key_id: str
    kind: TaskKind
    args: dict[str, list[str]] = {}
    not_before_ns: int
    not_after_ns: int
    ttl_s: float


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """Exact bytes and the signature over them."""

    body: bytes
    signature: bytes


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/result: idempotent by task id."""

    task: str
    outcome: Literal["done", "refused", "failed"]
    message: str = ""
    ended_ns: int = 0


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A maintenance window in the machine's local time: `days` 0 is Monday, `start` is HH:MM.

    It may pass midnight; the day is the one it starts on. No days: every day.
    """

    start: str
    minutes: int
    days: list[int] = []


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between collections per subclass; absent subclasses keep their collector's default.

    `jitter` is the share of the interval that each run may come late (0..1). `windows`: background
    work and upgrades happen within them only (orders of people always do); empty: at any time.
    """

    every_s: dict[str, int] = {}
    jitter: float = 0.1
    paused: list[str] = []
    windows: list[Window] = []


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the workload grants. Background: % of the machine's CPU, mean over an hour.

    Event path: % of one core. `spool_bytes` bounds the spool on disk. `memory_bytes` is the bound
    of the agent's cgroup. Background work pauses while the machine's pressure (PSI "some avg10")
    is over `pressure_pct`.
    """

    background_pct: float = 1.0
    event_pct: float = 10.0
    spool_bytes: int = 256 * 1024 * 1024
    memory_bytes: int = 512 * 1024 * 1024
    pressure_pct: float = 40.0


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """Versioned desired state: stays until replaced, also without the server."""

    tenant: str
    workload: str
    agent: str
    version: int
    key_id: str
    schedule: Schedule = Schedule()
    budget: Budget = Budget()
    # `Signed` of a Package, by the release key; empty: keep what runs.
    package: bytes = b""
    release_key: bytes = b""

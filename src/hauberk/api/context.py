"""What the composition root gives to the API: stores, services and facts of this server.

`server/` fills one `Context` and passes it to `api.app.create`. Every callable here may block and is
called in a worker thread, except `Feed`, which is called on the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Protocol

from litestar.params import Dependency
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from hauberk.ports import Clock, Inbox
from hauberk.schema.view import (
    DesiredInput,
    EnrolmentInput,
    EnrolmentView,
    Notice,
    Role,
    StoreView,
    TaskInput,
    TaskView,
)
from hauberk.store.access import Access
from hauberk.store.lake_query import LakeQuery

Via = Literal["session", "token", "local"]


class AgentDesk(Protocol):
    """Orders to agents; the server fills it from store.agents. All raise NotFound, Conflict."""

    def create_task(
        self, tenant: str, workload: str, order: TaskInput, *, created_by: str
    ) -> TaskView:
        """Sign one task for the workload's active agent."""

    def replace_desired(
        self, tenant: str, workload: str, desired: DesiredInput, *, created_by: str
    ) -> int:
        """Store a new version; returns it. Raises Conflict when `desired.version` is not current."""

    def revoke(self, tenant: str, agent: str, *, by: str) -> None:
        """Refuse this agent from now on."""

    def create_enrolment(
        self, tenant: str, order: EnrolmentInput, *, created_by: str
    ) -> EnrolmentView:
        """Make a one-time token; `token` and `command` are filled."""

    def delete_enrolment(self, tenant: str, enrolment: str) -> None:
        """Withdraw an enrolment."""


class Feed(Protocol):
    """Live notices of one tenant."""

    def subscribe(
        self, tenant: str, topics: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Notice]]:
        """Notices from now on. Bounded: a slow reader misses notices, and is told by topic "lost"."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What `GET /system` says of this process and its certificate. Hex digests are SHA-256."""

    version: str
    started_ms: int
    user: str
    unprivileged: bool
    urls: Sequence[str]
    certificate_sha256: str
    certificate_names: Sequence[str]
    certificate_expires_ms: int
    own_certificate: bool
    ca_sha256: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, from the credential alone."""

    name: str
    tenant: str
    role: Role
    via: Via
    csrf: str = ""
    expires_ms: int | None = None
    key: str = ""
    local: bool = False

    @property
    def operator(self) -> bool:
        """Whether it may manage tenants: the local socket, or an admin of the tenant "default"."""
        return self.local or (self.tenant == "default" and self.role == "admin")


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that routes need.

    `checks` are the parts of readiness: each returns "" when it can work, else what is wrong and
    what mends it. `stores` measures sizes. `static` is the built console's folder, which may be
    absent.
    """

    engine: Engine
    clock: Clock
    access: Access
    desk: AgentDesk
    lake: LakeQuery
    inbox: Inbox
    feed: Feed
    facts: Callable[[], ServerFacts]
    stores: Callable[[], list[StoreView]]
    checks: Mapping[str, Callable[[], str]]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    static: Path = Path(__file__).parent / "static"

    def now_ms(self) -> int:
        """Wall clock in ms."""
        return self.clock.wall_ns() // 1_000_000


Ctx = Annotated[Context, Dependency(skip_validation=True)]
Who = Annotated[Identity, Dependency(skip_validation=True)]

"""What the composition root gives to the API: stores, services and facts of this server.

`server/` fills one `Context` and passes it to `api.app.create`. Every callable here may block and
is called in a worker thread, except `Feed.subscribe`, which is called on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from litestar.di import NamedDependency
from litestar.params import SkipValidation
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from hauberk.api import limits
from hauberk.api.limits import Limits
from hauberk.ingest.feed import Feed
from hauberk.ports import Clock, Inbox
from hauberk.schema.view import MemberView, PartitionView, Role, StoreView
from hauberk.store.access import Access
from hauberk.store.agents import Agents
from hauberk.store.lake_query import LakeQuery
from hauberk.store.packages import Packages

Via = Literal["session", "token", "local"]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What `GET /system` says of this process and its certificate. Hex digests are SHA-256.

    `gateway_url` is the address that agents enrol at; it goes into enrolment tokens.
    """

    version: str
    started_ms: int
    user: str
    unprivileged: bool
    urls: Sequence[str]
    gateway_url: str
    certificate_sha256: str
    certificate_names: Sequence[str]
    certificate_expires_ms: int
    own_certificate: bool
    ca_sha256: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the work is done: partitions of the inbox, processes, tables set aside."""

    partitions: Sequence[PartitionView] = ()
    members: Sequence[MemberView] = ()
    poison: int = 0


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

    @property
    def asker(self) -> str:
        """Who this is among all tenants and credentials; whose limits count."""
        return f"{self.tenant}/{self.via}:{self.name}"


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
    agents: Agents
    packages: Packages
    lake: LakeQuery
    inbox: Inbox
    feed: Feed
    facts: Callable[[], ServerFacts]
    stores: Callable[[], list[StoreView]]
    checks: Mapping[str, Callable[[], str]]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    deployment: Callable[[], Deployment] = Deployment
    static: Path = Path(__file__).parent / "static"
    exports: Limits = field(default_factory=limits.exports)
    searches: Limits = field(default_factory=limits.searches)

    def now_ms(self) -> int:
        """Wall clock in ms."""
        return self.clock.wall_ns() // 1_000_000


Ctx = NamedDependency[SkipValidation[Context]]
Who = NamedDependency[SkipValidation[Identity]]

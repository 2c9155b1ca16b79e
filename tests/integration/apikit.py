"""A whole API on real stores in a temporary folder, for tests of several folders."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import statekit
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, insert

from hauberk.api.app import create
from hauberk.api.context import Context, ServerFacts
from hauberk.ingest.feed import Feed
from hauberk.schema.asset import columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.ids import row_id
from hauberk.schema.link import SensorHealth, WorkloadFacts
from hauberk.schema.view import TenantInput, TokenInput, UserInput
from hauberk.store.access import Access, ensure_admin
from hauberk.store.agents import Agents
from hauberk.store.blobs import FolderBlobs
from hauberk.store.database import open_database, write
from hauberk.store.inbox import SqliteInbox
from hauberk.store.keys import Keys
from hauberk.store.lake import Lake
from hauberk.store.lake_files import FolderFiles
from hauberk.store.lake_query import LakeQuery
from hauberk.store.packages import Packages
from hauberk.store.tables import (
    agent,
    asset,
    asset_change,
    collection,
    ledger,
    relation,
    role,
    workload,
)

NOW_NS = 1_790_000_000 * 10**9
PASSWORD = "correct horse battery"
ARROW = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.field("element", pa.string())),
}
DEFAULTS = {"str": "", "int": 0, "float": 0.0, "bool": False, "list": []}


class TestClock:
    """A clock that tests turn."""

    __test__ = False

    def __init__(self) -> None:
        self.now = NOW_NS

    def wall_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


@dataclass
class Stack:
    """Stores, context and applications."""

    folder: Path
    clock: TestClock
    engine: Engine
    context: Context
    lake: Lake
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    position: int = 0

    @cached_property
    def app(self) -> Litestar:
        return create(self.context)

    def client(self, *, local: bool = False) -> TestClient[Litestar]:
        app = create(self.context, local=True) if local else self.app
        return TestClient(app, base_url="https://hauberk.test", raise_server_exceptions=False)

    def token(self, tenant: str, role: str) -> dict[str, str]:
        """An Authorization header."""
        if (tenant, role) not in self.tokens:
            made = self.context.access.create_token(
                tenant, TokenInput(name=f"test-{role}", role=role), created_by="test"
            )
            self.tokens[tenant, role] = made.token or ""
        return {"Authorization": f"Bearer {self.tokens[tenant, role]}"}

    def tenant(self, name: str) -> None:
        self.context.access.create_tenant(TenantInput(id=name))

    def user(self, tenant: str, name: str, role: str = "admin") -> str:
        data = UserInput(name=name, role=role, password=PASSWORD)
        return self.context.access.create_user(tenant, data).id

    def workload(self, tenant: str, name: str, *, hostname: str = "web-1") -> str:
        """A workload with its agent; ids are made of tenant and name."""
        home = f"{tenant}-{name}"
        facts = msgspec.json.encode(WorkloadFacts(hostname=hostname, os="debian")).decode()
        with write(self.engine) as db:
            db.execute(
                insert(workload).values(
                    tenant=tenant, id=home, hostname=hostname, facts=facts, created_ns=NOW_NS
                )
            )
            db.execute(
                insert(agent).values(
                    id=f"agent-{home}",
                    tenant=tenant,
                    workload=home,
                    public_key=b"k" * 32,
                    version="0.1.0",
                    enrolled_ns=NOW_NS,
                    last_beat_ns=NOW_NS,
                    sensor=msgspec.json.encode(SensorHealth(tier="B")).decode(),
                )
            )
            db.execute(
                insert(ledger).values(
                    tenant=tenant,
                    workload=home,
                    agent=f"agent-{home}",
                    capability=f"sensor of {tenant}",
                    window_start_ns=NOW_NS - 10**9,
                    window_s=60,
                    cpu_s=0.5,
                    bytes_out=1,
                    rows=1,
                    runs=1,
                    shed=0,
                )
            )
            db.execute(
                insert(role).values(
                    tenant=tenant,
                    workload=home,
                    role="nginx",
                    title_en="nginx",
                    title_zh="nginx",
                    confidence=90,
                    evidence=json.dumps([f"seen by {tenant}"]),
                )
            )
        return home

    def asset(self, tenant: str, home: str, subclass: str, key: str, **fields: Any) -> str:
        """An asset with one entry in the change log; returns its id."""
        made = row_id(home, subclass, key)
        label = str(fields.get("label") or fields.get("name") or key)
        with write(self.engine) as db:
            db.execute(
                insert(asset).values(
                    tenant=tenant,
                    workload=home,
                    subclass=subclass,
                    key=key,
                    id=made,
                    label=label,
                    fields=msgspec.json.encode(fields).decode(),
                    first_seen_ns=NOW_NS,
                    changed_ns=NOW_NS,
                    last_seen_ns=NOW_NS,
                )
            )
            db.execute(
                insert(asset_change).values(
                    tenant=tenant,
                    workload=home,
                    subclass=subclass,
                    asset=made,
                    label=label,
                    at_ns=NOW_NS,
                    kind="added",
                    after=msgspec.json.encode(fields).decode(),
                )
            )
        return made

    def relation(self, tenant: str, home: str, src: tuple[str, str], dst: tuple[str, str]) -> None:
        with write(self.engine) as db:
            db.execute(
                insert(relation).values(
                    tenant=tenant,
                    workload=home,
                    kind="owns",
                    src_subclass=src[0],
                    src_key=src[1],
                    dst_subclass=dst[0],
                    dst_key=dst[1],
                    evidence=f"told by {tenant}",
                )
            )

    def collected(self, tenant: str, home: str, subclass: str, outcome: str = "ok") -> None:
        with write(self.engine) as db:
            db.execute(
                insert(collection).values(
                    tenant=tenant,
                    workload=home,
                    subclass=subclass,
                    outcome=outcome,
                    rows=1,
                    epoch=1,
                    ended_ns=NOW_NS,
                    received_ns=NOW_NS,
                    cpu_s=0.1,
                )
            )

    def events(
        self,
        tenant: str,
        home: str,
        table: str,
        rows: list[dict[str, Any]],
        *,
        received_ns: int | None = None,
        drop: tuple[str, ...] = (),
    ) -> None:
        """Append event rows as the lake writer does."""
        self.position += 1
        columns: dict[str, Any] = {}
        for c in columns_of(EVENT_CLASSES[table]):
            if c.name in drop:
                continue
            default = None if c.optional else DEFAULTS[c.kind]
            columns[c.name] = pa.array([r.get(c.name, default) for r in rows], ARROW[c.kind])
        count = len(rows)
        columns |= {
            "workload": pa.array([home] * count),
            "agent": pa.array([f"agent-{home}"] * count),
            "boot": pa.array(["boot"] * count),
            "sequence": pa.array([self.position] * count, pa.int64()),
            "ordinal": pa.array(list(range(count)), pa.int64()),
            "received_ns": pa.array([received_ns or self.clock.now] * count, pa.int64()),
        }
        self.lake.append(tenant, table, pa.table(columns), position=self.position)

    def close(self) -> None:
        self.context.lake.close()
        self.context.inbox.close()  # type: ignore[attr-defined]
        self.engine.dispose()


def make(folder: Path, database: str = "") -> Stack:
    """A server's stores with tenants "default" and "other", each with an admin "admin".

    `database`: URL of an empty state; "": the one of `--state`.
    """
    clock = TestClock()
    engine = open_database(database or statekit.url(folder))
    ensure_admin(engine, clock)
    keys = Keys(folder / "keys", now_ns=clock.now)
    lake = Lake(FolderFiles(folder / "lake"), app_id="test")
    context = Context(
        engine=engine,
        clock=clock,
        access=Access(engine, clock),
        agents=Agents(engine, keys, clock),
        packages=Packages(engine, FolderBlobs(folder / "blobs"), keys, clock, folder / "scratch"),
        lake=LakeQuery(lake, memory_mb=128),
        inbox=SqliteInbox(folder / "inbox.db"),
        feed=Feed(clock),
        facts=lambda: ServerFacts(
            version="0.1.0",
            started_ms=NOW_NS // 10**6,
            user="hauberk",
            unprivileged=True,
            urls=["https://hauberk.test"],
            gateway_url="https://hauberk.test:8444",
            certificate_sha256="00" * 32,
            certificate_names=["hauberk.test"],
            certificate_expires_ms=NOW_NS // 10**6,
            own_certificate=True,
            ca_sha256="00" * 32,
        ),
        stores=list,
        checks={"database": lambda: "", "inbox": lambda: ""},
        static=folder / "static",
    )
    stack = Stack(folder, clock, engine, context, lake)
    stack.tenant("other")
    return stack

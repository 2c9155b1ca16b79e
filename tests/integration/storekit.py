"""Stores in a temporary folder and the pieces that ingest tests share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import statekit
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from hauberk.link import envelope, wire
from hauberk.link.client.identity import csr
from hauberk.link.gateway.identity import Peer
from hauberk.ports import InboxItem
from hauberk.schema.event import ProcessActivity
from hauberk.schema.link import (
    Beat,
    EnrolReply,
    EnrolRequest,
    Resources,
    SensorHealth,
    WorkloadFacts,
)
from hauberk.store.agents import Agents
from hauberk.store.arrow import to_arrow
from hauberk.store.blobs import FolderBlobs
from hauberk.store.database import open_database, write
from hauberk.store.inbox import SqliteInbox
from hauberk.store.keys import Keys
from hauberk.store.packages import Packages
from hauberk.store.tables import workload

NOW_NS = 1_790_000_000 * 10**9
TABLE = "process_activity"
DAY_NS = 86_400 * 10**9
FACTS = WorkloadFacts(hostname="web-1")


class Clock:
    """Stands until it is turned."""

    def __init__(self, now: int = NOW_NS) -> None:
        self.wall = self.mono = now

    def wall_ns(self) -> int:
        return self.wall

    def mono_ns(self) -> int:
        return self.mono

    def forward(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.mono += int(seconds * 1e9)


@dataclass
class Kit:
    """State, keys, agents and inbox."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    database: str = ""

    def __post_init__(self) -> None:
        self.engine: Engine = open_database(self.database or statekit.url(self.folder))
        self.keys = Keys(self.folder / "keys", now_ns=self.clock.wall)
        self.agents = Agents(self.engine, self.keys, self.clock)
        self.inbox = SqliteInbox(self.folder / "inbox.db")
        self.packages = Packages(
            self.engine,
            FolderBlobs(self.folder / "blobs"),
            self.keys,
            self.clock,
            self.folder / "scratch",
        )

    def close(self) -> None:
        self.inbox.close()
        self.engine.dispose()

    def token(self, tenant: str = "default", ttl_s: int = 600) -> str:
        url = "https://127.0.0.1:8444"
        return self.agents.invite(tenant, url=url, ttl_s=ttl_s, created_by="test")[1]

    def enrol(
        self, tenant: str = "default", key: Ed25519PrivateKey | None = None
    ) -> tuple[Ed25519PrivateKey, EnrolReply, Peer]:
        key = key or Ed25519PrivateKey.generate()
        reply = self.agents.enrol(
            EnrolRequest(token=self.token(tenant), csr=csr(key), facts=FACTS, version="1")
        )
        return key, reply, self.agents.peer(reply.agent, serial_of(reply.certificate))

    def home(self, tenant: str = "default", name: str = "w") -> None:
        """A workload of that name, without an agent."""
        row = {"tenant": tenant, "id": name, "created_ns": NOW_NS}
        with write(self.engine) as db:
            db.execute(insert(workload).values(row).on_conflict_do_nothing())

    def peer(self, tenant: str = "default") -> Peer:
        return self.enrol(tenant)[2]


def serial_of(pem: bytes) -> str:
    return f"{x509.load_pem_x509_certificate(pem).serial_number:x}"


def beat(instance: str = "i-1", **more: object) -> Beat:
    values: dict[str, object] = {
        "instance": instance,
        "boot": "b-1",
        "wall_ns": NOW_NS,
        "mono_ns": 1,
        "version": "1",
        "facts": FACTS,
        "sensor": SensorHealth(tier="A"),
        "resources": Resources(
            cpu_s=1.0,
            private_bytes=1,
            resident_bytes=1,
            spool_bytes=0,
            spool_dropped=0,
            background_grant_pct=1.0,
            event_grant_pct=10.0,
        ),
    }
    return Beat(**(values | more))  # type: ignore[arg-type]


def processes(count: int = 3, *, first: int = 0, name: str = "sh") -> list[ProcessActivity]:
    return [
        ProcessActivity(
            activity_id=1,
            time_ns=NOW_NS + i,
            mono_ns=i,
            pid=first + i,
            name=name,
            argv=[name, str(i)],
            exit_code=None if i % 2 else i,
        )
        for i in range(count)
    ]


def events(count: int = 3, *, first: int = 0, name: str = "sh") -> bytes:
    rows = processes(count, first=first, name=name)
    return wire.encode_batch([wire.encode_table("process_activity", ProcessActivity, rows)])


def rows(count: int = 2, *, first: int = 0, received_ns: int = NOW_NS) -> pa.Table:
    table = to_arrow(wire.encode_table(TABLE, ProcessActivity, processes(count, first=first)))
    added = {
        "workload": pa.repeat(pa.scalar("w"), count),
        "agent": pa.repeat(pa.scalar("a"), count),
        "boot": pa.repeat(pa.scalar("b"), count),
        "sequence": pa.repeat(pa.scalar(first, pa.int64()), count),
        "ordinal": pa.array(range(count), pa.int64()),
        "received_ns": pa.repeat(pa.scalar(received_ns, pa.int64()), count),
    }
    return pa.table({**dict(zip(table.column_names, table.columns, strict=True)), **added})


def seal(key: Ed25519PrivateKey, peer: Peer, batch: bytes, sequence: int = 1, **more: str) -> bytes:
    return envelope.seal(
        key,
        batch,
        agent=more.get("agent", peer.agent),
        boot=more.get("boot", "b-1"),
        sequence=sequence,
        wall_ns=NOW_NS,
        mono_ns=1,
        lane=more.get("lane", ""),  # type: ignore[arg-type]
    )


def item(
    body: bytes = b"body",
    *,
    sequence: int = 1,
    tenant: str = "default",
    agent: str = "a",
    workload: str = "w",
    received_ns: int = NOW_NS,
    position: int = 0,
) -> InboxItem:
    return InboxItem(tenant, workload, agent, "b-1", sequence, received_ns, body, position)


def eventually(check, timeout_s: float = 20):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.02)

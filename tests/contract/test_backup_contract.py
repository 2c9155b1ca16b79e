"""A backup of either deployment, restored into either: embedded stores, or PostgreSQL, NATS, S3."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import natskit
import pyarrow.parquet as pq
import pytest
import s3kit
from sqlalchemy import select
from storekit import events, item, seal, serial_of

from hauberk.host.clock import SystemClock
from hauberk.ingest.positions import CONSUMERS, Positions
from hauberk.link.client.identity import csr, new_key
from hauberk.schema.link import EnrolRequest, WorkloadFacts
from hauberk.server import places
from hauberk.server.backup import save
from hauberk.server.restore import restore
from hauberk.server.settings import Settings
from hauberk.server.stores import Stores, open_stores
from hauberk.server.supervise import Supervisor
from hauberk.store.database import read
from hauberk.store.files import make_folder
from hauberk.store.keys import Keys
from hauberk.store.lake import Lake
from hauberk.store.tables import agent

CLOCK = SystemClock()
Make = Callable[[str, str], Settings]


def eventually(look: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """Settings of one kind, with stores of their own."""

    def settings(kind: str, name: str) -> Settings:
        folder = tmp_path / name
        make_folder(folder / "server")
        if kind == "embedded":
            return Settings(data=str(folder), user="root")
        if why := natskit.missing():
            pytest.skip(why)
        database = request.getfixturevalue("postgres_server")
        nats = natskit.running(tmp_path / f"nats-{name}")
        one = nats.__enter__()
        request.addfinalizer(lambda: nats.__exit__(None, None, None))
        secret = tmp_path / "secret"
        secret.write_text(s3kit.SECRET)
        store = s3kit.shared()
        where = f"s3://{s3kit.BUCKET}/{tmp_path.name}-{name}"
        return Settings(
            data=str(folder),
            user="root",
            database=database.url(database.database()),
            inbox=one.url,
            inbox_partitions=2,
            lake=f"{where}/lake",
            blobs=f"{where}/blobs",
            s3_endpoint=store.endpoint,
            s3_key_id=s3kit.KEY,
            s3_secret_file=str(secret),
        )

    return settings


def opened(settings: Settings) -> Stores:
    return open_stores(settings, CLOCK, Keys(settings.folder / "keys", now_ns=CLOCK.wall_ns()))


def consume(stores: Stores) -> Supervisor:
    supervisor = Supervisor()
    stores.work(supervisor)
    return supervisor


def settled(stores: Stores) -> bool:
    """Whether the consumers have all, and have written down that they do."""
    return all(
        Positions(stores.engine, log).of(name) == log.last
        for log in stores.inbox.logs
        for name in CONSUMERS
    )


def rows(settings: Settings) -> list[int]:
    lake = Lake(places.lake_files(settings), app_id="look", mends=False)
    if not lake.exists("default", "process_activity"):
        return []
    files = lake.files("default", "process_activity")
    with lake.locked("default", "process_activity").home.local(files) as paths:
        return sorted(pid for path in paths for pid in pq.read_table(path)["pid"].to_pylist())


@pytest.mark.parametrize(
    ("source", "target"),
    [("embedded", "scaled"), ("scaled", "embedded"), ("scaled", "scaled")],
)
def test_nothing_is_lost_or_twice(make: Make, tmp_path: Path, source: str, target: str) -> None:
    old = make(source, "old")
    stores = opened(old)
    key = new_key()
    _, token, _ = stores.agents.invite("default", url="https://127.0.0.1:1", created_by="test")
    facts = WorkloadFacts(hostname="web-1")
    reply = stores.agents.enrol(EnrolRequest(token=token, csr=csr(key), facts=facts, version="1"))
    peer = stores.agents.peer(reply.agent, serial_of(reply.certificate))

    def batch(number: int):  # type: ignore[no-untyped-def]
        body = seal(key, peer, events(4, first=number * 4), number)
        return item(body, sequence=number, agent=peer.agent, workload=peer.workload)

    supervisor = consume(stores)
    stores.inbox.append([batch(number) for number in range(1, 6)])
    eventually(lambda: len(rows(old)) == 20 and settled(stores))
    supervisor.join(20)
    # These wait: nobody consumes any more.
    stores.inbox.append([batch(number) for number in range(6, 9)])
    digest = stores.blobs.put("default", io.BytesIO(b"evidence"))
    done = save(old, tmp_path / "backup", CLOCK, lambda _step: None)
    assert (done.batches, done.events, done.blobs) == (3, 20, 1)

    new = make(target, "new")
    moved = restore(new, tmp_path / "backup", CLOCK, lambda _step: None).moved
    assert (moved.batches, moved.blobs) == (3, 1)
    assert rows(new) == list(range(4, 36))
    again = opened(new)
    with again.blobs.get("default", digest) as kept:
        assert kept.read() == b"evidence"
    with read(again.engine) as db:
        assert db.execute(select(agent.c.id)).scalars().all() == [peer.agent]
    supervisor = consume(again)
    # What was taken before and is sent again is not taken twice; what is new is.
    again.inbox.append([batch(8)])
    again.inbox.append([batch(9)])
    eventually(lambda: rows(new) == list(range(4, 40)))
    supervisor.join(20)
    again.close()
    stores.close()

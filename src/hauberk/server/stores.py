"""Opens the stores and wires consumers, jobs and services over them."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from hauberk.ingest import lake as lake_ingest
from hauberk.ingest.feed import Feed
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.live import Live
from hauberk.ingest.names import Hostnames
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import Positions
from hauberk.ingest.receive import Receiver
from hauberk.ingest.state import StateConsumer
from hauberk.ports import Clock
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.schema.view import StoreView
from hauberk.server.settings import Settings
from hauberk.server.supervise import Supervisor
from hauberk.store import assets, retention, upkeep
from hauberk.store.agents import Agents
from hauberk.store.assets import Assets
from hauberk.store.blobs import FolderBlobs
from hauberk.store.database import open_database, sqlite_url, write
from hauberk.store.inbox import SqliteInbox
from hauberk.store.jobs import Jobs
from hauberk.store.keys import Keys
from hauberk.store.lake import Lake, day_of
from hauberk.store.lake_files import FolderFiles
from hauberk.store.tables import tenant

_MEASURE_NS = 60 * 1_000_000_000


@dataclass(slots=True)
class Stores:
    """Everything that is open on disk, and what works over it."""

    settings: Settings
    clock: Clock
    keys: Keys
    engine: Engine
    inbox: SqliteInbox
    lake: Lake
    blobs: FolderBlobs
    feed: Feed
    names: Hostnames
    agents: Agents
    poison: Poison
    state: StateConsumer
    events: LakeConsumer
    receiver: Receiver
    jobs: Jobs

    def work(self, supervisor: Supervisor) -> None:
        """Start consumers and jobs."""
        supervisor.start("state", self.state.step, lambda: self._wait(self.state.position))
        supervisor.start("lake", self.events.step, lambda: self._wait(self.events.position))
        supervisor.start("jobs", self.jobs.step, lambda: supervisor.stop.wait(1.0))

    def close(self) -> None:
        """Write what waits, then close. The worker threads must have ended."""
        self.inbox.close_input()
        while self.state.step():
            pass
        self.state.flush()
        while self.events.step():
            pass
        self.events.flush()
        self.inbox.close()
        self.engine.dispose()

    def _wait(self, position: int) -> None:
        self.inbox.wait(position, 0.5)


def open_stores(settings: Settings, clock: Clock, keys: Keys) -> Stores:
    """Open or make everything below the server's folder.

    Raises:
        Unsupported: a newer Hauberk wrote it.
        StorageFull: no room.
    """
    folder = settings.folder
    engine = open_database(settings.database or sqlite_url(folder / "state.db"))
    _default_tenant(engine, clock)
    inbox = SqliteInbox(
        folder / "inbox.db",
        max_items=settings.inbox_items,
        max_bytes=settings.inbox_mib * 1024 * 1024,
    )
    lake = Lake(FolderFiles(folder / "lake"), app_id=f"inbox:{inbox.id}")
    feed, names = Feed(clock), Hostnames(engine)
    live = Live(feed, names)
    poison = Poison(folder / "poison")
    positions = Positions(engine, inbox, (assets.CONSUMER, lake_ingest.CONSUMER))
    inbox.start_after(positions.newest())
    keep = upkeep.Keep(
        event_days=settings.event_days,
        event_bytes=int(settings.event_gib * 1024**3),
        change_days=settings.change_days,
    )
    return Stores(
        settings=settings,
        clock=clock,
        keys=keys,
        engine=engine,
        inbox=inbox,
        lake=lake,
        blobs=FolderBlobs(folder / "blobs"),
        feed=feed,
        names=names,
        agents=Agents(engine, keys, clock),
        poison=poison,
        state=StateConsumer(
            inbox,
            Assets(engine, hostname=names.of),
            live,
            poison,
            clock,
            trim=positions.trim,
        ),
        events=LakeConsumer(inbox, lake, positions, poison, clock),
        receiver=Receiver(inbox, clock, live.batch),
        jobs=Jobs(
            engine, clock, upkeep.jobs(engine, lake, clock, keep), owner=secrets.token_hex(8)
        ),
    )


class Measure:
    """Sizes of the stores, measured at most once a minute."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._at_ns = 0
        self._views: list[StoreView] = []

    def __call__(self) -> list[StoreView]:
        """The views."""
        with self._lock:
            now = self._stores.clock.mono_ns()
            if not self._views or now - self._at_ns >= _MEASURE_NS:
                self._views, self._at_ns = self._measure(), now
            return list(self._views)

    def _measure(self) -> list[StoreView]:
        stores, settings = self._stores, self._stores.settings
        used = retention.usage(stores.lake)
        left = used.days_left(
            days=settings.event_days,
            max_bytes=int(settings.event_gib * 1024**3),
            today=day_of(stores.clock.wall_ns()),
        )
        return [
            StoreView(
                name="events",
                bytes=used.bytes,
                rows=used.rows,
                retention_days=settings.event_days,
                days_left=left,
            ),
            StoreView(name="state", bytes=_size(settings.folder, "state.db*")),
            StoreView(name="inbox", bytes=stores.inbox.size(), rows=stores.inbox.depth()[0]),
            StoreView(name="blobs", bytes=_size(settings.folder / "blobs", "*/*/*")),
            StoreView(name="poison", bytes=_size(settings.folder / "poison", "*/*")),
        ]


def _size(folder: Path, pattern: str) -> int:
    return sum(p.stat().st_size for p in folder.glob(pattern) if p.is_file())


def _default_tenant(engine: Engine, clock: Clock) -> None:
    row = {"id": DEFAULT_TENANT, "title": "Default", "created_ns": clock.wall_ns()}
    with write(engine) as db:
        db.execute(insert(tenant).values(row).on_conflict_do_nothing())

"""Opens the stores and wires consumers, jobs and services over them."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from hauberk import __version__
from hauberk.errors import Conflict, Temporary
from hauberk.ingest.feed import Feed
from hauberk.ingest.lake import LakeConsumer
from hauberk.ingest.live import Live
from hauberk.ingest.names import Hostnames
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import CONSUMERS, Positions
from hauberk.ingest.receive import Receiver
from hauberk.ingest.state import StateConsumer
from hauberk.ports import Clock, Log
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.schema.view import MemberView, PartitionView, StoreView
from hauberk.server import places
from hauberk.server.bus import ANNOUNCE_S, Bus
from hauberk.server.consume import Consumers, Partition
from hauberk.server.settings import Settings
from hauberk.server.supervise import Supervisor
from hauberk.store import retention, upkeep
from hauberk.store.agents import Agents
from hauberk.store.assets import Assets
from hauberk.store.blobs import FolderBlobs, S3Blobs
from hauberk.store.database import open_database, size, sqlite_url, write
from hauberk.store.inbox import SqliteInbox
from hauberk.store.jobs import Jobs
from hauberk.store.keys import Keys
from hauberk.store.lake import Lake, day_of
from hauberk.store.leases import Fence, Leases
from hauberk.store.marks import Marks
from hauberk.store.members import Members
from hauberk.store.tables import tenant

if TYPE_CHECKING:  # who has no NATS does not pay for its client
    from hauberk.store.nats_inbox import NatsInbox
    from hauberk.store.nats_link import NatsLink

_log = logging.getLogger(__name__)
_MEASURE_NS = 60 * 1_000_000_000
_MS = 1_000_000


@dataclass(slots=True)
class Parts:
    """What a worker has open: the stores, and what works over them."""

    settings: Settings
    clock: Clock
    engine: Engine
    link: NatsLink | None
    inbox: SqliteInbox | NatsInbox
    lake: Lake
    blobs: FolderBlobs | S3Blobs
    feed: Feed
    bus: Bus | None
    names: Hostnames
    live: Live
    poison: Poison
    members: Members
    consumers: Consumers
    jobs: Jobs

    def work(self, supervisor: Supervisor) -> None:
        """Start consumers and jobs."""
        # Alone it is only for show.
        every_s = self.settings.lease_s / (2 if self.link is None else 5)
        self.consumers.start(supervisor, every_s=every_s)
        supervisor.start("jobs", self.jobs.step, lambda: supervisor.stop.wait(1.0))
        if self.bus is not None:
            supervisor.start("bus", self._announce, lambda: supervisor.stop.wait(ANNOUNCE_S))

    def close(self) -> None:
        """Write what waits, then close. The worker threads must have ended."""
        try:
            self.inbox.close_input()
            self.consumers.close()
        finally:
            self.inbox.close()
            if self.link is not None:
                self.link.close()
            self.engine.dispose()

    def partitions(self) -> list[PartitionView]:
        """How far the consumers are, wherever they run."""
        return self.consumers.view(lambda log: Positions(self.engine, log))

    def processes(self) -> list[MemberView]:
        """Who shares the work."""
        return [
            MemberView(
                id=m.id,
                role=m.role,
                host=m.host,
                pid=m.pid,
                version=m.version,
                started_ms=m.started_ns // _MS,
                seen_ms=m.seen_ns // _MS,
                live=m.live,
                consumes=m.consumes,
                partitions=[str(name) for name in m.detail.get("partitions", [])],
            )
            for m in self.members.all()
        ]

    def _announce(self) -> bool:
        if self.bus is not None:
            self.bus.announce()
        return False


@dataclass(slots=True)
class Stores(Parts):
    """What a server has open on top."""

    keys: Keys
    agents: Agents
    receiver: Receiver


def open_stores(settings: Settings, clock: Clock, keys: Keys) -> Stores:
    """Open or make everything of a server.

    Raises:
        Unsupported: a newer Hauberk wrote it.
        StorageFull: no room.
        Unreachable: NATS does not answer.
        BadInput: a setting does not fit what is there.
    """
    parts = open_parts(settings, clock, role="server")
    return Stores(
        **{field.name: getattr(parts, field.name) for field in fields(parts)},
        keys=keys,
        agents=Agents(parts.engine, keys, clock),
        receiver=Receiver(parts.inbox, clock, parts.live.batch),
    )


def open_parts(settings: Settings, clock: Clock, *, role: str) -> Parts:
    """Open what the consumers need. Raises as `open_stores` does."""
    folder = settings.folder
    engine = open_database(settings.database or sqlite_url(folder / "state.db"))
    _default_tenant(engine, clock)
    process = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
    link = _link(settings, process) if settings.inbox else None
    inbox: SqliteInbox | NatsInbox
    if link is None:
        inbox = _file(settings, engine)
    else:
        _nothing_left_behind(settings, engine)
        inbox = _streams(settings, link)
    lake = Lake(places.lake_files(settings), app_id=f"inbox:{inbox.logs[0].id}")
    blobs = places.blobs(settings)
    feed, names = Feed(clock), Hostnames(engine)
    live = Live(feed, names)
    poison = Poison(engine, blobs, clock)
    members = Members(
        engine,
        clock,
        id_=process,
        role=role,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        consumes=settings.consume,
        live_s=settings.lease_s,
    )

    def consume(log: Log, fence: Fence | None) -> Partition:
        positions = Positions(engine, log, fence=fence)
        state = StateConsumer(
            log,
            Assets(engine, hostname=names.of),
            positions,
            live,
            poison,
            clock,
            marks=Marks(engine, "state", clock) if log.repeats else None,
        )
        events = LakeConsumer(
            log,
            lake,
            positions,
            poison,
            clock,
            marks=Marks(engine, "lake", clock) if log.repeats else None,
        )
        return Partition(log, fence, state, events)

    leases = None
    if link is not None:
        leases = Leases(engine, clock, owner=process, ttl_s=settings.lease_s)
    keep = upkeep.Keep(
        event_days=settings.event_days,
        event_bytes=int(settings.event_gib * 1024**3),
        change_days=settings.change_days,
    )
    return Parts(
        settings=settings,
        clock=clock,
        engine=engine,
        link=link,
        inbox=inbox,
        lake=lake,
        blobs=blobs,
        feed=feed,
        bus=None if link is None else Bus(link, feed, names, clock, process=process),
        names=names,
        live=live,
        poison=poison,
        members=members,
        consumers=Consumers(
            inbox,
            consume,
            leases=leases,
            members=members,
            consumes=settings.consume,
            places={} if link is None else places.shared(settings),
        ),
        jobs=Jobs(
            engine,
            clock,
            upkeep.jobs(engine, lake, clock, keep),
            owner=process,
            alone=link is None,
        ),
    )


def _streams(settings: Settings, link: NatsLink) -> NatsInbox:
    from hauberk.store.nats_inbox import NatsInbox  # noqa: PLC0415 - only where there is NATS

    return NatsInbox(
        link,
        partitions=settings.inbox_partitions,
        replicas=settings.inbox_replicas,
        max_items=settings.inbox_items,
        max_bytes=settings.inbox_mib * 1024 * 1024,
    )


def _link(settings: Settings, process: str) -> NatsLink:
    from hauberk.store.nats_link import NatsLink, servers_of  # noqa: PLC0415

    return NatsLink(
        servers_of(settings.inbox),
        name=f"hauberk {process}",
        credentials=settings.inbox_credentials,
        ca=settings.inbox_ca,
    )


def _file(settings: Settings, engine: Engine) -> SqliteInbox:
    inbox = SqliteInbox(
        settings.folder / "inbox.db",
        max_items=settings.inbox_items,
        max_bytes=settings.inbox_mib * 1024 * 1024,
    )
    inbox.start_after(Positions(engine, inbox).newest())
    return inbox


def _nothing_left_behind(settings: Settings, engine: Engine) -> None:
    """Raise Conflict when acknowledged batches lie in a file that nobody would read any more."""
    if not (settings.folder / "inbox.db").exists():
        return
    inbox = _file(settings, engine)
    try:
        positions = Positions(engine, inbox)
        behind = inbox.last - min(positions.of(name) for name in CONSUMERS)
    finally:
        inbox.close()
    if behind > 0:
        raise Conflict(
            f"{inbox.path}: {behind} acknowledged batches wait in it: start the server once without"
            " `inbox` and stop it, which consumes them, then set `inbox` again"
        )


class Measure:
    """Sizes of the stores, measured at most once a minute; without those that do not answer."""

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
        found = []
        for measure in (self._events, self._state, self._inbox, self._blobs, self._poison):
            try:
                found.append(measure())
            except Temporary as error:
                _log.warning("a store cannot be measured: %s", error)
        return found

    def _events(self) -> StoreView:
        stores, settings = self._stores, self._stores.settings
        used = retention.usage(stores.lake)
        left = used.days_left(
            days=settings.event_days,
            max_bytes=int(settings.event_gib * 1024**3),
            today=day_of(stores.clock.wall_ns()),
        )
        return StoreView(
            name="events",
            bytes=used.bytes,
            rows=used.rows,
            retention_days=settings.event_days,
            days_left=left,
        )

    def _state(self) -> StoreView:
        return StoreView(name="state", bytes=size(self._stores.engine))

    def _inbox(self) -> StoreView:
        inbox = self._stores.inbox
        return StoreView(name="inbox", bytes=inbox.size(), rows=inbox.depth()[0])

    def _blobs(self) -> StoreView:
        return StoreView(name="blobs", bytes=self._stores.blobs.bytes())

    def _poison(self) -> StoreView:
        kept, kept_bytes = self._stores.poison.usage()
        return StoreView(name="poison", bytes=kept_bytes, rows=kept)


def _default_tenant(engine: Engine, clock: Clock) -> None:
    row = {"id": DEFAULT_TENANT, "title": "Default", "created_ns": clock.wall_ns()}
    with write(engine) as db:
        db.execute(insert(tenant).values(row).on_conflict_do_nothing())

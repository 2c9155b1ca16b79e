"""Runs the server: stores, consumers, jobs, gateway, API, until SIGTERM."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import logging
import os
import pwd
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from litestar import Litestar
from prometheus_client import CollectorRegistry

from hauberk import __version__
from hauberk.api.app import create
from hauberk.api.context import Context, Deployment, ServerFacts
from hauberk.errors import Conflict, Temporary
from hauberk.host.clock import SystemClock
from hauberk.link.gateway.app import Gateway
from hauberk.link.gateway.identity import Identities
from hauberk.schema.view import Notice
from hauberk.server import listen, names, privileges
from hauberk.server.metrics import register
from hauberk.server.places import lake_query
from hauberk.server.services import GatewayServices
from hauberk.server.settings import Settings, address_of
from hauberk.server.stores import Measure, Stores, open_stores
from hauberk.server.supervise import Supervisor
from hauberk.server.tls import Tls
from hauberk.store import upkeep
from hauberk.store.access import Access
from hauberk.store.files import make_folder, write_atomic
from hauberk.store.jobs import Job, Jobs
from hauberk.store.keys import Keys
from hauberk.store.packages import Packages
from hauberk.store.wrap import load as load_wrap

RENEW_S = 3600.0
STOP_S = 20.0
_log = logging.getLogger("hauberk.server")


class Server:
    """One server process."""

    def __init__(self, settings: Settings, *, first_admin: Callable[[Stores], None]) -> None:
        """Bind ports, open keys, drop privileges, open the stores: in this order.

        Args:
            settings: see there.
            first_admin: called once the state is open.

        Raises:
            Conflict: a port is taken, or another server runs on this folder.
            BadInput: a setting, key or certificate is wrong.
            Unsupported: a newer Hauberk wrote the data.
        """
        self.settings = settings
        self.clock = SystemClock()
        self.started_ns = self.clock.wall_ns()
        self._console_at = address_of(settings.listen, "listen")
        self._gateway_at = address_of(settings.gateway, "gateway")
        self._sockets = listen.bind_all(("listen", self._console_at), ("gateway", self._gateway_at))
        wrap = load_wrap(Path(settings.wrap_key_file)) if settings.wrap_key_file else None
        self.keys = Keys(settings.keys_folder, now_ns=self.started_ns, wrap=wrap)
        self.tls = Tls(settings, self.keys, self.clock)
        self.stays_root = privileges.drop(settings.user, settings.folder)
        if self.stays_root:
            _log.warning("the server stays root: %s", self.stays_root)
        self.stores = open_stores(settings, self.clock, self.keys)
        first_admin(self.stores)
        self.supervisor = Supervisor()
        self._listeners: list[listen.Listener] = []
        self._apps: list[Litestar] = []
        self._services: GatewayServices | None = None

    def urls(self) -> list[str]:
        """Addresses of the console."""
        port = self._sockets[0].getsockname()[1]
        return [names.url(self._console_at[0], port)]

    def gateway_url(self) -> str:
        """Address of the gateway as agents reach it."""
        port = self._sockets[1].getsockname()[1]
        return self.settings.gateway_url or names.url(self._gateway_at[0], port)

    async def run(self) -> None:
        """Serve until `stop`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        context, gateway = self._wire()
        self._work()
        local = listen.bind_local(self.settings.socket)
        remote, here = create(context), create(context, local=True)
        self._apps = [remote, here]
        agents, people = listen.connections()
        pairs = [
            (
                listen.listener(remote, self.tls.console, limit=people, lifespan=True),
                self._sockets[0],
            ),
            (listen.listener(gateway, self.tls.gateway, limit=agents), self._sockets[1]),
            (listen.listener(here, None, limit=people, lifespan=True), local),
        ]
        self._listeners = [server for server, _ in pairs]
        tasks = await listen.serve(pairs)
        ready = {"pid": os.getpid(), "urls": self.urls(), "gateway": self.gateway_url()}
        write_atomic(self.settings.ready_file, json.dumps(ready).encode())
        # What start-up made lives as long as the process: keep the collector away from it.
        gc.collect()
        gc.freeze()
        _log.info("ready: %s, gateway %s", self.urls()[0], self.gateway_url())
        try:
            await asyncio.gather(*tasks)
        finally:
            self.settings.ready_file.unlink(missing_ok=True)
            self.settings.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Accept nothing more, finish what is under way, end."""
        _log.info("stopping")
        for app in self._apps:
            app.state.streams.close()
        for server in self._listeners:
            server.should_exit = True

    def close(self) -> None:
        """Write what waits and close the stores."""
        for sock in self._sockets:
            sock.close()
        for name in self.supervisor.join(STOP_S):
            _log.error("%s did not end within %.0f s", name, STOP_S)
        if self._services is not None:
            self._services.close()
        try:
            self.stores.close()
        except Temporary as error:
            _log.error("what waits in the inbox stays there: %s", error)

    def _work(self) -> Jobs:
        """Start the threads; gives the jobs that watch over the fleet."""
        stores = self.stores
        stores.work(self.supervisor)
        fleet = upkeep.fleet_jobs(stores.engine, self.clock, stores.feed.publish)
        watch = Jobs(stores.engine, self.clock, fleet, owner=stores.members.id)
        # Apart from the others: a bad rollout is halted also while the lake is compacted.
        self.supervisor.start("watch", watch.step, lambda: self.supervisor.stop.wait(1.0))
        return watch

    def _wire(self) -> tuple[Context, Gateway]:
        stores = self.stores
        identities = Identities(stores.agents.peer, self.clock)
        publish, bus = stores.feed.publish, stores.bus
        named: Callable[[str, str, str], None] = stores.names.put
        if bus is not None:
            bus.forget, named = identities.forget, bus.named

        def changed(tenant: str, workload: str, agent: str) -> None:
            identities.forget(agent)
            if bus is not None:
                bus.changed(agent)
            at_ms = self.clock.wall_ns() // 1_000_000
            publish(tenant, Notice(topic="agents", at_ms=at_ms, workload=workload))

        def alarmed(tenant: str, workload: str) -> None:
            at_ms = self.clock.wall_ns() // 1_000_000
            publish(tenant, Notice(topic="alarms", at_ms=at_ms, workload=workload))

        stores.agents.on_change, stores.agents.on_alarm = changed, alarmed
        # Each server has a certificate of its own.
        certificate = "certificate" if bus is None else f"certificate {socket.gethostname()}"
        stores.jobs.add(Job(certificate, RENEW_S, self._renew))
        scratch = self.settings.folder / "scratch"
        packages = Packages(stores.engine, stores.blobs, self.keys, self.clock, scratch)
        services = self._services = GatewayServices(
            stores.agents, self.keys, packages, publish=publish, named=named
        )
        gateway = Gateway(services, identities, stores.receiver, self.clock)
        registry = CollectorRegistry()
        register(registry, stores, self.supervisor)
        context = Context(
            engine=stores.engine,
            clock=self.clock,
            access=Access(stores.engine, self.clock),
            agents=stores.agents,
            packages=packages,
            lake=lake_query(self.settings, stores.lake),
            inbox=stores.inbox,
            feed=stores.feed,
            facts=self._facts,
            stores=Measure(stores),
            checks={
                "workers": stores.consumers.wrong,
                **{
                    name: lambda name=name: self.supervisor.check(name)  # type: ignore[misc]
                    for name in ("state", "lake", "jobs", "watch", "members")
                },
            },
            registry=registry,
            deployment=lambda: Deployment(
                stores.partitions(), stores.processes(), stores.poison.usage()[0]
            ),
        )
        return context, gateway

    def _renew(self) -> str:
        return "renewed" if self.tls.renew() else "still good"

    def _facts(self) -> ServerFacts:
        digest, certified, end = self.tls.facts()
        return ServerFacts(
            version=__version__,
            started_ms=self.started_ns // 1_000_000,
            user=pwd.getpwuid(os.geteuid()).pw_name,
            unprivileged=os.geteuid() != 0,
            urls=self.urls(),
            gateway_url=self.gateway_url(),
            certificate_sha256=digest,
            certificate_names=certified,
            certificate_expires_ms=end,
            own_certificate=self.tls.own,
            ca_sha256=self.keys.ca_sha256.hex(),
        )


def run(settings: Settings, *, first_admin: Callable[[Stores], None] = lambda _stores: None) -> int:
    """Run the server until SIGTERM or SIGINT. Needs the main thread.

    Args:
        settings: from `settings.load`.
        first_admin: called with the open stores before anything listens.

    Returns:
        0 after a clean stop.

    Raises:
        HauberkError: it could not start; the message names the mend.
    """
    logging.basicConfig(
        level=settings.log_level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    make_folder(settings.folder)
    privileges.refuse_links(settings.folder)
    make_folder(settings.run_folder)
    with _only_one(settings.pid_file):
        began = time.monotonic()
        server = Server(settings, first_admin=first_admin)
        try:
            uvloop.run(server.run())
        finally:
            server.close()
        _log.info("stopped after %.0f s", time.monotonic() - began)
    return 0


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Lock the pid file. Raises Conflict when another server runs on this folder."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            raise Conflict(f"{path}: a server runs on this folder already (process {pid})") from (
                error
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)

"""Runs a worker: consumers and jobs without gateway, API or console, until SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

from prometheus_client import CollectorRegistry, start_http_server

from hauberk import __version__
from hauberk.errors import BadInput, Temporary
from hauberk.host.clock import SystemClock
from hauberk.server import privileges
from hauberk.server.metrics import register
from hauberk.server.settings import Settings, address_of
from hauberk.server.stores import open_parts
from hauberk.server.supervise import Supervisor
from hauberk.store.files import make_folder

STOP_S = 20.0
_log = logging.getLogger("hauberk.worker")


def run(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT. Needs the main thread.

    Returns:
        0 after a clean stop: what it had is written and given back.

    Raises:
        HauberkError: it could not start; the message names the mend.
    """
    if not settings.inbox:
        raise BadInput(
            "a SQLite inbox is consumed by its own server: workers need nats://...", source="inbox"
        )
    if not settings.consume:
        raise BadInput("a worker that consumes nothing has nothing to do", source="consume")
    logging.basicConfig(
        level=settings.log_level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    make_folder(settings.folder)
    privileges.refuse_links(settings.folder)
    began = time.monotonic()
    stays_root = privileges.drop(settings.user, settings.folder)
    if stays_root:
        _log.warning("the worker stays root: %s", stays_root)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    parts = open_parts(settings, SystemClock(), role="worker")
    supervisor = Supervisor()
    shown = None
    try:
        if settings.metrics:
            host, port = address_of(settings.metrics, "metrics")
            registry = CollectorRegistry()
            register(registry, parts, supervisor)
            shown = start_http_server(port, addr=host, registry=registry)
        parts.work(supervisor)
        _log.info("worker %s of version %s, process %d", parts.members.id, __version__, os.getpid())
        ended.wait()
        _log.info("stopping")
    finally:
        if shown is not None:
            server, thread = shown
            server.shutdown()
            server.server_close()
            thread.join()
        for name in supervisor.join(STOP_S):
            _log.error("%s did not end within %.0f s", name, STOP_S)
        try:
            parts.close()
        except Temporary as error:
            _log.error("what was not written comes again from the inbox: %s", error)
    _log.info("stopped after %.0f s", time.monotonic() - began)
    return 0

"""Beats and inventory per second that the state takes, on SQLite and on PostgreSQL.

    .venv/bin/python tests/bench/state.py --seconds 5

PostgreSQL runs with its defaults of durability (`fsync`, `synchronous_commit`) unless --unsafe.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "services"))

import postgres
from storekit import Kit, beat

from hauberk.assets import software_os_package
from hauberk.link import wire
from hauberk.store import inventory
from hauberk.store.assets import Assets
from hauberk.store.database import open_database, sqlite_url, write
from hauberk.store.inventory import AssetScope
from hauberk.store.sets import Incoming

PACKAGES, GROUP, AGENTS = 500, 64, 64
SUB = "software.os_package"


def beats(kit: Kit, seconds: float, group: int) -> float:
    """Beats per second of one thread, `group` of them a transaction."""
    peers = [kit.peer() for _ in range(AGENTS)]
    began, done = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        with write(kit.engine):
            for _ in range(group):
                kit.agents.beat(peers[done % AGENTS], beat())
                done += 1
    return done / (time.monotonic() - began)


def applies(kit: Kit, seconds: float, *, change: bool) -> float:
    """Rows per second of full snapshots; `change`: every row has a new version each time."""
    struct = software_os_package.COLLECTOR.struct
    assets = Assets(kit.engine, hostname=lambda _t, _w: "web-1")
    began, done, epoch = time.monotonic(), 0, 0
    while time.monotonic() - began < seconds:
        epoch += 1
        rows = [
            struct(manager="dpkg", name=f"p{n}", arch="amd64", version=str(epoch * change))
            for n in range(PACKAGES)
        ]
        meta: dict[str, str | int] = {"epoch": epoch, "full": 1, "part": 1, "parts": 1}
        batch = wire.decode_batch(
            wire.encode_batch([wire.encode_table(f"asset/{SUB}", struct, rows, meta)])
        )
        home = f"w{epoch % 16}"
        kit.home("default", home)
        incoming = Incoming("default", home, kit.clock.wall + epoch, epoch, batch.tables)
        assets.apply([incoming], lambda _db, _done: None)
        done += PACKAGES
    return done / (time.monotonic() - began)


def pages(kit: Kit) -> float:
    """Milliseconds of a filtered first page over what `applies` left."""
    scope = AssetScope("default", SUB, "name ~ p49 and version != 0")
    began = time.monotonic()
    for _ in range(10):
        inventory.assets(kit.engine, scope, None, 100, 0)
    return (time.monotonic() - began) * 100


def measure(name: str, url: str, seconds: float) -> None:
    """One backend."""
    with tempfile.TemporaryDirectory() as folder:
        kit = Kit(Path(folder), database=url)
        figures = {
            "beats/s alone": beats(kit, seconds, 1),
            f"beats/s in groups of {GROUP}": beats(kit, seconds, GROUP),
            "unchanged asset rows/s": applies(kit, seconds, change=False),
            "changed asset rows/s": applies(kit, seconds, change=True),
            "ms for a filtered page": pages(kit),
        }
        kit.close()
    for what, figure in figures.items():
        print(f"{name:12} {what:28} {figure:12.1f}", flush=True)


def main() -> None:
    """Both backends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--unsafe", action="store_true", help="PostgreSQL without fsync")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure("sqlite", sqlite_url(Path(folder) / "state.db"), given.seconds)
    if reason := postgres.missing():
        print(f"postgresql   not measured: {reason}")
        return
    options = {} if given.unsafe else {"fsync": "on", "autovacuum": "on"}
    with postgres.running(options) as server:
        url = server.url(server.database())
        open_database(url).dispose()
        measure("postgresql", url, given.seconds)


if __name__ == "__main__":
    main()

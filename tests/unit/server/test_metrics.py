from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from storekit import Clock

from hauberk.server.metrics import register
from hauberk.server.settings import Settings
from hauberk.server.stores import open_stores
from hauberk.server.supervise import Health, Supervisor
from hauberk.store.keys import Keys


def test_figures_are_read_when_asked(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(data=str(tmp_path))
    stores = open_stores(settings, clock, Keys(settings.folder / "keys", now_ns=clock.wall))
    supervisor = Supervisor()
    supervisor.health["lake"] = Health(failures=2)
    registry = CollectorRegistry()
    register(registry, stores, supervisor)
    stores.receiver.counters.rows = 7
    text = generate_latest(registry).decode()
    assert "hauberk_ingest_rows_total 7.0" in text
    assert 'hauberk_worker_failures_total{worker="lake"} 2.0' in text
    assert 'hauberk_consumer_behind{consumer="state",partition=""} 0.0' in text
    stores.close()

"""Prometheus figures of ingest and its consumers, read when asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hauberk.server.stores import Stores
from hauberk.server.supervise import Supervisor


class _Ingest(Collector):
    def __init__(self, stores: Stores, supervisor: Supervisor) -> None:
        self._stores, self._supervisor = stores, supervisor

    def collect(self) -> Iterator[Metric]:
        stores = self._stores
        counters = stores.receiver.counters
        for name, text, value in (
            ("batches", "Batches acknowledged", counters.batches),
            ("duplicates", "Batches that had been acknowledged before", counters.duplicates),
            ("rows", "Rows acknowledged", counters.rows),
            ("bytes", "Bytes of acknowledged envelopes", counters.bytes),
            ("refused", "Batches refused", counters.refused),
            ("poison", "Tables set aside", stores.poison.count),
            ("lake_rows", "Rows written to the event lake", stores.events.rows_written),
        ):
            yield CounterMetricFamily(f"hauberk_ingest_{name}", text, value)
        items, size = stores.inbox.depth()
        yield GaugeMetricFamily("hauberk_inbox_items", "Batches in the inbox", items)
        yield GaugeMetricFamily("hauberk_inbox_bytes", "Bytes in the inbox", size)
        last = stores.inbox.last
        behind = GaugeMetricFamily(
            "hauberk_consumer_behind", "Batches a consumer is behind", labels=["consumer"]
        )
        behind.add_metric(["state"], last - stores.state.position)
        behind.add_metric(["lake"], last - stores.events.position)
        yield behind
        readers = stores.feed.readers()
        yield GaugeMetricFamily("hauberk_stream_readers", "Open live streams", readers)
        failed = CounterMetricFamily(
            "hauberk_worker_failures", "Failed steps of a worker thread", labels=["worker"]
        )
        for name, health in self._supervisor.health.items():
            failed.add_metric([name], health.failures)
        yield failed


def register(registry: CollectorRegistry, stores: Stores, supervisor: Supervisor) -> None:
    """Put the figures into a registry."""
    registry.register(_Ingest(stores, supervisor))

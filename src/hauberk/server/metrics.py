"""Prometheus figures of ingest and its consumers, read when asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hauberk.server.stores import Parts, Stores
from hauberk.server.supervise import Supervisor


class _Ingest(Collector):
    def __init__(self, stores: Parts, supervisor: Supervisor) -> None:
        self._stores, self._supervisor = stores, supervisor

    def collect(self) -> Iterator[Metric]:
        stores = self._stores
        counted = [
            ("poison", "Tables set aside", stores.poison.count),
            ("lake_rows", "Rows written to the event lake", stores.consumers.rows_written),
        ]
        if isinstance(stores, Stores):
            counters = stores.receiver.counters
            counted += [
                ("batches", "Batches acknowledged", counters.batches),
                ("duplicates", "Batches that had been acknowledged before", counters.duplicates),
                ("rows", "Rows acknowledged", counters.rows),
                ("bytes", "Bytes of acknowledged envelopes", counters.bytes),
                ("refused", "Batches refused", counters.refused),
            ]
        for name, text, value in counted:
            yield CounterMetricFamily(f"hauberk_ingest_{name}", text, value)
        items, size = stores.inbox.depth()
        yield GaugeMetricFamily("hauberk_inbox_items", "Batches in the inbox", items)
        yield GaugeMetricFamily("hauberk_inbox_bytes", "Bytes in the inbox", size)
        behind = GaugeMetricFamily(
            "hauberk_consumer_behind",
            "Batches a consumer is behind",
            labels=["consumer", "partition"],
        )
        waiting = GaugeMetricFamily(
            "hauberk_partition_items", "Batches in a partition of the inbox", labels=["partition"]
        )
        owned = GaugeMetricFamily(
            "hauberk_partition_owned", "Whether a process consumes it", labels=["partition"]
        )
        for part in stores.partitions():
            waiting.add_metric([part.name], part.items)
            owned.add_metric([part.name], int(bool(part.owner)))
            for consumer, batches in part.behind.items():
                behind.add_metric([consumer, part.name], batches)
        yield from (behind, waiting, owned)
        set_aside = stores.poison.usage()[0]
        yield GaugeMetricFamily("hauberk_poison_tables", "Tables set aside, kept", set_aside)
        readers = stores.feed.readers()
        yield GaugeMetricFamily("hauberk_stream_readers", "Open live streams", readers)
        failed = CounterMetricFamily(
            "hauberk_worker_failures", "Failed steps of a worker thread", labels=["worker"]
        )
        for name, health in list(self._supervisor.health.items()):
            failed.add_metric([name], health.failures)
        yield failed


def register(registry: CollectorRegistry, stores: Parts, supervisor: Supervisor) -> None:
    """Put the figures into a registry."""
    registry.register(_Ingest(stores, supervisor))

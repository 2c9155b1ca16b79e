"""From a durable batch to notices: event rows on the spot, inventory changes once applied."""

from __future__ import annotations

import logging

from hauberk.errors import BadWire
from hauberk.ingest.feed import Feed
from hauberk.ingest.names import Hostnames
from hauberk.link import wire
from hauberk.link.wire import Batch, Table
from hauberk.ports import InboxItem
from hauberk.schema.view import EventRow, Notice
from hauberk.store.assets import Applied, is_inventory

MAX_ROWS = 200
MAX_CHANGES = 200
_log = logging.getLogger(__name__)


class Live:
    """Publishes to the feed. A batch shows at most MAX_ROWS events per table: the newest."""

    def __init__(self, feed: Feed, names: Hostnames) -> None:
        self._feed, self._names = feed, names

    def batch(self, item: InboxItem, batch: Batch) -> None:
        """Publish the event rows of a batch that is durable, if anybody listens."""
        if not self._feed.wanted(item.tenant, "events"):
            return
        for table in batch.tables:
            if is_inventory(table.name) or not table.rows:
                continue
            try:
                rows = self._rows(item, table)
            except BadWire as error:
                _log.warning("live: %s of agent %s: %s", table.name, item.agent, error)
                continue
            notice = Notice(
                topic="events",
                at_ms=item.received_ns // 1_000_000,
                workload=item.workload,
                events=rows,
            )
            self._feed.publish(item.tenant, notice)

    def applied(self, done: Applied, at_ns: int) -> None:
        """Publish what one transaction of the state changed."""
        at_ms = at_ns // 1_000_000
        for tenant, changes in done.changes.items():
            for start in range(0, len(changes), MAX_CHANGES):
                part = changes[start : start + MAX_CHANGES]
                self._feed.publish(tenant, Notice(topic="changes", at_ms=at_ms, changes=part))
        for tenant, workload in sorted(done.collected):
            self._feed.publish(tenant, Notice(topic="collections", at_ms=at_ms, workload=workload))

    def _rows(self, item: InboxItem, table: Table) -> list[EventRow]:
        hostname = self._names.cached(item.tenant, item.workload)
        received = item.received_ns // 1_000_000
        return [
            EventRow(
                table=table.name,
                workload=item.workload,
                hostname=hostname,
                received_ms=received,
                time_ms=_time_ms(row.get("time_ns"), table.name),
                fields=row,
            )
            for row in wire.decode_rows(table)[-MAX_ROWS:]
        ]


def _time_ms(value: object, table: str) -> int:
    """Raises BadWire: what an agent calls its time may be anything."""
    if value is None:
        return 0
    if not isinstance(value, int):
        raise BadWire(f"table {table!r}: time_ns is not a number")
    return value // 1_000_000

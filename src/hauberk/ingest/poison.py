"""Where tables go that could be decoded by nobody: kept with the reason, bounded, counted."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from hauberk.errors import StorageFull
from hauberk.ports import InboxItem
from hauberk.store.files import make_folder, write_atomic

MAX_KEPT = 200
_log = logging.getLogger(__name__)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """The note beside a kept envelope."""

    tenant: str
    workload: str
    agent: str
    boot: str
    sequence: int
    position: int
    table: str
    consumer: str
    reason: str


class Poison:
    """A folder per tenant of envelopes that a consumer could not use; the oldest go first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        make_folder(folder)

    def keep(self, item: InboxItem, consumer: str, table: str, reason: str) -> None:
        """Set an envelope aside; the rest of the batch and of the inbox goes on."""
        self.count += 1
        _log.error(
            "%s: %s of batch %s/%d of agent %s set aside: %s",
            consumer,
            table or "the batch",
            item.boot,
            item.sequence,
            item.agent,
            reason,
        )
        stem = f"{item.position:020d}-{consumer}"
        note = Reason(
            tenant=item.tenant,
            workload=item.workload,
            agent=item.agent,
            boot=item.boot,
            sequence=item.sequence,
            position=item.position,
            table=table,
            consumer=consumer,
            reason=reason,
        )
        try:
            folder = self.folder / item.tenant
            make_folder(folder)
            write_atomic(folder / f"{stem}.envelope", item.body)
            write_atomic(folder / f"{stem}.json", msgspec.json.encode(note))
            for stale in sorted(folder.glob("*.envelope"))[:-MAX_KEPT]:
                stale.unlink(missing_ok=True)
                stale.with_suffix(".json").unlink(missing_ok=True)
        except (OSError, StorageFull) as error:
            _log.error("%s: could not be kept: %s", self.folder, error)

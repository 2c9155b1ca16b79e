"""What no consumer could use."""

from __future__ import annotations

from litestar import get

from hauberk.api.context import Ctx, Who
from hauberk.ingest.poison import kept
from hauberk.schema.view_fleet import PoisonView

_MS = 1_000_000


@get("/poison", opt={"role": "admin"}, sync_to_thread=True)
def list_poison(ctx: Ctx, who: Who) -> list[PoisonView]:
    """Tables of batches that were set aside, with the reason, newest first; 200 are kept."""
    return [
        PoisonView(
            consumer=note.consumer,
            table=note.table,
            workload=note.workload,
            agent=note.agent,
            boot=note.boot,
            sequence=note.sequence,
            reason=note.reason,
            bytes=note.size,
            sha256=note.blob,
            at_ms=note.at_ns // _MS,
        )
        for note in kept(ctx.engine, who.tenant)
    ]


ROUTES = (list_poison,)

"""Every change leaves an entry in the tenant's audit chain, also one that was refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hauberk.api.context import Context, Identity
from hauberk.errors import HauberkError
from hauberk.store import audit
from hauberk.store.database import write


@dataclass(slots=True)
class Entry:
    """What the route adds while it works."""

    target: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@contextmanager
def audited(
    ctx: Context, who: Identity, action: str, target: str = "", **detail: Any
) -> Iterator[Entry]:
    """Write one entry when the block ends: "outcome" is done, or refused with the reason.

    The block's changes and their entry are one transaction: neither is stored without the other.
    """
    entry = Entry(target, {k: v for k, v in detail.items() if v is not None})
    try:
        with write(ctx.engine):
            yield entry
            entry.detail["outcome"] = "done"
            _append(ctx, who, action, entry)
    except HauberkError as error:
        entry.detail |= {"outcome": "refused", "reason": str(error)}
        _append(ctx, who, action, entry)
        raise


def _append(ctx: Context, who: Identity, action: str, entry: Entry) -> None:
    audit.append(
        ctx.engine,
        tenant=who.tenant,
        at_ns=ctx.clock.wall_ns(),
        actor=f"{who.via}:{who.name}",
        action=action,
        target=entry.target,
        detail=entry.detail,
    )

from __future__ import annotations

from storekit import Kit, item

from hauberk.ingest.positions import Positions


def test_inbox_forgets_what_every_consumer_has(kit: Kit) -> None:
    kit.inbox.append([item(sequence=n) for n in (1, 2, 3)])
    positions = Positions(kit.engine, kit.inbox, ("state", "lake"))
    positions.set("state", 3)
    assert positions.trim() == 0
    positions.set("lake", 2)
    assert positions.trim() == 2
    assert kit.inbox.depth()[0] == 1
    assert (positions.of("lake"), positions.of("none")) == (2, 0)

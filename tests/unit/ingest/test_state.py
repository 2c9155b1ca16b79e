from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from storekit import Kit, events, item, seal

from hauberk.assets import software_os_package
from hauberk.errors import Unreachable
from hauberk.ingest import state
from hauberk.ingest.feed import Feed
from hauberk.ingest.live import Live
from hauberk.ingest.names import Hostnames
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import Positions
from hauberk.ingest.state import StateConsumer
from hauberk.link import wire
from hauberk.ports import InboxItem, Log
from hauberk.store.assets import Assets
from hauberk.store.blobs import FolderBlobs
from hauberk.store.database import after_commit, read
from hauberk.store.marks import Marks
from hauberk.store.tables import asset, asset_change

Package = software_os_package.COLLECTOR.struct


def packages(*names: str, epoch: int = 1, sub: str = "software.os_package") -> bytes:
    rows = [Package(manager="dpkg", name=n, arch="amd64", version="1") for n in names]
    meta: dict[str, str | int] = {"epoch": epoch, "full": 1, "part": 1, "parts": 1}
    return wire.encode_batch([wire.encode_table(f"asset/{sub}", Package, rows, meta)])


@pytest.fixture
def consumer(kit: Kit, tmp_path: Path):
    def make(log: Log | None = None) -> StateConsumer:
        log = log or kit.inbox
        kit.home()
        names = Hostnames(kit.engine)
        assets = Assets(kit.engine, hostname=names.of)
        live = Live(Feed(kit.clock), names)
        poison = Poison(kit.engine, FolderBlobs(tmp_path / "blobs"), kit.clock)
        positions = Positions(kit.engine, log, ("state",))
        marks = Marks(kit.engine, "state", kit.clock) if log.repeats else None
        return StateConsumer(log, assets, positions, live, poison, kit.clock, marks=marks)

    return make


def labels(kit: Kit) -> list[str]:
    with read(kit.engine) as db:
        query = select(asset.c.label).where(asset.c.gone_ns.is_(None)).order_by(asset.c.label)
        return list(db.execute(query).scalars())


def test_batches_are_applied_in_order_and_once(kit: Kit, consumer) -> None:
    key, _, peer = kit.enrol()
    bodies = [packages("a", "b", epoch=1), events(), packages("b", "c", epoch=2)]
    kit.inbox.append(
        [
            item(seal(key, peer, b, n), sequence=n, workload=peer.workload)
            for n, b in enumerate(bodies, 1)
        ]
    )
    one = consumer()
    assert one.step() is True
    assert one.step() is False
    assert labels(kit) == ["b", "c"]
    again = consumer()
    assert again.position == 3
    assert again.step() is False


def test_position_without_inventory_is_kept_now_and_then(kit: Kit, consumer) -> None:
    key, _, peer = kit.enrol()
    kit.inbox.append([item(seal(key, peer, events()))])
    one = consumer()
    one.step()
    assert consumer().position == 0
    kit.clock.forward(3)
    kit.inbox.append([item(seal(key, peer, events(1), 2), sequence=2)])
    one.step()
    assert consumer().position == 2


def test_poison_goes_aside_and_the_rest_goes_on(kit: Kit, consumer, tmp_path: Path) -> None:
    key, _, peer = kit.enrol()
    kit.inbox.append(
        [
            item(b"not an envelope", sequence=1),
            item(seal(key, peer, packages("x", sub="no.such"), 2), sequence=2),
            item(seal(key, peer, packages("a"), 3), sequence=3),
        ]
    )
    consumer().step()
    assert labels(kit) == ["a"]
    kept = Poison(kit.engine, FolderBlobs(tmp_path / "blobs"), kit.clock).kept("default")
    assert sorted(note.sequence for note in kept) == [1, 2]


def test_one_transaction_takes_a_bounded_amount(
    kit: Kit, consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_RAW", 1)
    key, _, peer = kit.enrol()
    for n, name in enumerate(("a", "b"), 1):
        body = seal(key, peer, packages(name, epoch=n), n)
        kit.inbox.append([item(body, sequence=n, agent=peer.agent)])
    one = consumer()
    assert one.step() is True
    assert (one.position, labels(kit)) == (1, ["a"])
    assert one.step() is True
    assert (one.position, labels(kit)) == (2, ["b"])


class Repeating:
    """The inbox of the kit, with every item twice: as a log that repeats gives them."""

    id, name, repeats = "log1", "0", True

    def __init__(self, kit: Kit, order: list[int]) -> None:
        found = kit.inbox.read(0, max_items=99, max_bytes=10**9)
        self.items = [replace(found[index], position=n) for n, index in enumerate(order, 1)]
        self.last = len(self.items)

    def read(self, after: int, *, max_items: int, **_bytes: int) -> list[InboxItem]:
        return self.items[after : after + max_items]

    def trim(self, upto: int) -> None:
        pass


def test_a_repeated_batch_does_not_bring_back_the_past(
    kit: Kit, consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _, peer = kit.enrol()
    for n, names in enumerate((("a", "b"), ("b", "c")), 1):
        body = seal(key, peer, packages(*names, epoch=n), n)
        kit.inbox.append([item(body, sequence=n, agent=peer.agent)])
    log = Repeating(kit, [0, 1, 0, 1, 0])
    # A failed transaction takes nothing, and its batches are no repetitions afterwards.
    with monkeypatch.context() as patch:
        patch.setattr(Assets, "apply", lambda *_: 1 / 0)
        one = consumer(log)
        with pytest.raises(ZeroDivisionError):
            one.step()
    one.step()
    assert labels(kit) == ["b", "c"]
    monkeypatch.setattr(state, "MAX_ITEMS", 1)
    again = consumer(log)
    assert again.position == 5
    log.items += [replace(log.items[0], position=6)]
    again.step()
    kit.clock.forward(3)
    again.step()
    assert labels(kit) == ["b", "c"]
    assert consumer(log).position == 6


def test_a_commit_whose_answer_got_lost_is_not_applied_again(
    kit: Kit, consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _, peer = kit.enrol()
    for n, names in enumerate((("a", "b"), ("b", "c")), 1):
        body = seal(key, peer, packages(*names, epoch=n), n)
        kit.inbox.append([item(body, sequence=n, agent=peer.agent)])
    whole = Assets.apply

    def lost(self: Assets, *arguments: Any) -> None:
        whole(self, *arguments)
        raise Unreachable("the state database went away")

    one = consumer()
    with monkeypatch.context() as patch:
        patch.setattr(Assets, "apply", lost)
        with pytest.raises(Unreachable):
            one.step()

    def changes() -> int:
        with read(kit.engine) as db:
            return int(db.execute(select(func.count()).select_from(asset_change)).scalar_one())

    before = changes()
    one.step()
    assert (one.position, changes(), labels(kit)) == (2, before, ["b", "c"])


def test_nobody_waits_for_the_state_while_poison_is_stored(
    kit: Kit, consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _, peer = kit.enrol()
    bodies = [packages("a"), packages("x", sub="no.such"), packages("y", sub="no.such")]
    for n, body in enumerate(bodies, 1):
        sealed = seal(key, peer, body, n)
        kit.inbox.append([item(sealed, sequence=n, agent=peer.agent)])
    free: list[bool] = []
    whole = FolderBlobs.put

    def put(self: FolderBlobs, *arguments: Any) -> str:
        told: list[bool] = []
        after_commit(kit.engine, lambda: told.append(True))  # at once outside of a transaction
        free.append(bool(told))
        return whole(self, *arguments)

    monkeypatch.setattr(FolderBlobs, "put", put)
    one = consumer()
    one.step()
    assert free == [True, True]
    assert (one.position, labels(kit)) == (3, ["a"])

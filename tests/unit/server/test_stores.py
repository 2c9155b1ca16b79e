from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from storekit import Clock, events, item, seal

from hauberk.errors import Unreachable
from hauberk.link.gateway.identity import Peer
from hauberk.server.settings import Settings
from hauberk.server.stores import Measure, open_stores
from hauberk.store.database import read
from hauberk.store.keys import Keys
from hauberk.store.tables import tenant


def test_open_work_close_and_open_again(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(data=str(tmp_path))
    keys = Keys(settings.folder / "keys", now_ns=clock.wall)
    stores = open_stores(settings, clock, keys)
    with read(stores.engine) as db:
        assert db.execute(select(tenant.c.id)).scalars().all() == ["default"]
    key = Ed25519PrivateKey.generate()
    peer = Peer("default", "w", "a", "1", key.public_key())
    stores.inbox.append([item(seal(key, peer, events(3)))])
    stores.close()
    again = open_stores(settings, clock, keys)
    assert again.lake.written("default", "process_activity") == 1
    views = {v.name: v for v in Measure(again)()}
    assert views["events"].rows == 3
    assert views["inbox"].rows == 0
    assert views["state"].bytes > 0
    again.close()


def test_batches_of_a_new_inbox_are_not_taken_for_old_ones(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(data=str(tmp_path))
    keys = Keys(settings.folder / "keys", now_ns=clock.wall)
    key = Ed25519PrivateKey.generate()
    peer = Peer("default", "w", "a", "1", key.public_key())
    stores = open_stores(settings, clock, keys)
    for n in (1, 2, 3):
        stores.inbox.append([item(seal(key, peer, events(1), n), sequence=n)])
    stores.close()
    for path in settings.folder.glob("inbox.db*"):
        path.unlink()
    stores = open_stores(settings, clock, keys)
    assert stores.inbox.append([item(seal(key, peer, events(1), 4), sequence=4)]) == [4]
    stores.close()
    again = open_stores(settings, clock, keys)
    assert sum(f.rows for f in again.lake.files("default", "process_activity")) == 4
    again.close()


def test_a_store_that_does_not_answer_stops_no_start_and_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "secret").write_text("x")
    away = Settings(
        data=str(tmp_path),
        lake="s3://bucket/lake",
        blobs="s3://bucket/blobs",
        s3_endpoint="http://127.0.0.1:1",
        s3_key_id="k",
        s3_secret_file=str(tmp_path / "secret"),
    )
    keys = Keys(away.folder / "keys", now_ns=clock.wall)
    stores = open_stores(away, clock, keys)
    assert {v.name for v in Measure(stores)()} == {"state", "inbox", "poison"}
    key = Ed25519PrivateKey.generate()
    peer = Peer("default", "w", "a", "1", key.public_key())
    stores.inbox.append([item(seal(key, peer, events(3)))])
    with pytest.raises(Unreachable):
        stores.close()
    again = open_stores(msgspec.structs.replace(away, lake="", blobs=""), clock, keys)
    again.close()
    back = open_stores(msgspec.structs.replace(away, lake="", blobs=""), clock, keys)
    assert sum(f.rows for f in back.lake.files("default", "process_activity")) == 3
    back.close()

from __future__ import annotations

from storekit import item

from hauberk.ingest.poison import Poison
from hauberk.store.blobs import FolderBlobs


def test_what_was_set_aside_is_listed_with_its_reason(hauberk, stack, tmp_path):
    assert "nothing was set aside" in hauberk("poison", "list", "--tenant", "other").err
    poison = Poison(stack.engine, FolderBlobs(tmp_path / "blobs"), stack.clock)
    one = item(b"body", sequence=7, tenant="other")
    poison.keep(one, "state", "asset/os.release", "no such collector")
    told = hauberk("poison", "list", "--tenant", "other")
    assert told.code == 0
    assert "no such collector" in told.out
    assert "asset/os.release" in told.out

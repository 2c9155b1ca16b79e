from __future__ import annotations

from storekit import item

from hauberk.ingest.poison import Poison
from hauberk.store.blobs import FolderBlobs


def test_what_was_set_aside_is_told_to_its_tenants_admin(stack, tmp_path):
    poison = Poison(stack.engine, FolderBlobs(tmp_path / "blobs"), stack.clock)
    poison.keep(item(b"body", sequence=7), "lake", "process_activity", "column 'pid': bad")
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        (note,) = client.get("/api/v1/poison").json()
        assert (note["consumer"], note["table"], note["sequence"]) == (
            "lake",
            "process_activity",
            7,
        )
        assert (note["reason"], note["bytes"], note["agent"]) == ("column 'pid': bad", 4, "a")
        client.headers.update(stack.token("other", "admin"))
        assert client.get("/api/v1/poison").json() == []
        client.headers.update(stack.token("default", "analyst"))
        assert client.get("/api/v1/poison").status_code == 403

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from storekit import Kit, events, item, seal

from hauberk.errors import BadInput
from hauberk.host.clock import SystemClock
from hauberk.server import archive
from hauberk.server.backup import KEY_NAME, Marks, save, tables_of
from hauberk.server.settings import Settings
from hauberk.store.files import make_folder
from hauberk.store.keys import Keys


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data=str(tmp_path / "data"), user="root")
    make_folder(made.folder)
    kit = Kit(made.folder)
    key, _, peer = kit.enrol()
    bodies = [seal(key, peer, events(3), number) for number in (1, 2)]
    kit.inbox.append([item(body, sequence=n) for n, body in enumerate(bodies, 1)])
    kit.close()
    return made


def test_it_holds_keys_state_inbox_and_its_marks(settings: Settings, tmp_path: Path) -> None:
    steps: list[str] = []
    done = save(settings, tmp_path / "b", SystemClock(), steps.append)
    names = archive.check(tmp_path / "b")
    assert (done.batches, done.events, done.blobs) == (2, 0, 0)
    assert done.state_rows >= 3
    assert {"manifest.json", "keys/ca.key", "keys/task.key", "marks.json"} <= names.keys()
    assert "state/agent/000001" in names or any(n.startswith("state/agent/") for n in names)
    assert steps == ["keys", "inbox", "state", "events", "blobs"]
    for name, size, reader in archive.members(tmp_path / "b"):
        if name == "marks.json":
            told = msgspec.json.decode(archive.small(name, size, reader), type=Marks)
            assert [(m.name, m.repeats, m.positions) for m in told.logs] == [
                ("", False, {"state": 0, "lake": 0})
            ]


def test_an_existing_file_is_not_overwritten(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(BadInput, match="exists"):
        save(settings, tmp_path / "b", SystemClock(), lambda _step: None)


def test_every_key_file_has_a_name_that_a_backup_takes(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", now_ns=time.time_ns())
    keys.server_certificate(["localhost"], now_ns=time.time_ns())
    assert all(KEY_NAME.fullmatch(p.name) for p in keys.folder.iterdir())
    assert not KEY_NAME.fullmatch("../ca.key")


def test_only_tables_that_were_copied_whole_count() -> None:
    names = ["lake/t/a/0/000000", "lake/t/a/1/000000", "lake/t/a/1/table.json", "blobs/t/x"]
    assert tables_of(iter(names)) == {("t", "a"): "lake/t/a/1/"}

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select
from storekit import Kit, events, item, seal

from hauberk.errors import BadInput, Conflict
from hauberk.host.clock import SystemClock
from hauberk.server import archive, places
from hauberk.server.backup import Manifest, save
from hauberk.server.restore import SKIPPED_SEQUENCES, restore
from hauberk.server.settings import Settings
from hauberk.store.blobs import FolderBlobs
from hauberk.store.database import open_database, sqlite_url
from hauberk.store.files import make_folder
from hauberk.store.inbox import SqliteInbox
from hauberk.store.lake import Lake
from hauberk.store.tables import agent, consumer

CLOCK = SystemClock()


def quiet(_step: str) -> None:
    """Nobody looks."""


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    settings = Settings(data=str(tmp_path / "old"), user="root")
    make_folder(settings.folder)
    kit = Kit(settings.folder)
    key, _, peer = kit.enrol()
    kit.inbox.append(
        [
            item(seal(key, peer, events(3, first=n * 3), n), sequence=n, agent=peer.agent)
            for n in (1, 2, 3)
        ]
    )
    FolderBlobs(settings.folder / "blobs").put("default", io.BytesIO(b"evidence"))
    kit.close()
    save(settings, tmp_path / "backup", CLOCK, quiet)
    return tmp_path / "backup"


def test_what_waited_is_consumed_and_what_comes_again_is_known(
    backup: Path, tmp_path: Path
) -> None:
    settings = Settings(data=str(tmp_path / "new"), user="root")
    done = restore(settings, backup, CLOCK, quiet)
    assert (done.moved.batches, done.moved.blobs) == (3, 1)
    lake = Lake(places.lake_files(settings), app_id="test")
    assert sum(f.rows for f in lake.files("default", "process_activity")) == 9
    engine = open_database(sqlite_url(settings.folder / "state.db"))
    with engine.connect() as db:
        name, sequence = db.execute(select(agent.c.id, agent.c.task_sequence)).one()
        assert sequence == SKIPPED_SEQUENCES
        assert db.execute(select(consumer)).all() == []
    engine.dispose()
    inbox = SqliteInbox(settings.folder / "inbox.db")
    assert inbox.depth() == (0, 0)
    assert inbox.append([item(sequence=2, agent=name)]) == [None]
    assert inbox.append([item(sequence=4, agent=name)]) != [None]
    inbox.close()


def test_a_used_place_and_a_bad_file_are_refused_untouched(backup: Path, tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "new"), user="root")
    cut = tmp_path / "cut"
    cut.write_bytes(backup.read_bytes()[:-40])
    with pytest.raises(BadInput, match="damaged, cut"):
        restore(settings, cut, CLOCK, quiet)
    with archive.create(tmp_path / "foreign") as writer:
        writer.add("something", b"{}")
    with pytest.raises(BadInput, match="no backup"):
        restore(settings, tmp_path / "foreign", CLOCK, quiet)
    with archive.create(tmp_path / "newer") as writer:
        newer = Manifest(format=99, version="9", schema="x", host="h", at_ms=1)
        writer.add("manifest.json", msgspec.json.encode(newer))
    with pytest.raises(BadInput, match="format 99"):
        restore(settings, tmp_path / "newer", CLOCK, quiet)
    assert not settings.folder.exists()
    restore(settings, backup, CLOCK, quiet)
    with pytest.raises(Conflict, match="holds keys"):
        restore(settings, backup, CLOCK, quiet)


def test_a_batch_that_came_while_the_inbox_was_read_is_known(tmp_path: Path, monkeypatch) -> None:
    """Its acknowledgement may have been lost: the agent sends it again."""
    settings = Settings(data=str(tmp_path / "old"), user="root")
    make_folder(settings.folder)
    kit = Kit(settings.folder)
    key, _, peer = kit.enrol()
    known = SqliteInbox.spans

    def spans(inbox: SqliteInbox) -> list:
        found = known(inbox)
        body = seal(key, peer, events(3), 7)
        kit.inbox.append([item(body, sequence=7, agent=peer.agent, workload=peer.workload)])
        return found

    monkeypatch.setattr(SqliteInbox, "spans", spans)
    monkeypatch.setattr(SqliteInbox, "last", property(lambda _inbox: 1))
    save(settings, tmp_path / "backup", CLOCK, quiet)
    monkeypatch.undo()
    kit.close()
    new = Settings(data=str(tmp_path / "new"), user="root")
    assert restore(new, tmp_path / "backup", CLOCK, quiet).moved.batches == 1
    inbox = SqliteInbox(new.folder / "inbox.db")
    assert inbox.append([item(sequence=7, agent=peer.agent)]) == [None]
    inbox.close()

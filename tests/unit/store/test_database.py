from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from hauberk.errors import StorageFull, Unsupported
from hauberk.store.database import open_database, read, sqlite_url, write
from hauberk.store.tables import consumer, metadata


@pytest.fixture
def engine(tmp_path: Path):
    made = open_database(sqlite_url(tmp_path / "s.db"))
    yield made
    made.dispose()


def test_migrations_give_what_tables_say(engine) -> None:
    with read(engine) as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_pragmas(engine) -> None:
    with read(engine) as db:
        assert db.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert db.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert db.execute(text("PRAGMA synchronous")).scalar() == 1


def test_failed_transaction_leaves_nothing(engine) -> None:
    with pytest.raises(IntegrityError), write(engine) as db:
        db.execute(insert(consumer).values(name="x", position=1))
        db.execute(insert(consumer).values(name="x", position=2))
    with read(engine) as db:
        assert db.execute(text("SELECT count(*) FROM consumer")).scalar() == 0


def test_open_again_and_refuse_a_newer_one(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "s.db")
    open_database(url).dispose()
    again = open_database(url)
    with write(again) as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    again.dispose()
    with pytest.raises(Unsupported, match="newer Hauberk"):
        open_database(url)


@pytest.mark.root
def test_full_disk_is_said(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], check=True)
    try:
        engine = open_database(sqlite_url(mount / "s.db"))
        with pytest.raises(StorageFull, match="no room"):
            for n in range(400):
                with write(engine) as db:
                    db.execute(insert(consumer).values(name="x" * 9000 + str(n), position=n))
        engine.dispose()
    finally:
        subprocess.run(["umount", mount], check=True)

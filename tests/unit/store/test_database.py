from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text
from sqlalchemy.exc import (
    DataError,
    IntegrityError,
    InvalidRequestError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as NoConnection

from hauberk.errors import BadInput, Busy, StorageFull, Unreachable, Unsupported
from hauberk.store.database import (
    after_commit,
    is_temporary,
    open_database,
    read,
    size,
    sqlite_url,
    translate,
    write,
)
from hauberk.store.tables import consumer, metadata, tenant


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


def test_a_write_within_a_write_is_a_part_of_it(engine) -> None:
    row = {"id": "joined", "title": "", "created_ns": 1}
    calls: list[str] = []
    with pytest.raises(ZeroDivisionError), write(engine):
        with write(engine) as inner:
            inner.execute(insert(tenant).values(row))
        with read(engine) as seen:
            assert seen.execute(select(tenant).where(tenant.c.id == "joined")).first()
        after_commit(engine, lambda: calls.append("never"))
        raise ZeroDivisionError
    with read(engine) as db:
        assert db.execute(select(tenant).where(tenant.c.id == "joined")).first() is None
    with write(engine) as outer:
        outer.execute(insert(tenant).values(row))
        after_commit(engine, lambda: calls.append("committed"))
        assert calls == []
    assert calls == ["committed"]
    after_commit(engine, lambda: calls.append("now"))
    assert calls == ["committed", "now"]


def test_other_threads_do_not_join(engine) -> None:
    seen: list[object] = []

    def look() -> None:
        with read(engine) as db:
            seen.append(db.execute(select(tenant).where(tenant.c.id == "mine")).first())

    with write(engine) as db:
        db.execute(insert(tenant).values(id="mine", title="", created_ns=1))
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [None]


class Failed(Exception):
    """What a driver raises."""

    def __init__(self, sqlstate: str | None, text: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "text_", "kind"),
    [
        ("53100", "", StorageFull),
        ("53300", "", Busy),
        ("55P03", "", Busy),
        ("40001", "", Busy),
        ("57014", "", Busy),
        ("57P01", "", Unreachable),
        ("08006", "", Unreachable),
        (None, "server closed the connection", Unreachable),
        (None, "FATAL: too many connections for role", Busy),
        (None, "FATAL: remaining connection slots are reserved", Busy),
    ],
)
def test_failures_of_postgresql_are_ours(state, text_, kind) -> None:
    failed = OperationalError("SELECT 1", {}, Failed(state, text_))
    ours = translate(failed)
    assert type(ours) is kind
    assert ours.retry_after > 0
    assert is_temporary(failed)


def test_failures_of_a_statement_are_its_own() -> None:
    for failed in (
        OperationalError("x", {}, Failed("54000")),
        DataError("x", {}, Failed("22003")),
        ProgrammingError("x", {}, Failed(None)),
        InvalidRequestError("x"),
    ):
        assert translate(failed) is failed
        assert not is_temporary(failed)
    assert not is_temporary(ValueError())
    assert type(translate(NoConnection())) is Busy


def test_what_is_no_url_is_told() -> None:
    for bad in ("", "mysql://x/y", "postgresql+pg8000://x/y", "oracle://x"):
        with pytest.raises(BadInput, match="database"):
            open_database(bad)


def test_size_counts_the_log_too(engine, tmp_path: Path) -> None:
    assert size(engine) == sum(p.stat().st_size for p in tmp_path.glob("s.db*")) > 0

"""The event lake in a folder and in a real S3 store: the same promises."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import s3kit
from storekit import DAY_NS, NOW_NS, TABLE, rows

from hauberk.errors import BadWire, LostLease, StorageFull, Unreachable
from hauberk.schema.view import EventRow
from hauberk.server import places
from hauberk.server.settings import Settings
from hauberk.store import objects, retention
from hauberk.store.compact import compact
from hauberk.store.lake import CHECKPOINT_EVERY, Lake, day_of
from hauberk.store.lake_files import Files, FolderFiles, S3Files
from hauberk.store.lake_query import LakeQuery, Search
from hauberk.store.objects import Target

TODAY = day_of(NOW_NS)
EVERY = Search("t", TABLE, include_self=True)


@dataclass
class Place:
    """Where a lake is; `files` opens it as another process would."""

    folder: Path
    target: Target | None

    def __post_init__(self) -> None:
        self._open: list[S3Files] = []

    def files(self, cache: str = "cache", mib: int = 64) -> Files:
        if self.target is None:
            return FolderFiles(self.folder / "lake")
        made = S3Files(self.target, self.folder / cache, max_bytes=mib * 1024**2)
        self._open.append(made)
        return made

    def lake(self, app_id: str = "inbox:1") -> Lake:
        return Lake(self.files(), app_id=app_id)

    def close(self) -> None:
        for files in self._open:
            files.close()


@pytest.fixture(scope="module")
def s3() -> s3kit.S3:
    return s3kit.shared()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    target = None
    if request.param == "s3":
        target = request.getfixturevalue("s3").target(f"lake/{tmp_path.name}")
    made = Place(tmp_path, target)
    yield made
    made.close()


def pids(lake: Lake, tenant: str = "t") -> list[int]:
    table = lake.locked(tenant, TABLE).table.to_pyarrow_table()
    return sorted(table["pid"].to_pylist())


def found(query: LakeQuery, search: Search = EVERY) -> list[int]:
    return [int(str(event.fields["pid"])) for event in query.rows(search, {})]


def test_append_once_per_position_and_log(place: Place) -> None:
    lake = place.lake()
    assert lake.written("t", TABLE) == 0
    assert lake.append("t", TABLE, rows(first=0), position=3) is True
    assert lake.append("t", TABLE, rows(first=0), position=3) is False
    assert lake.append("t", TABLE, rows(first=10), position=4) is True
    again = place.lake()
    assert again.written("t", TABLE) == 4
    assert again.written("t", TABLE, "inbox:2") == 0
    assert pids(again) == [0, 1, 10, 11]
    assert again.tables() == [("t", TABLE)]
    assert again.exists("t", TABLE)
    assert not again.exists("u", TABLE)


def test_a_stale_writer_adds_nothing(place: Place) -> None:
    lake, owner = place.lake(), place.lake()
    lake.append("t", TABLE, rows(first=0), position=4)
    assert owner.written("t", TABLE) == 4
    owner.append("t", TABLE, rows(first=10), position=9)
    with pytest.raises(LostLease):
        lake.append("t", TABLE, rows(first=10), position=7)
    assert pids(lake) == [0, 1, 10, 11]


def test_new_columns_are_added_by_whoever_meets_them(place: Place) -> None:
    lake, other = place.lake(), place.lake("inbox:2")
    lake.append("t", TABLE, rows(1), position=1)
    other.columns("t", TABLE)
    wider = rows(1).append_column("novel", pa.array(["x"]))
    lake.append("t", TABLE, wider, position=2)
    other.append("t", TABLE, wider, position=1)
    table = lake.locked("t", TABLE).table.to_pyarrow_table()
    assert sorted(table["novel"].to_pylist(), key=str) == [None, "x", "x"]
    with pytest.raises(BadWire, match="novel"):
        lake.append("t", TABLE, rows(1).append_column("novel", pa.array([1])), position=3)


def _writer(folder: Path, target: Target | None, number: int, commits: int) -> None:
    place = Place(folder, target)
    lake = Lake(place.files(f"cache-{number}"), app_id=f"log:{number}")
    for position in range(1, commits + 1):
        lake.append("t", TABLE, rows(2, first=number * 1000 + position * 2), position=position)
    place.close()


def test_processes_commit_at_once_and_nothing_is_lost(place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_writer, args=(place.folder, place.target, number, 12))
        for number in range(2)
    ]
    for writer in writers:
        writer.start()
    lake = place.lake("log:compactor")
    while any(writer.is_alive() for writer in writers):
        if lake.exists("t", TABLE):
            compact(lake, "t", TABLE, today=TODAY)
        time.sleep(0.05)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    expected = [n * 1000 + p * 2 + i for n in range(2) for p in range(1, 13) for i in range(2)]
    assert pids(lake) == sorted(expected)
    assert [lake.written("t", TABLE, f"log:{n}") for n in range(2)] == [12, 12]


def test_two_compactors_replace_no_file_twice(place: Place) -> None:
    lake = place.lake()
    for n in range(24):
        lake.append("t", TABLE, rows(2, first=n * 2, received_ns=NOW_NS + n), position=n + 1)
    lakes = [place.lake(f"c:{n}") for n in range(3)]
    for each in lakes:
        each.locked("t", TABLE)
    threads = [
        threading.Thread(target=compact, args=(each, "t", TABLE), kwargs={"today": TODAY})
        for each in lakes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pids(lake) == list(range(48))
    compact(lake, "t", TABLE, today="2099-01-01")
    assert len(lake.files("t", TABLE)) == 1


def test_pages_exports_and_counts_before_and_after_upkeep(place: Place) -> None:
    lake = place.lake()
    for n in range(30):
        received = NOW_NS - (n % 3) * DAY_NS + n * 10**9
        lake.append("t", TABLE, rows(4, first=n * 4, received_ns=received), position=n + 1)
    query = LakeQuery(lake, memory_mb=64)

    def seen() -> list[EventRow]:
        out: list[EventRow] = []
        cursor = None
        while True:
            page = query.page(EVERY, {"w": "web"}, cursor, 13, 0)
            out += page.items
            cursor = page.next
            if cursor is None:
                return out

    before = seen()
    assert len(before) == 120
    assert before == list(query.rows(EVERY, {"w": "web"}))
    assert query.counts("t", 0) == {TABLE: 120}
    since = (NOW_NS - DAY_NS) // 10**6
    counted = query.counts("t", since)
    assert counted is not None
    assert counted[TABLE] == sum(event.received_ms >= since for event in before)
    some = Search("t", TABLE, 'argv =~ "^sh [12]$" and pid < 60', include_self=True)
    matched = found(query, some)
    assert matched == [
        e.fields["pid"] for e in before if e.fields["pid"] < 60 and e.fields["argv"][-1] in "12"
    ]  # type: ignore[operator, index]
    assert compact(lake, "t", TABLE, today=TODAY) > 0
    lake.checkpoint("t", TABLE)
    lake.vacuum("t", TABLE, hours=0)
    assert seen() == before
    assert found(query, some) == matched
    used = retention.usage(lake)
    assert used.rows == 120
    assert used.bytes > 0
    dropped = retention.enforce(lake, now_ns=NOW_NS, days=1, max_bytes=10**12, today=TODAY)
    assert dropped == 40
    assert len(seen()) == 80
    lake.vacuum("t", TABLE, hours=0)
    assert len(list(query.rows(EVERY, {}))) == 80
    query.close()


def test_checkpoints_then_a_fresh_process(place: Place) -> None:
    lake = place.lake()
    for n in range(1, CHECKPOINT_EVERY + 3):
        lake.append("t", TABLE, rows(1, first=n), position=n)
    lake.checkpoint("t", TABLE)
    again = place.lake()
    assert again.written("t", TABLE) == CHECKPOINT_EVERY + 2
    assert pids(again) == list(range(1, CHECKPOINT_EVERY + 3))


# What only a store has.


@pytest.fixture
def remote(s3: s3kit.S3, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, s3.target(f"lake/{tmp_path.name}"))
    yield made
    made.close()


def test_copies_are_fetched_once_only_where_needed_and_again_when_broken(remote: Place) -> None:
    lake = remote.lake()
    for n in range(6):
        day = NOW_NS - n * DAY_NS
        lake.append("t", TABLE, rows(2, first=n * 2, received_ns=day), position=n + 1)
    files = remote.files("elsewhere")
    assert isinstance(files, S3Files)
    reader = Lake(files, app_id="r")
    query = LakeQuery(reader, memory_mb=64)
    since = (NOW_NS - DAY_NS) // 10**6
    recent = Search("t", TABLE, since_ms=since, include_self=True)
    assert sorted(found(query, recent)) == [0, 1, 2, 3]
    assert files.cache.fetched == 2
    assert len(found(query)) == 12
    assert files.cache.fetched == 6
    assert len(found(query)) == 12
    assert files.cache.fetched == 6
    copies = sorted((remote.folder / "elsewhere").glob("objects/*/*.parquet"))
    copies[0].write_bytes(copies[0].read_bytes()[:-9])
    whole = bytearray(copies[1].read_bytes())
    whole[4:-12] = os.urandom(len(whole) - 16)
    copies[1].write_bytes(whole)
    copies[2].unlink()
    assert len(found(query)) == 12
    assert files.cache.fetched > 8
    query.close()


def test_a_store_that_is_cut_off_loses_nothing(
    s3: s3kit.S3, remote: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LOG_S", 1)
    monkeypatch.setattr(objects, "DATA_S", 1)
    monkeypatch.setattr(objects, "CONNECT_S", 1)
    lake = remote.lake()
    lake.append("t", TABLE, rows(first=0), position=1)
    query = LakeQuery(lake, memory_mb=64)
    assert sorted(found(query)) == [0, 1]
    with s3.paused():
        started = time.monotonic()
        with pytest.raises(Unreachable) as told:
            lake.append("t", TABLE, rows(first=10), position=2)
        assert told.value.retry_after > 0
        with pytest.raises(Unreachable, match="does not answer"):
            query.page(EVERY, {}, None, 10, 0)
        assert time.monotonic() - started < 20
    deadline = time.monotonic() + 60
    while True:
        try:
            lake.append("t", TABLE, rows(first=10), position=2)
            break
        except Unreachable:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    assert sorted(found(query)) == [0, 1, 10, 11]
    s3.kill()
    with pytest.raises(Unreachable):
        lake.append("t", TABLE, rows(first=20), position=3)
    s3.start()
    time.sleep(3)
    lake.append("t", TABLE, rows(first=20), position=3)
    assert sorted(found(query)) == [0, 1, 10, 11, 20, 21]
    assert pids(remote.lake()) == [0, 1, 10, 11, 20, 21]
    query.close()


@pytest.mark.parametrize("status", [500, 503, 507])
def test_a_store_that_answers_errors_is_a_clear_word(
    s3: s3kit.S3, tmp_path: Path, status: int
) -> None:
    with s3kit.failing(status) as endpoint:
        place = Place(tmp_path, s3.target("x", endpoint))
        lake = place.lake()
        kind = StorageFull if status == 507 else Unreachable
        with pytest.raises(kind, match="s3://hauberk/x"):
            lake.append("t", TABLE, rows(), position=1)
        with pytest.raises(kind):
            lake.tables()
        place.close()


def test_wrong_credentials_and_a_missing_bucket_are_told(s3: s3kit.S3, tmp_path: Path) -> None:
    good = s3.target("x")
    bad = Target("hauberk", "x", endpoint=good.endpoint, key_id=good.key_id, secret="wrong")
    place = Place(tmp_path, bad)
    with pytest.raises(Unreachable, match="s3_secret_file"):
        place.lake().append("t", TABLE, rows(), position=1)
    with pytest.raises(Unreachable, match="credentials"):
        place.lake().tables()
    place.close()
    absent = Target("nowhere", "x", endpoint=good.endpoint, key_id=good.key_id, secret=good.secret)
    place = Place(tmp_path, absent)
    with pytest.raises(Unreachable, match="no such bucket"):
        place.lake().append("t", TABLE, rows(), position=1)
    place.close()


def test_an_own_authority_is_enough(
    s3: s3kit.S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(places.CA_VARIABLE, "/no/such")
    (tmp_path / "secret").write_text(s3kit.SECRET)
    with s3kit.encrypted(s3, tmp_path) as (endpoint, ca):
        settings = Settings(
            data=str(tmp_path),
            lake=f"s3://{s3kit.BUCKET}/tls/{tmp_path.name}",
            s3_endpoint=endpoint,
            s3_key_id=s3kit.KEY,
            s3_secret_file=str(tmp_path / "secret"),
            s3_ca=str(ca),
        )
        files = places.lake_files(settings)
        assert isinstance(files, S3Files)
        lake = Lake(files, app_id="inbox:1")
        lake.append("t", TABLE, rows(), position=1)
        assert lake.tables() == [("t", TABLE)]
        assert pids(lake) == [0, 1]
        files.close()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space"):
        while True:
            ballast.write(bytes(4096))


@pytest.mark.root
@pytest.mark.parametrize("kind", ["lake", "cache"])
def test_a_full_disk_is_told_and_other_tables_go_on(
    s3: s3kit.S3, tmp_path: Path, kind: str
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mount], check=True)
    place = Place(mount, s3.target(f"full/{tmp_path.name}") if kind == "cache" else None)
    try:
        lake = place.lake()
        for n in range(10):
            wide = rows(500, first=n * 500, received_ns=NOW_NS + n)
            noise = pa.array([os.urandom(300).hex() for _ in range(500)])
            lake.append("t", TABLE, wide.append_column("noise", noise), position=n + 1)
        fill(mount / "ballast")
        before = len(lake.files("t", TABLE))
        if kind == "lake":
            with pytest.raises(StorageFull):
                compact(lake, "t", TABLE, today="2099-01-01")
            assert len(lake.files("t", TABLE)) == before
            with pytest.raises(StorageFull):
                lake.append("t", TABLE, rows(5000, first=9000), position=11)
            assert not list((mount / "lake").glob("**/.*.new"))
        else:
            # The store has room: appends go on, searches fetch what fits or say so.
            lake.append("t", TABLE, rows(2, first=9000), position=11)
            for copy in (mount / "cache").glob("objects/*/*.parquet"):
                copy.unlink()
            fill(mount / "more")
            query = LakeQuery(lake, memory_mb=64)
            with pytest.raises(StorageFull):
                query.page(EVERY, {}, None, 10, 0)
            (mount / "more").unlink()
            (mount / "ballast").unlink()
            assert len(query.page(EVERY, {}, None, 10, 0).items) == 10
            query.close()
        (mount / "ballast").unlink(missing_ok=True)
        lake.append("t", TABLE, rows(2, first=9100), position=12)
        lake.append("u", TABLE, rows(2), position=12)
        compact(lake, "t", TABLE, today="2099-01-01")
        assert len(pids(lake)) == 5000 + (2 if kind == "lake" else 4)
    finally:
        place.close()
        subprocess.run(["umount", mount], check=True)

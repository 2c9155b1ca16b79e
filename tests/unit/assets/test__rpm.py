"""The rpm database: real sqlite and Berkeley DB files that rpm and db_load wrote, an ndb file of
our own, and damaged and hostile ones."""

import lzma
import sqlite3
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.assets import _rpm, _rpm_stores
from hauberk.errors import HostError, PathMissing
from hauberk.host.memory import DictHost
from hauberk.ports import Notes

DATA = Path(__file__).parent / "data"
SQLITE = lzma.decompress((DATA / "rpmdb.sqlite.xz").read_bytes())
BDB = lzma.decompress((DATA / "Packages.bdb.xz").read_bytes())
EXPECTED = [
    ("bind-utils", "32:9.16.23-14.el9_3", "x86_64"),
    ("httpd", "2.4.57-5.el9", "x86_64"),
    ("kernel-core", "5.14.0-362.el9", "x86_64"),
    ("kernel-core", "5.14.1-427.el9", "x86_64"),
    ("many-files", "1.0-1", "noarch"),
]


def ndb(blobs):
    """An ndb file of these blobs, as rpm's lib/backend/ndb lays it out."""
    head = struct.pack("<4s7I", b"RpmP", 0, 1, 1, len(blobs) + 1, 0, 0, 0)
    slots, area, block = b"", b"", 4096 // 16
    for number, blob in enumerate(blobs, 1):
        body = struct.pack("<4s3I", b"BlbS", number, 1, len(blob)) + blob
        body += b"\0" * (-(len(body) + 12) % 16)
        body += struct.pack("<2I4s", zlib.adler32(blob), len(blob), b"BlbE")
        slots += struct.pack("<4s3I", b"Slot", number, block, len(body) // 16)
        block += len(body) // 16
        area += body
    free = struct.pack("<4s3I", b"Slot", 0, 0, 0)
    first = head + slots
    return first + free * ((4096 - len(first)) // 16) + area


BLOBS = list(_rpm_stores.sqlite_blobs(SQLITE))
NDB = ndb(BLOBS)


def header(*entries, data=b""):
    index = b"".join(struct.pack(">4I", *entry) for entry in entries)
    return struct.pack(">2I", len(entries), len(data)) + index + data


def rows(host, notes=None):
    found = _rpm.headers(host, notes or Notes())
    return sorted((h.string(_rpm.NAME), h.evr(), h.arch()) for h in found)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/usr/lib/sysimage/rpm/rpmdb.sqlite", SQLITE),
        ("/var/lib/rpm/rpmdb.sqlite", SQLITE),
        ("/usr/share/rpm/rpmdb.sqlite", SQLITE),
        ("/usr/lib/sysimage/rpm/Packages.db", NDB),
        ("/var/lib/rpm/Packages", BDB),
    ],
)
def test_every_store_gives_the_same_packages(path, data):
    notes = Notes()
    assert rows(DictHost({path: data}), notes) == EXPECTED
    assert not notes.problems


def test_a_header_gives_its_fields():
    found = {h.string(_rpm.NAME): h for h in map(_rpm.Header, BLOBS)}
    httpd = found["httpd"]
    assert httpd.string(_rpm.VENDOR) == "Example Vendor 示例"
    assert httpd.string(_rpm.SOURCERPM) == "httpd-2.4.57-5.el9.src.rpm"
    assert httpd.integer(_rpm.SIZE) == 16
    assert httpd.integer(_rpm.EPOCH) is None
    assert found["many-files"].files({b"/usr/share/many-files/1.0-file-400": 1, b"/no": 1}) == [
        b"/usr/share/many-files/1.0-file-400"
    ]


def test_files_have_owners():
    host = DictHost({"/var/lib/rpm/rpmdb.sqlite": SQLITE})
    wanted = {b"/usr/bin/httpd-2.4.57": "a", b"/usr/bin/kernel-core-5.14.1": "b", b"/x": "c"}
    assert _rpm.owned(host, Notes(), wanted) == {
        "a": ("httpd", "x86_64", "2.4.57-5.el9"),
        "b": ("kernel-core", "x86_64", "5.14.1-427.el9"),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bash-5.1.8-6.el9.src.rpm", ("bash", "5.1.8-6.el9")),
        ("java-17-openjdk-17.0.1-3.el9.src.rpm", ("java-17-openjdk", "17.0.1-3.el9")),
        ("(none)", ("", "")),
        ("", ("", "")),
        ("a-b.src.rpm", ("", "")),
    ],
)
def test_the_source_package_is_in_the_file_name(name, expected):
    assert _rpm.source_of(name) == expected


def test_no_database_is_absence_and_a_damaged_one_is_an_error():
    with pytest.raises(PathMissing):
        rows(DictHost())
    for data in (b"", b"SQLite format 3\0", SQLITE[:4096], b"garbage" * 1000):
        with pytest.raises(HostError) as caught:
            rows(DictHost({"/var/lib/rpm/rpmdb.sqlite": data}))
        assert "/var/lib/rpm/rpmdb.sqlite" in str(caught.value)
        assert not isinstance(caught.value, PathMissing)


def test_the_write_ahead_log_counts(tmp_path):
    path = tmp_path / "rpmdb.sqlite"
    path.write_bytes(SQLITE)
    writer = sqlite3.connect(path)
    reader = sqlite3.connect(path)
    try:
        assert writer.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM Packages").fetchone()
        writer.execute("DELETE FROM Packages WHERE hnum = 1")
        writer.execute(
            "INSERT INTO Packages(hnum, blob) VALUES (99, ?)", (BLOBS[0] + b"\0" * 70000,)
        )
        writer.commit()
        writer.execute("DELETE FROM Packages")  # never committed
        data, wal = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    finally:
        writer.rollback()
        reader.close()
        writer.close()
    assert len(wal) > 70000
    without = sorted(_rpm_stores.sqlite_blobs(data))
    with_log = sorted(_rpm_stores.sqlite_blobs(data, wal))
    assert without == sorted(BLOBS)
    assert len(with_log) == len(BLOBS)
    assert BLOBS[0] + b"\0" * 70000 in with_log
    # A log that is cut short, or is of another database, changes nothing for the worse.
    for log in (wal[:40], wal[:31], b"\0" * 500, wal[:16] + b"xxxxxxxx" + wal[24:]):
        assert sorted(_rpm_stores.sqlite_blobs(data, log)) == without


def test_a_view_that_computes_for_ever_is_refused():
    base = sqlite3.connect(":memory:")
    base.execute(
        "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS (SELECT 1 UNION ALL SELECT blob+1 FROM n)"
        " SELECT blob FROM n"
    )
    with pytest.raises(_rpm_stores.BadStore, match="no table"):
        list(_rpm_stores.sqlite_blobs(base.serialize()))
    base.close()


def test_a_generated_column_that_computes_for_ever_is_stopped():
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE Packages(hnum INTEGER, blob AS (zeroblob(100000000)))")
    base.executemany("INSERT INTO Packages(hnum) VALUES (?)", [(1,), (2,)])
    data = base.serialize()
    base.close()
    try:
        total = sum(len(blob) for blob in _rpm_stores.sqlite_blobs(data))
    except _rpm_stores.BadStore:
        total = 0
    assert total <= len(data) * 2


@pytest.mark.parametrize("data", [SQLITE, NDB, BDB], ids=["sqlite", "ndb", "bdb"])
def test_a_truncated_store_is_an_error_not_fewer_packages(data):
    reader = {SQLITE[:4]: _rpm_stores.sqlite_blobs, NDB[:4]: _rpm_stores.ndb_blobs}.get(
        data[:4], _rpm_stores.bdb_blobs
    )
    tail = 4096  # free pages at the end may be missing without loss
    for end in range(0, len(data) - tail, len(data) // 60):
        with pytest.raises(_rpm_stores.BadStore):
            found = list(reader(data[:end]))
            assert found == BLOBS
            raise _rpm_stores.BadStore("only free pages were cut off")


@pytest.mark.parametrize("data", [SQLITE, NDB, BDB], ids=["sqlite", "ndb", "bdb"])
def test_flipped_bytes_never_raise_anything_else(data):
    reader = {SQLITE[:4]: _rpm_stores.sqlite_blobs, NDB[:4]: _rpm_stores.ndb_blobs}.get(
        data[:4], _rpm_stores.bdb_blobs
    )
    for at in [*range(120), *range(120, len(data), len(data) // 150)]:
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            for blob in reader(bytes(damaged)):
                parsed = _rpm.Header(blob)
                parsed.evr(), parsed.files({b"/x": 1}), parsed.string(_rpm.NAME)
        except (_rpm_stores.BadStore, ValueError):
            continue


def test_an_overflow_loop_ends():
    damaged = bytearray(BDB)
    size = struct.unpack_from("<I", BDB, 20)[0]
    pages = [p for p in range(1, len(BDB) // size) if BDB[p * size + 25] == 7]
    assert pages
    for page in pages:
        struct.pack_into("<I", damaged, page * size + 16, page)
    with pytest.raises(_rpm_stores.BadStore):
        sizes = [len(blob) for blob in _rpm_stores.bdb_blobs(bytes(damaged))]
        assert sum(sizes) <= len(BDB)
        raise _rpm_stores.BadStore("ended by itself")


def test_many_slots_for_one_blob_are_bounded():
    damaged = bytearray(NDB)
    slot = NDB[32:48]
    for at in range(32, 4096, 16):
        damaged[at : at + 16] = slot
    with pytest.raises(_rpm_stores.BadStore, match="larger than the file"):
        list(_rpm_stores.ndb_blobs(bytes(damaged)))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * 8,
        struct.pack(">2I", 0xFFFFFFFF, 0xFFFFFFFF) + b"\0" * 64,
        struct.pack(">2I", 1, 0xFFFFFFF0) + b"\0" * 64,
        struct.pack(">2I", 0x10000, 0) + b"\0" * 0x100000,
    ],
)
def test_headers_whose_counts_do_not_fit_are_refused(blob):
    with pytest.raises(ValueError, match="header"):
        _rpm.Header(blob)


def test_tags_that_lie_give_nothing():
    text = b"name\0"
    lying = _rpm.Header(
        header(
            (_rpm.NAME, 6, 0, 0xFFFFFFFF),
            (_rpm.VERSION, 6, 0xFFFFFF, 1),
            (_rpm.RELEASE, 99, 0, 1),
            (_rpm.BASENAMES, 8, 0, 1_000_000),
            (_rpm.DIRINDEXES, 4, 0, 1_000_000),
            (_rpm.SIZE, 4, 3, 1),
            data=text,
        )
    )
    assert lying.string(_rpm.NAME) == ""
    assert lying.string(_rpm.VERSION) == ""
    assert lying.string(_rpm.RELEASE) == ""
    assert lying.raw_strings(_rpm.BASENAMES) == []
    assert lying.ints(_rpm.DIRINDEXES) == ()
    assert lying.integer(_rpm.SIZE) is None
    assert lying.files({b"/x": 1}) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_a_value_error(data):
    for blob in (data, struct.pack(">2I", len(data) // 32, len(data) // 4) + data):
        try:
            parsed = _rpm.Header(blob)
        except ValueError:
            continue
        parsed.evr()
        parsed.files({b"/x": 1})


def test_one_damaged_header_costs_only_its_own_package():
    base = sqlite3.connect(":memory:")
    base.deserialize(bytes(_rpm_stores.apply_wal(SQLITE, b"")))
    base.execute("UPDATE Packages SET blob = x'00' WHERE hnum = 1")
    base.commit()
    notes = Notes()
    assert len(rows(DictHost({"/var/lib/rpm/rpmdb.sqlite": base.serialize()}), notes)) == 4
    base.close()
    assert "shorter than 8 bytes" in notes.problems[0].what

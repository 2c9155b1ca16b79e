"""What people, backups and package files can say to the server, and what exports make of it."""

from __future__ import annotations

import csv
import io
import json
import lzma
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import fuzzkit
import msgspec
import pytest
from fuzzkit import Target
from hypothesis import given, settings
from hypothesis import strategies as st
from rolloutkit import package

from hauberk.agent import updater_unpack
from hauberk.agent.slots import State
from hauberk.api.export import cell
from hauberk.api.xlsx import Book
from hauberk.errors import BadFilter, BadInput, StorageFull
from hauberk.link.wire import UNDECODABLE
from hauberk.server import archive
from hauberk.server.settings import load
from hauberk.store import filter as filters
from hauberk.store import package_file, query, wrap

FILTERS = [
    b'name = "a" and (uid > 5 or not shell in ("/bin/sh", "x"))',
    b"name ~ web* and size >= 10 and gone = null",
    b'argv contains "--x" or labels.a != "b"',
]
DIGEST = query.digest_of("list", "sort")
PACKAGE = package()
PLAIN = lzma.decompress(PACKAGE)
KEY = wrap.Wrap(bytes(range(32)))


def packed(read: Any) -> Any:
    """Damage within the .xz, not to it alone."""
    return lambda data: read(lzma.compress(data, preset=0))


def manifest(data: bytes) -> None:
    package_file.read_manifest(io.BytesIO(data))


def unpacked(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        (top / "p.tar.xz").write_bytes(data)
        (top / "in").mkdir()
        try:
            updater_unpack.unpack(top / "p.tar.xz", top / "in/slot", room=lambda _size: None)
        finally:
            # Whatever it was: nothing beside what was asked for.
            assert {p.name for p in top.iterdir()} <= {"p.tar.xz", "in"}
            for path in top.rglob("*"):
                assert not path.stat(follow_symlinks=False).st_mode & 0o6000


def backup() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b"
        with archive.create(path) as writer:
            writer.add("manifest.json", b'{"format":1}')
            writer.add("keys/ca.key", b"x" * 300)
            writer.add("state/user/0", msgspec.msgpack.encode([["a", 1]]))
        return path.read_bytes()


def restored(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b"
        path.write_bytes(data)
        archive.check(path)
        for name, size, reader in archive.members(path):
            archive.small(name, size, reader)


def settings_file(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        load({}, config=Path(file.name))


def slots_json(data: bytes) -> None:
    try:
        msgspec.json.decode(data, type=State)
    except UNDECODABLE:
        return


TARGETS = [
    Target("filter", lambda d: filters.parse(d.decode("utf-8", "replace")), FILTERS, (BadFilter,), clean=False),
    Target("cursor", lambda d: query.decode_cursor(d.decode("utf-8", "replace"), DIGEST, (str, int)), [query.encode_cursor(DIGEST, "a", 5).encode()], (BadInput,)),
    Target("package", manifest, [PACKAGE], (BadInput,)),
    Target("package's tar", packed(manifest), [PLAIN], (BadInput,)),
    Target("unpacked package", unpacked, [PACKAGE], (BadInput, StorageFull), clean=False),
    Target("unpacked package's tar", packed(unpacked), [PLAIN], (BadInput, StorageFull), clean=False),
    Target("backup", restored, [backup()], (BadInput,)),
    Target("wrapped key", lambda d: KEY.open("ca.key", d), [KEY.seal("ca.key", b"secret")], (BadInput,)),
    Target("settings", settings_file, [b'[server]\nlisten = "127.0.0.1:1"\nnames = ["a"]\nlease_s = 5.0\n'], (BadInput,)),
    Target("slots.json", slots_json, [b'{"confirmed":"a","highest":5,"slots":{"a":{"version":"1","sequence":5}}}']),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_only_documented_errors(target: Target) -> None:
    fuzzkit.run(target)


EXAMPLES = 3000 if fuzzkit.LONG else 200
GIVEN = settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=not fuzzkit.LONG)
WORDS = st.sampled_from(
    ["and", "or", "not", "in", "(", ")", "=", "!=", "~", ">", "<=", ",", '"a"', "name", "uid", "5"]
)


@GIVEN
@given(st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=200))
def test_a_filter_is_a_tree_or_told(text: str) -> None:
    fuzzkit.once(
        Target("filter", lambda d: filters.parse(d.decode()), [b""], (BadFilter,)),
        text.encode("utf-8", "replace"),
    )


def test_a_deep_filter_is_told() -> None:
    for text in ("(" * 1900 + "a=1" + ")" * 1900, "not " * 900 + "a=1", "a=1 and " * 400 + "a=1"):
        fuzzkit.once(
            Target("deep", lambda d: filters.parse(d.decode()), [b""], (BadFilter,)), text.encode()
        )


CELLS = (
    st.text(max_size=60)
    | st.integers(-(2**63), 2**63)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)


@GIVEN
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_a_workbook_opens_whatever_the_rows_hold(rows: list[list[Any]]) -> None:
    book = Book("Rows", ["a", "b"])
    try:
        book.write(rows)
        book.finish("About", [(str(i), row[0]) for i, row in enumerate(rows)])
        data = b"".join(book.chunks())
    finally:
        book.close()
    with zipfile.ZipFile(io.BytesIO(data)) as archive_:
        assert archive_.testzip() is None
        for name in archive_.namelist():
            assert b"<f>" not in archive_.read(name)  # no formula


@GIVEN
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_a_csv_cell_is_no_formula(values: list[str]) -> None:
    made = [cell(value) for value in values]
    for value in made:
        assert not (isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"))
    out = io.StringIO(newline="")
    csv.writer(out).writerow(made)
    assert json.dumps(made)


def test_the_samples_are_packages() -> None:
    with tarfile.open(fileobj=io.BytesIO(PLAIN)) as tar:
        assert tar.getnames()[0] == "manifest.json"

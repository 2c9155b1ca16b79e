from __future__ import annotations

import base64
from functools import partial

import apikit
import pytest
from sqlalchemy import select

from hauberk.errors import BadFilter, BadInput
from hauberk.store import dialect, query, tables
from hauberk.store.database import read
from hauberk.store.query import Field, Listing


@pytest.fixture
def stack(tmp_path):
    made = apikit.make(tmp_path)
    yield made
    made.close()


ROWS = [("a", 1, 1.5), ("b", None, 2.5), ("c", 1, None), ("d", 3, None), ("e", None, 1.5)]


@pytest.fixture
def listing(stack):
    home = stack.workload("default", "one")
    for key, number, real in ROWS:
        stack.asset("default", home, "x", key, n=number, f=real, tags=["t", key])
    c = tables.asset.c
    fields = {
        "key": Field("str", c.key, nullable=False),
        "n": Field("int", dialect.json_int(c.fields, "n")),
        "f": Field("float", dialect.json_field(c.fields, "f", "float")),
        "tags": Field("list", dialect.json_field(c.fields, "tags", "list")),
    }
    rows = select(tables.asset).where(c.subclass == "x")
    return Listing(rows, fields, c.key, "key", ("test",))


def keys(stack, listing, text="", sort="", limit=2):
    out, cursor = [], None
    while True:
        with read(stack.engine) as db:
            found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
        assert (found.total is None) is (cursor is not None)
        out += [row["key"] for row in found.rows]
        cursor = found.next
        if cursor is None:
            return "".join(out)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", "abcde"),
        ("-key", "edcba"),
        ("n", "beacd"),
        ("-n", "dcaeb"),
        ("f", "cdaeb"),
        ("-f", "beadc"),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_pages_follow_the_sort_with_missing_values_first(stack, listing, sort, order, limit):
    assert keys(stack, listing, sort=sort, limit=limit) == order


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n = 1", "ac"),
        ("n != 1", "bde"),
        ("not n > 1", "abce"),
        ("n is null", "be"),
        ("tags = c", "c"),
        ("tags != c", "abde"),
        ('tags ~ "T B"', "b"),
        ('tags =~ "^t [ae]$"', "ae"),
        ("key in (a, zz, e) and not n = 1", "e"),
        ("n = 1 or f > 2", "abc"),
        ('key =~ "zz"', ""),
    ],
)
def test_filters(stack, listing, text, found):
    assert keys(stack, listing, text=text) == found


def test_text_is_bound_never_pasted(stack, listing):
    assert keys(stack, listing, text="""key = "' OR 1=1 --" """) == ""
    with pytest.raises(BadFilter):
        keys(stack, listing, sort="key; DROP TABLE asset")
    with pytest.raises(BadFilter, match="cannot sort"):
        keys(stack, listing, sort="tags")


def test_cursors_are_bound_to_their_list(stack, listing):
    with read(stack.engine) as db:

        def page(cursor, **other):
            given = {"text": "", "sort": "", "limit": 1} | other
            return query.page(db, listing, cursor=cursor, **given)

        first = page(None).next
        assert page(first).rows[0]["key"] == "b"
        for wrong in ({"sort": "-key"}, {"text": "n = 1"}, {"sort": "n"}):
            with pytest.raises(BadInput, match="another list"):
                page(first, **wrong)
        for broken in ("", "?", "AAAA", first[:-3], first + "A", "é"):
            with pytest.raises(BadInput):
                page(broken)


def test_a_cursor_with_keys_of_another_type_is_refused():
    digest = query.digest_of("a")
    good = query.encode_cursor(digest, 1, "x")
    assert query.decode_cursor(good, digest, (int, str)) == [1, "x"]
    for types in ((str, str), (int, int), (int,), (int, str, str)):
        with pytest.raises(BadInput):
            query.decode_cursor(good, digest, types)
    with pytest.raises(BadInput):
        query.decode_cursor(good, query.digest_of("b"), (int, str))


def test_every_gives_each_row_once(stack, listing):
    found = query.every(partial(read, stack.engine), listing, text="", sort="-n", chunk=2)
    assert sorted(row["key"] for row in found) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**53, str(2**53)),
        (2**53 - 1, 2**53 - 1),
        (-(2**53), str(-(2**53))),
        (True, True),
        ("x", "x"),
    ],
)
def test_plain(value, shown):
    assert query.plain(value) == shown


@pytest.mark.parametrize("value", [2**63, b"\x91" * 2900])
def test_a_cursor_that_no_store_takes_is_refused(value):
    digest = query.digest_of("a")
    if isinstance(value, bytes):
        text = base64.urlsafe_b64encode(value + b"\xc0").decode().rstrip("=")
    else:
        text = query.encode_cursor(digest, value, "x")
    with pytest.raises(BadInput):
        query.decode_cursor(text, digest, (int, str))

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.schema import CreateTable

from hauberk.store import dialect
from hauberk.store.dialect import JsonWords, Words

TABLE = Table("t", MetaData(), Column("k", Words, primary_key=True), Column("f", JsonWords))


def stored(*documents: str) -> Any:
    engine = create_engine("sqlite://")
    TABLE.metadata.create_all(engine)
    db = engine.connect()
    db.execute(insert(TABLE), [{"k": str(n), "f": d} for n, d in enumerate(documents)])
    return db


@pytest.mark.parametrize(
    ("kind", "good", "wanted"),
    [
        ("str", '"x y"', "x y"),
        ("int", "7", 7),
        ("int", "-9223372036854775808", -(2**63)),
        ("float", "1.5", 1.5),
        ("float", "3", 3.0),
        ("bool", "true", True),
        ("bool", "false", False),
        ("list", '["a","b"]', '["a","b"]'),
    ],
)
def test_a_field_is_of_its_kind_or_null(kind: Any, good: str, wanted: object) -> None:
    others = ['"7"', "7", "1.5", "true", '["a"]', "null", "9223372036854775808", '{"a":1}']
    db = stored(f'{{"a":{good}}}', "{}", "null", *(f'{{"a":{o}}}' for o in others))
    found = db.execute(select(dialect.json_field(TABLE.c.f, "a", kind))).scalars().all()
    db.close()
    assert found[0] == wanted
    assert type(found[0]) is type(wanted)
    assert found[1] is found[2] is None
    fit = {
        "str": ['"7"'],
        "int": ["7"],
        "float": ["7", "1.5", "9223372036854775808"],
        "bool": ["true"],
        "list": ['["a"]'],
    }
    assert [o for o, v in zip(others, found[3:], strict=True) if v is not None] == fit[kind]


def test_names_are_the_codes_own() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        dialect.json_text(TABLE.c.f, "a'")


def test_nul_characters_are_kept_in_another_form() -> None:
    assert dialect.storable("a\0b") == "a\U0010ff00b"
    same = "nothing"
    assert dialect.storable(same) is same
    assert dialect.storable_json(r'"a\u0000\u0000b"') == '"a\U0010ff00\U0010ff00b"'
    assert dialect.storable_json(r'"a\\u0000\\\u0000"') == '"a\\\\u0000\\\\\U0010ff00"'
    row = {"a": "x", "n": 1, "l": ["y"]}
    assert dialect.storable_fields(row) is row
    assert dialect.storable_fields({"a": "\0", "l": ["\0", "x"], "n": None}) == {
        "a": dialect.NUL,
        "l": [dialect.NUL, "x"],
        "n": None,
    }


def test_columns_never_take_a_nul_character() -> None:
    db = stored("{}")
    db.execute(insert(TABLE).values(k="a\0", f=r'{"x":"\u0000"}'))
    wanted = ("a\U0010ff00", '{"x":"\U0010ff00"}')
    assert db.execute(select(TABLE).where(TABLE.c.k == "a\0")).one() == wanted
    field = dialect.json_text(TABLE.c.f, "x")
    assert db.execute(select(field).order_by(TABLE.c.k)).scalars().all() == [None, dialect.NUL]
    assert db.execute(select(TABLE.c.k).where(field == dialect.value("\0", "str"))).scalar()
    db.close()


def test_lists_are_joined_and_grouped() -> None:
    db = stored('{"a":["x","y"]}', '{"a":[]}', "{}")
    whole = dialect.joined(dialect.json_field(TABLE.c.f, "a", "list"))
    assert db.execute(select(whole)).scalars().all() == ["x y", "", None]
    assert db.execute(select(dialect.json_group(TABLE.c.k))).scalar() == '["0","1","2"]'
    none = select(dialect.json_group(TABLE.c.k)).where(TABLE.c.k == "no")
    assert db.execute(none).scalar() == "[]"
    item = dialect.json_items(dialect.value('["p","q"]', "list"))
    assert db.execute(select(item.c.value)).scalars().all() == ["p", "q"]
    db.close()


def test_text_is_bytewise_in_postgresql() -> None:
    made = str(CreateTable(TABLE).compile(dialect=psycopg.dialect()))
    assert made.count('TEXT COLLATE "C"') == 2
    assert "COLLATE" not in str(CreateTable(TABLE).compile(dialect=sqlite.dialect()))


def test_containing_knows_ascii_case_only() -> None:
    query = select(dialect.contains(dialect.value("ÄB%", "str"), "b%"))
    compiled = str(query.compile(dialect=sqlite.dialect()))
    assert "instr(lower(" in compiled
    with create_engine("sqlite://").connect() as connection:
        assert connection.execute(query).scalar()
        umlaut = select(dialect.contains(dialect.value("ÄB", "str"), "ä"))
        assert not connection.execute(umlaut).scalar()

from typing import Annotated, ClassVar

import msgspec
import pytest

from hauberk.schema.asset import Asset, column, columns_of
from hauberk.schema.taxonomy import Title


class Thing(Asset, frozen=True, kw_only=True):
    KEY: ClassVar = ("name", "port")
    name: Annotated[str, column("Name", "名称", "what it is")]
    port: Annotated[int, column("Port", "端口")] = 0
    load: Annotated[float | None, column("Load", "负载", wide=True)] = None
    up: Annotated[bool, column("Up", "运行")] = True
    tags: Annotated[list[str], column("Tags", "标签")] = []  # noqa: RUF012 msgspec copies it


def test_columns_come_from_the_declaration():
    columns = columns_of(Thing)
    assert [(c.name, c.kind, c.optional, c.wide) for c in columns] == [
        ("name", "str", False, False),
        ("port", "int", False, False),
        ("load", "float", True, True),
        ("up", "bool", False, False),
        ("tags", "list", False, False),
    ]
    assert columns[0].title == Title("Name", "名称")
    assert columns[0].doc == "what it is"


def test_the_key_does_not_run_together():
    assert Thing(name="a", port=1).key() == "a\x1f1"
    assert Thing(name="a\x1f1", port=1).key() != Thing(name="a", port=11).key()


def test_undeclared_and_unfit_fields_are_named():
    class Bare(msgspec.Struct):
        x: int

    class Odd(msgspec.Struct):
        x: Annotated[dict[str, str], column("X", "X")]

    with pytest.raises(TypeError, match=r"Bare\.x: declare"):
        columns_of(Bare)
    with pytest.raises(TypeError, match=r"Odd\.x"):
        columns_of(Odd)

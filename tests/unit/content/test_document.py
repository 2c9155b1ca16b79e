"""YAML of untrusted origin."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.content.document import MAX_DEPTH, load
from hauberk.errors import BadContent


def test_plain_values_and_their_lines():
    document = load("f.yaml", "a: 1\nb:\n  - x\n  - {c: [true, null, 1.5]}\n'名': 值\n".encode())
    assert document.value == {"a": 1, "b": ["x", {"c": [True, None, 1.5]}], "名": "值"}
    assert document.lines["b", 1, "c"] == 4
    assert document.lines["名",] == 5


def test_an_empty_file_is_none():
    assert load("f", b"").value is None
    assert load("f", b"# only a comment\n").value is None


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (BOMB, 1, "anchors"),
        (b"a: 1\nb: *c\n", 2, "anchors"),
        (b"a: 1\na: 2\n", 2, "twice"),
        (b"x:\n  a: 1\n  b: [\n", 4, "not YAML"),
        (b"a: !!python/object/apply:os.system ['id']\n", 1, "not used here"),
        (b"a: !mine x\n", 1, "not used here"),
        (b"a: 2024-01-01\n", 1, "quote it"),
        (b"a: !!binary aGk=\n", 1, "not used here"),
        (b"? [1, 2]\n: x\n", 1, "plain text"),
        (b"a: 1\n---\nb: 2\n", 2, "single document"),
        (b"\x00", None, "not YAML"),
        (b"a: \xff\xfe\n", None, "not YAML"),
        (b"[" * (MAX_DEPTH + 1), 1, "nested deeper"),
        (b"{a: " * 50_000, 1, "nested deeper"),
        (b"a: " + b"1" * 100_000, None, "not YAML"),
    ],
)
def test_refusals_name_the_line(data, line, message):
    with pytest.raises(BadContent, match=message) as caught:
        load("f.yaml", data)
    assert caught.value.source == "f.yaml"
    assert line is None or caught.value.line == line


def test_size_is_bounded_before_reading():
    with pytest.raises(BadContent, match="at most 10"):
        load("f", b"a: 123456789", max_bytes=10)


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    weight: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    items: list[Inner]
    name: str = ""


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"name: x\nitems:\n  - weight: 1\n  - weight: x\n", 4),
        (b"name: x\nitems:\n  - weight: 1\n  - wait: 2\n", 4),
        (b"items: []\nname: 5\n", 2),
        (b"name: x\n", 1),
        (b"[]", 1),
    ],
)
def test_conversion_errors_name_the_line(data, line):
    with pytest.raises(BadContent) as caught:
        load("f.yaml", data).convert(Outer)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"f.yaml:{line}: ")


def test_conversion():
    assert load("f", b"items: [{weight: 3}]").convert(Outer) == Outer([Inner(3)])


@given(
    st.binary(max_size=200)
    | st.text(alphabet="ab:- \n[]{}&*!#'\"|>?,%@`\t", max_size=60).map(str.encode)
)
def test_any_bytes_are_read_or_refused(data):
    try:
        load("f", data)
    except BadContent:
        return

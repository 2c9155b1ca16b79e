import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hauberk.schema.text import display, from_bytes, to_bytes

AWKWARD = st.lists(
    st.sampled_from(
        [
            b"\xf4\x8f\xbe\x80",
            b"\xf4\x8f\xbf\xbf",
            b"\xf4\x8f",
            b"\xff",
            b"a",
            "é".encode(),
            b"\xf4",
        ]
    ),
    max_size=8,
).map(b"".join)


@given(st.binary(max_size=80) | AWKWARD)
@example(chr(0x10FF80).encode())
@example(b"\xf4\x8f\xbe")
def test_bytes_survive_and_the_text_is_valid_utf8(raw):
    text = from_bytes(raw)
    text.encode("utf-8")
    assert to_bytes(text) == raw


@given(AWKWARD, AWKWARD)
def test_different_bytes_are_different_text(a, b):
    assert (from_bytes(a) == from_bytes(b)) == (a == b)


@given(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x10FEFF)))
def test_ordinary_text_is_itself(text):
    assert from_bytes(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"ls -l", "ls -l"),
        (b"a\xffb", "a\\xffb"),
        (b"a\x1b[0m\n", "a\\x1b[0m\\n"),
        ("你".encode(), "你"),
    ],
)
def test_display_is_safe_on_a_terminal(raw, shown):
    assert display(from_bytes(raw)) == shown
    assert display(from_bytes(raw)).isprintable()

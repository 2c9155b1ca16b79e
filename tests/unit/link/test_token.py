import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.errors import BadWire
from hauberk.link import token


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.binary(max_size=40))
def test_round_trip(url, secret):
    made = token.EnrolToken(url, bytes(32), secret)
    assert token.parse(f"  {made.text()}\n") == made


@pytest.mark.parametrize("text", ["", "hello", "hbk1_", "hbk1_!!!!", "hbk1_AAAA", "hbk2_AAAA"])
def test_damaged_tokens_are_named(text):
    with pytest.raises(BadWire, match="copy it whole"):
        token.parse(text)


@given(st.text(max_size=80))
def test_any_text_gives_only_badwire(text):
    with pytest.raises(BadWire):
        token.parse("hbk1_" + text)

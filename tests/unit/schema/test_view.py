from __future__ import annotations

import msgspec
import pytest

from hauberk.schema import view

VIEWS = [
    kind
    for kind in vars(view).values()
    if isinstance(kind, type) and issubclass(kind, view.View) and kind is not view.View
]


@pytest.mark.parametrize("kind", VIEWS)
def test_views_are_frozen_and_explained(kind):
    assert kind.__struct_config__.frozen
    assert kind.__doc__


@pytest.mark.parametrize("kind", VIEWS)
def test_times_are_ms(kind):
    assert not [name for name in kind.__struct_fields__ if name.endswith("_ns")]


def test_a_page_reads_back():
    page = view.Page(items=[view.PartHealth(name="inbox", ok=True)], next="c", as_of_ms=1)
    raw = msgspec.json.encode(page)
    assert msgspec.json.decode(raw, type=view.Page[view.PartHealth]) == page
    assert b'"total":null' in raw

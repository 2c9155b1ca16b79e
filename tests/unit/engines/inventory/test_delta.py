"""Deltas: what a second look finds, for any two collections."""

from typing import Annotated

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hauberk.engines.inventory.delta import diff, digest
from hauberk.schema.asset import Asset, column


class Row(Asset, frozen=True, kw_only=True):
    KEY = ("name",)
    VOLATILE = frozenset({"cpu"})

    name: Annotated[str, column("Name", "名称")]
    version: Annotated[str, column("Version", "版本")] = ""
    cpu: Annotated[float, column("CPU", "处理器")] = 0.0
    tags: Annotated[list[str], column("Tags", "标签")] = msgspec.field(default_factory=list)


class Plain(Asset, frozen=True, kw_only=True):
    KEY = ("name",)

    name: Annotated[str, column("Name", "名称")]
    other: Annotated[str | None, column("Other", "其他")] = None


def test_first_look_finds_everything_new():
    rows = [Row(name="b"), Row(name="a")]
    delta = diff({}, rows)
    assert delta.upserts == rows
    assert (delta.refreshed, delta.gone) == ([], [])
    assert set(delta.digests) == {"a", "b"}


def test_changed_refreshed_and_gone_are_told_apart():
    before = diff({}, [Row(name=n, version="1") for n in "abcd"]).digests
    now = [
        Row(name="a", version="1"),
        Row(name="b", version="2"),
        Row(name="c", version="1", cpu=5.0),
        Row(name="e"),
    ]
    delta = diff(before, now)
    assert [row.name for row in delta.upserts] == ["b", "e"]
    assert [row.name for row in delta.refreshed] == ["c"]
    assert delta.gone == ["d"]
    assert not delta.empty


def test_a_change_of_both_kinds_is_a_change():
    before = diff({}, [Row(name="a")]).digests
    delta = diff(before, [Row(name="a", version="2", cpu=1.0)])
    assert (len(delta.upserts), len(delta.refreshed)) == (1, 0)


def test_the_first_of_equal_keys_counts():
    delta = diff({}, [Row(name="a", version="1"), Row(name="a", version="2")])
    assert delta.upserts == [Row(name="a", version="1")]


def test_none_and_empty_text_differ():
    assert digest(Plain(name="a")) != digest(Plain(name="a", other=""))


def test_digests_are_stable_over_releases():
    # A change here makes every agent send every row once.
    assert digest(Row(name="a", version="1", cpu=1.5, tags=["x"])).hex() == (
        "93100e843b0b0c6002b4b67d23c0c40cbc39a0cf4e741c61"
    )
    assert digest(Plain(name="a")).hex() == "7e1707973eb704d0469d9aebc83865a6"


ROWS = st.lists(
    st.builds(
        Row,
        name=st.text(max_size=2),
        version=st.text(max_size=3),
        cpu=st.floats(allow_nan=False),
        tags=st.lists(st.text(max_size=2), max_size=2),
    ),
    max_size=8,
    unique_by=lambda row: row.name,
)


@given(ROWS, ROWS)
def test_applying_a_delta_gives_the_second_collection(first, second):
    one = diff({}, first)
    delta = diff(one.digests, second)
    state = {row.key(): row for row in first}
    for row in (*delta.upserts, *delta.refreshed):
        state[row.key()] = row
    for key in delta.gone:
        del state[key]
    assert state == {row.key(): row for row in second}
    assert diff(delta.digests, second).empty
    untouched = {row.key() for row in first if row in second}
    assert not untouched & {row.key() for row in (*delta.upserts, *delta.refreshed)}
    for row in delta.refreshed:
        old = next(r for r in first if r.key() == row.key())
        assert (old.version, old.tags) == (row.version, row.tags)

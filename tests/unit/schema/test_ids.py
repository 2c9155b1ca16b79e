import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.schema import ids


def test_an_agent_is_its_key():
    assert ids.agent_id(bytes(32)) == ids.agent_id(bytes(32))
    assert ids.agent_id(bytes(32)) != ids.agent_id(bytes(31) + b"\1")
    assert len(bytes.fromhex(ids.agent_id(b"k"))) == 16


def test_row_ids_do_not_run_together():
    assert ids.row_id("w", "a.b", "c") != ids.row_id("w", "a", "b.c")
    assert ids.row_id("w", "s", "\udc80") != ids.row_id("w", "s", "?")


@given(st.binary(min_size=16, max_size=16))
def test_uuid_is_version_4(raw):
    made = uuid.UUID(ids.uuid_from(raw))
    assert made.version == 4
    assert made.variant == uuid.RFC_4122
    assert str(made) == ids.uuid_from(raw)


@pytest.mark.parametrize(
    ("name", "ok"),
    [("a", True), ("a-b", True), ("-a", False), ("A", False), ("a" * 64, False), ("", False)],
)
def test_tenant_names(name, ok):
    assert bool(ids.TENANT_NAME.fullmatch(name)) is ok

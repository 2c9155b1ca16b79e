from __future__ import annotations

from hauberk.store import tables_fleet
from hauberk.store.tables import metadata

# Rows of these belong to one agent key or to the server itself; agents carry their tenant.
WITHOUT_TENANT = {"tenant", "agent_instance", "consumer", "job", "lease", "mark", "member"}


def test_both_modules_fill_one_metadata() -> None:
    assert tables_fleet.alarm.name in metadata.tables


def test_every_table_has_a_tenant() -> None:
    for table in metadata.sorted_tables:
        assert ("tenant" in table.c) or table.name in WITHOUT_TENANT, table.name


def test_every_table_has_a_key() -> None:
    assert all(table.primary_key.columns for table in metadata.sorted_tables)

from __future__ import annotations

from hauberk.store import tables_fleet
from hauberk.store.tables import metadata


def test_the_tables_of_a_fleet_belong_to_the_same_metadata() -> None:
    for name in ("lease", "mark", "member", "saved_view", "run", "package", "rollout", "alarm"):
        assert metadata.tables[name] is getattr(tables_fleet, name)

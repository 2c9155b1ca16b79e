from __future__ import annotations

from hauberk.schema import view_overview


def test_what_nothing_assessed_is_none():
    empty = view_overview.Overview(
        workloads=0,
        agents={},
        tiers={},
        assets=[],
        changes_24h=None,
        events_24h=None,
        blind=[],
        roles={},
    )
    assert (empty.risks, empty.incidents) == (None, None)

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=1", 200),
        ("limit=1000", 200),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("limit=x", 400),
        ("since_ms=-1", 400),
        ("since_ms=9223372036853", 200),
        ("since_ms=9223372036855", 400),
        (f"filter={'x' * 4097}", 400),
        (f"workload={'x' * 101}", 400),
        ("limit=1&limit=2", 200),
    ],
)
def test_bounds(stack, query, status):
    with stack.client() as client:
        answer = client.get(f"/api/v1/changes?{query}", headers=stack.token("default", "viewer"))
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["field"] == query.partition("=")[0] or "filter" in query

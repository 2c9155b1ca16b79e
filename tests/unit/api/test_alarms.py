from __future__ import annotations

from sqlalchemy import insert

from hauberk.store.database import write
from hauberk.store.tables_fleet import alarm


def test_alarms_are_listed_and_acknowledged_in_their_tenant(stack):
    home = stack.workload("default", "one")
    with write(stack.engine) as db:
        for n, until in (("a", stack.clock.now), ("b", None)):
            row = {"id": n, "tenant": "default", "workload": home, "agent": f"agent-{home}"}
            row |= {"kind": "file_changed", "what": n, "since_ns": 1, "until_ns": until}
            db.execute(insert(alarm).values(row))
    with stack.client() as client:
        client.headers.update(stack.token("default", "analyst"))
        items = client.get("/api/v1/alarms").json()["items"]
        assert [(a["id"], a["hostname"]) for a in items] == [("b", "web-1"), ("a", "web-1")]
        seen = client.post("/api/v1/alarms/b/acknowledge").json()
        assert (seen["acknowledged_by"], seen["until_ms"]) == ("test-analyst", None)
        assert client.get("/api/v1/agents").json()["items"][0]["alarms"] == 1
        client.headers.update(stack.token("other", "admin"))
        assert client.get("/api/v1/alarms").json()["items"] == []
        assert client.post("/api/v1/alarms/b/acknowledge").status_code == 404
        client.headers.update(stack.token("default", "viewer"))
        assert client.post("/api/v1/alarms/b/acknowledge").status_code == 403

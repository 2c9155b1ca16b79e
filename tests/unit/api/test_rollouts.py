from __future__ import annotations

import msgspec
import pytest
from rolloutkit import package
from sqlalchemy import update

from hauberk.schema.link import PackageState
from hauberk.store import audit
from hauberk.store.database import write
from hauberk.store.tables import agent, workload

BINARY = {"content-type": "application/octet-stream"}


@pytest.fixture
def client(stack):
    stack.workload("default", "one")
    state = msgspec.json.encode(PackageState(state="current", sha256="0" * 64)).decode()
    with write(stack.engine) as db:
        db.execute(update(agent).values(package_state=state))
        db.execute(update(workload).values(facts='{"hostname":"web-1","arch":"x86_64"}'))
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        yield client


def test_a_rollout_from_begin_to_cancel(stack, client):
    sha256 = client.post("/api/v1/packages", content=package(), headers=BINARY).json()["sha256"]
    made = client.post("/api/v1/rollouts", json={"sha256": sha256, "canary": 1, "soak_s": 0})
    assert made.status_code == 201, made.text
    view = made.json()
    assert (view["state"], view["states"], view["version"]) == ("canary", {"waiting": 1}, "1.2.0")
    at = f"/api/v1/rollouts/{view['id']}"
    assert client.get(at).json() == view
    assert client.get("/api/v1/rollouts?filter=state=canary").json()["total"] == 1
    mine = client.get(f"{at}/agents?filter=state=waiting").json()["items"]
    assert [(a["hostname"], a["ring"]) for a in mine] == [("web-1", "canary")]
    assert client.delete(f"/api/v1/packages/{sha256}").status_code == 409
    assert client.post(f"{at}/pause").json()["state"] == "paused"
    assert client.post(f"{at}/resume").json()["state"] == "canary"
    assert client.post(f"{at}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{at}/cancel").status_code == 409
    done = audit.page(stack.engine, "default", 'action ~ "rollout"', None, 9, 0).items
    assert [e.action for e in done[::-1]] == [
        "rollout.create",
        "rollout.pause",
        "rollout.resume",
        "rollout.cancel",
        "rollout.cancel",
    ]


def test_what_cannot_be(client):
    assert client.post("/api/v1/rollouts", json={"sha256": "0" * 64}).status_code == 404
    sha256 = client.post("/api/v1/packages", content=package(), headers=BINARY).json()["sha256"]
    wrong = client.post("/api/v1/rollouts", json={"sha256": sha256, "canary": -1})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "canary")
    for method, path in (("GET", ""), ("GET", "/agents"), ("POST", "/pause")):
        assert client.request(method, f"/api/v1/rollouts/nope{path}").status_code == 404

from __future__ import annotations

import pytest


@pytest.fixture
def client(stack):
    with stack.client() as client:
        client.headers.update(stack.token("default", "admin"))
        yield client


def test_a_run_and_its_tasks(stack, client):
    home = stack.workload("default", "runs-1", hostname="runs-1")
    body = {"kind": "collect", "filter": "hostname = runs-1"}
    made = client.post("/api/v1/runs", json=body)
    assert made.status_code == 201, made.text
    run = made.json()
    assert (run["created_by"], run["states"]) == ("test-admin", {"pending": 1})
    url = f"/api/v1/runs/{run['id']}"
    tasks = client.get(f"{url}/tasks").json()["items"]
    assert [(t["workload"], t["hostname"]) for t in tasks] == [(home, "runs-1")]
    assert client.get(f"{url}/tasks/export?format=json").json() == tasks
    assert client.post(f"/api/v1/tasks/{tasks[0]['id']}/cancel").json()["state"] == "cancelled"
    assert client.get(url).json()["state"] == "done"
    assert run["id"] in client.get("/api/v1/runs").text
    entry = client.get("/api/v1/audit?filter=action=run.create").json()["items"][0]
    assert entry["target"] == run["id"]

"""Runs over the API: thousands of machines, progress, cancelling, what agents answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from litestar.testing import TestClient
from sqlalchemy import insert, select, update

from hauberk import signing
from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Signed, Task, TaskResult
from hauberk.store import tasks
from hauberk.store.database import read, write
from hauberk.store.tables import agent, task, workload

MANY = 5000
KEY = Ed25519PrivateKey.generate().public_key()
RUNS = "/api/v1/runs"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[apikit.Stack]:
    made = apikit.make(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(stack: apikit.Stack) -> Iterator[TestClient[Any]]:
    with stack.client() as client:
        client.headers.update(stack.token("default", "analyst"))
        yield client


def fleet(stack: apikit.Stack, count: int, *, tenant: str = "default") -> None:
    """Machines m00000.. with an agent each."""
    homes = [f"{tenant}-{n:05}" for n in range(count)]
    with write(stack.engine) as db:
        base = {"tenant": tenant, "created_ns": 1}
        rows = [base | {"id": h, "hostname": f"m{n:05}"} for n, h in enumerate(homes)]
        db.execute(insert(workload), rows)
        base = {"tenant": tenant, "public_key": b"k", "enrolled_ns": 1}
        db.execute(insert(agent), [base | {"id": f"agent-{h}", "workload": h} for h in homes])


def beat(stack: apikit.Stack, home: str) -> list[Task]:
    """What the machine's agent is given, its signature checked."""
    with write(stack.engine) as db:
        raw = tasks.pending(db, f"agent-{home}", now_ns=stack.clock.now)
    public = Ed25519PublicKey.from_public_bytes(stack.context.agents.keys.task_public)
    found = []
    for one in raw:
        signed = msgspec.msgpack.decode(one, type=Signed)
        signing.verify(public, "task", signed.body, signed.signature)
        found.append(msgspec.msgpack.decode(signed.body, type=Task))
    return found


def answers(stack: apikit.Stack, home: str, id_: str, outcome: str, message: str = "") -> None:
    result = TaskResult(task=id_, outcome=outcome, message=message, ended_ns=stack.clock.now)  # type: ignore[arg-type]
    peer = Peer("default", home, f"agent-{home}", "serial", KEY)
    tasks.finish(stack.engine, peer, result, now_ns=stack.clock.now)


def test_thousands_of_machines_at_once(stack: apikit.Stack, client: TestClient[Any]) -> None:
    fleet(stack, MANY)
    fleet(stack, 3, tenant="other")
    with write(stack.engine) as db:
        db.execute(update(agent).where(agent.c.id == "agent-default-00007").values(state="revoked"))
    begun = time.monotonic()
    made = client.post(RUNS, json={"kind": "collect", "subclasses": ["access.user"]})
    assert time.monotonic() - begun < 10
    assert made.status_code == 201, made.text
    run = made.json()
    assert (run["state"], run["total"]) == ("running", MANY)
    assert run["states"] == {"pending": MANY - 1, "refused": 1}
    with read(stack.engine) as db:
        homes = list(db.execute(select(task.c.workload).where(task.c.run == run["id"])).scalars())
    assert len(homes) == len(set(homes)) == MANY
    assert all(home.startswith("default-") for home in homes)
    url = f"{RUNS}/{run['id']}/tasks"
    refused = client.get(f"{url}?filter=state=refused").json()["items"]
    assert [(t["hostname"], "no active agent" in t["message"]) for t in refused] == [
        ("m00007", True)
    ]
    order = beat(stack, "default-00003")[0]
    assert (order.kind, order.args) == ("collect", {"subclasses": ["access.user"]})
    begun = time.monotonic()
    cancelled = client.post(f"{RUNS}/{run['id']}/cancel").json()
    assert time.monotonic() - begun < 10
    assert cancelled["states"] == {"cancelled": MANY - 2, "refused": 1, "sent": 1}
    assert (cancelled["state"], cancelled["ended_ms"]) == ("cancelled", None)
    begun = time.monotonic()
    assert client.get(RUNS).json()["total"] == 1
    assert time.monotonic() - begun < 1


def test_a_run_ends_with_its_last_answer(stack: apikit.Stack, client: TestClient[Any]) -> None:
    fleet(stack, 4)
    body = {"kind": "collect", "filter": 'hostname =~ "m0000[0-2]"'}
    run = client.post(RUNS, json=body).json()["id"]
    for number, outcome in enumerate(("done", "failed", "refused")):
        assert client.get(f"{RUNS}/{run}").json()["state"] == "running"
        home = f"default-{number:05}"
        answers(stack, home, beat(stack, home)[0].id, outcome, f"m {number}")
    view = client.get(f"{RUNS}/{run}").json()
    assert (view["state"], view["total"]) == ("done", 3)
    assert view["states"] == {"done": 1, "failed": 1, "refused": 1}
    assert view["ended_ms"] == stack.clock.now // 10**6
    assert beat(stack, "default-00003") == []
    listed = client.get(f"{RUNS}/{run}/tasks?sort=-hostname&limit=2").json()
    assert [t["hostname"] for t in listed["items"]] == ["m00002", "m00001"]
    rest = client.get(f"{RUNS}/{run}/tasks?sort=-hostname&limit=2&cursor={listed['next']}").json()
    assert [(t["hostname"], t["message"]) for t in rest["items"]] == [("m00000", "m 0")]
    gone = client.post(f"{RUNS}/{run}/cancel")
    assert (gone.status_code, gone.json()["code"]) == (409, "conflict")


def test_what_agents_have_is_called_off_by_order(
    stack: apikit.Stack, client: TestClient[Any]
) -> None:
    fleet(stack, 4)
    run = client.post(RUNS, json={"kind": "collect"}).json()["id"]
    given = {n: beat(stack, f"default-{n:05}")[0].id for n in range(3)}
    assert client.post(f"{RUNS}/{run}/cancel").json()["states"] == {"cancelled": 1, "sent": 3}
    again = client.post(f"{RUNS}/{run}/cancel")
    assert again.json()["states"] == {"cancelled": 1, "sent": 3}
    orders = beat(stack, "default-00000")
    assert [o.kind for o in orders] == ["collect", "cancel"]
    assert orders[1].args == {"task": [given[0]], "by": ["test-analyst"]}
    assert orders[1].sequence > orders[0].sequence
    assert beat(stack, "default-00003") == []
    answers(stack, "default-00000", given[0], "failed", "cancelled by test-analyst")
    answers(stack, "default-00000", orders[1].id, "done")
    answers(stack, "default-00001", given[1], "done", "was faster")
    answers(stack, "default-00002", given[2], "failed", "no disk")
    view = client.get(f"{RUNS}/{run}").json()
    assert (view["state"], view["total"]) == ("cancelled", 4)
    assert view["states"] == {"cancelled": 2, "done": 1, "failed": 1}
    assert view["ended_ms"] is not None
    kinds = client.get("/api/v1/workloads/default-00000/tasks").json()["items"]
    assert sorted((t["kind"], t["state"]) for t in kinds) == [
        ("cancel", "done"),
        ("collect", "cancelled"),
    ]


def test_a_revoked_agent_is_not_waited_for(stack: apikit.Stack, client: TestClient[Any]) -> None:
    fleet(stack, 1)
    run = client.post(RUNS, json={"kind": "collect"}).json()["id"]
    beat(stack, "default-00000")
    with write(stack.engine) as db:
        db.execute(update(agent).values(state="revoked"))
    view = client.post(f"{RUNS}/{run}/cancel").json()
    assert view["states"] == {"cancelled": 1}
    assert view["ended_ms"] is not None


def test_one_task_is_cancelled_alone(stack: apikit.Stack, client: TestClient[Any]) -> None:
    fleet(stack, 2)
    run = client.post(RUNS, json={"kind": "collect"}).json()["id"]
    first, second = client.get(f"{RUNS}/{run}/tasks").json()["items"]
    assert client.post(f"/api/v1/tasks/{first['id']}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/api/v1/tasks/{first['id']}/cancel").status_code == 200
    assert client.get(f"{RUNS}/{run}").json()["states"] == {"cancelled": 1, "pending": 1}
    assert [o.id for o in beat(stack, "default-00001")] == [second["id"]]
    for _ in range(2):
        assert client.post(f"/api/v1/tasks/{second['id']}/cancel").json()["state"] == "sent"
    orders = beat(stack, "default-00001")
    assert [o.kind for o in orders] == ["collect", "cancel"]
    assert client.post(f"/api/v1/tasks/{orders[1].id}/cancel").status_code == 409
    answers(stack, "default-00001", second["id"], "done")
    assert client.get(f"{RUNS}/{run}").json()["state"] == "done"
    assert client.post(f"/api/v1/tasks/{second['id']}/cancel").status_code == 409


def test_time_runs_out(stack: apikit.Stack, client: TestClient[Any]) -> None:
    fleet(stack, 2)
    run = client.post(RUNS, json={"kind": "collect", "ttl_s": 60}).json()["id"]
    beat(stack, "default-00000")
    stack.clock.forward(61)
    before = client.get(f"{RUNS}/{run}").json()
    with write(stack.engine) as db:
        assert tasks.expire(db, now_ns=stack.clock.now) == 2
    after = client.get(f"{RUNS}/{run}").json()
    for view in (before, after):
        assert (view["state"], view["states"]) == ("done", {"expired": 2})
        assert view["ended_ms"] is not None
    assert client.get(f"{RUNS}?filter=state=running").json()["items"] == []
    assert client.get(f"{RUNS}?filter=state=done").json()["total"] == 1
    assert client.post(f"{RUNS}/{run}/cancel").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "collect", "filter": "hostname = nobody"}, "filter"),
        ({"kind": "collect", "filter": "hostname ="}, ""),
        ({"kind": "collect", "ttl_s": 1}, "ttl_s"),
        ({"kind": "collect", "subclasses": ["no.such"]}, ""),
        ({"kind": "reload"}, ""),
        ({"kind": "collect", "other": 1}, ""),
    ],
)
def test_wrong_orders_make_nothing(
    stack: apikit.Stack, client: TestClient[Any], body: dict[str, Any], field: str
) -> None:
    fleet(stack, 2)
    answer = client.post(RUNS, json=body)
    assert answer.status_code == 400, answer.text
    assert field in answer.json()["field"]
    assert client.get(RUNS).json()["items"] == []
    with read(stack.engine) as db:
        assert db.execute(select(task.c.id)).first() is None
        assert set(db.execute(select(agent.c.task_sequence)).scalars()) == {0}


def test_readers_hear_of_runs(stack: apikit.Stack, client: TestClient[Any]) -> None:
    fleet(stack, 1)
    heard: list[str] = []

    async def main() -> None:
        async with stack.context.feed.subscribe("default", ["runs"]) as notices:
            made = await asyncio.to_thread(client.post, RUNS, json={"kind": "collect"})
            heard.append((await asyncio.wait_for(anext(notices), 5)).topic)
            await asyncio.to_thread(client.post, f"{RUNS}/{made.json()['id']}/cancel")
            heard.append((await asyncio.wait_for(anext(notices), 5)).topic)

    asyncio.run(main())
    assert heard == ["runs", "runs"]

from __future__ import annotations

import asyncio

import msgspec
from sqlalchemy import select

from hauberk.schema.link import Signed, Task
from hauberk.store.database import read
from hauberk.store.tables import task


def test_a_task_is_signed_for_the_workloads_agent(stack):
    home = stack.workload("default", "one")
    url = f"/api/v1/workloads/{home}/tasks"
    with stack.client() as client:
        client.headers.update(stack.token("default", "analyst"))
        made = client.post(url, json={"kind": "collect", "subclasses": ["access.user"]})
        assert made.status_code == 201
        listed = client.get(url).json()["items"]
    assert listed == [made.json()]
    assert listed[0]["created_by"] == "test-analyst"
    with read(stack.engine) as db:
        raw = db.execute(select(task.c.signed)).scalar_one()
    order = msgspec.msgpack.decode(msgspec.msgpack.decode(raw, type=Signed).body, type=Task)
    assert (order.kind, order.workload, order.agent) == ("collect", home, f"agent-{home}")
    assert order.args == {"subclasses": ["access.user"]}


def test_a_new_task_is_told_to_the_stream(stack):
    home = stack.workload("default", "one")

    async def main():
        async with stack.context.feed.subscribe("default", ["tasks"]) as notices:
            with stack.client() as client:
                client.post(
                    f"/api/v1/workloads/{home}/tasks",
                    json={"kind": "collect"},
                    headers=stack.token("default", "analyst"),
                )
            return await anext(notices)

    notice = asyncio.run(main())
    assert (notice.topic, notice.workload) == ("tasks", home)


def test_a_revoked_agent_gets_no_task(stack):
    home = stack.workload("default", "one")
    stack.context.agents.revoke("default", f"agent-{home}")
    with stack.client() as client:
        answer = client.post(
            f"/api/v1/workloads/{home}/tasks",
            json={"kind": "collect"},
            headers=stack.token("default", "analyst"),
        )
    assert answer.status_code == 404
    assert "no active agent" in answer.json()["message"]

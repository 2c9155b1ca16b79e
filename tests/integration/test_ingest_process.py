"""A real server process: enrol, send, search, beat, task, rotate, stop, kill -9."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from serverkit import Agent, ServerProcess, beat, events, snapshot

from hauberk.assets import software_os_package
from hauberk.errors import HauberkError, Temporary
from hauberk.link.client.enrol import rotate
from hauberk.link.client.transport import GatewayRefused, Transport
from hauberk.schema.link import BeatReply, TaskResult

Package = software_os_package.COLLECTOR.struct
SUBCLASS = "software.os_package"


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    Agent.close_all()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data")
    server.data.mkdir()
    server.start()
    yield server
    server.stop()


def eventually(check, timeout_s: float = 20) -> object:
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.1)


def lake(server: ServerProcess, tenant: str = "default") -> pa.Table:
    return DeltaTable(str(server.folder / "lake" / tenant / "process_activity")).to_pyarrow_table()


def search(server: ServerProcess, query: str = "", tenant: str = "default") -> list[dict]:
    return server.api("GET", f"/events?limit=500{query}", tenant=tenant)["items"]


def test_events_and_assets_reach_the_api(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    assert agent.send(events(7)).duplicate is False
    packages = [Package(manager="dpkg", name=f"p{i}", arch="amd64", version="1") for i in range(3)]
    agent.send(snapshot(SUBCLASS, packages, epoch=5, kind=Package))
    found = eventually(lambda: search(server))
    assert len(found) == 7
    assert found[0]["workload"] == agent.identity.ids.workload
    assert found[0]["hostname"] == "web-1"
    rows = eventually(lambda: server.api("GET", f"/assets/{SUBCLASS}")["items"])
    assert sorted(r["fields"]["name"] for r in rows) == ["p0", "p1", "p2"]


def test_events_and_changes_reach_the_live_stream(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    agent.beat()
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with (
        httpx.Client(transport=transport, base_url="http://local", timeout=60) as client,
        client.stream("GET", "/api/v1/stream?topics=events,changes") as answer,
    ):
        lines = answer.iter_lines()
        next(lines)  # subscribed
        agent.send(events(2, name="seen"))
        packages = [Package(manager="dpkg", name="p", arch="amd64", version="1")]
        agent.send(snapshot(SUBCLASS, packages, epoch=1, kind=Package))
        found: dict[str, dict] = {}
        for line in lines:
            if line.startswith("data: {"):
                notice = json.loads(line.removeprefix("data: "))
                found[notice["topic"]] = notice
            if {"events", "changes"} <= found.keys():
                break
    assert [e["fields"]["name"] for e in found["events"]["events"]] == ["seen", "seen"]
    assert found["events"]["events"][0]["hostname"] == "web-1"
    assert [c["label"] for c in found["changes"]["changes"]] == ["p"]


def test_stop_writes_what_waits(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    for i in range(5):
        agent.send(events(20, first=i * 20))
    assert server.stop() == 0
    assert sorted(lake(server)["pid"].to_pylist()) == list(range(100))
    assert not (server.folder / "run/server.json").exists()


def test_an_open_stream_does_not_hold_up_the_stop(server: ServerProcess) -> None:
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with (
        httpx.Client(transport=transport, base_url="http://local", timeout=30) as client,
        client.stream("GET", "/api/v1/stream?topics=events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines)
        assert server.stop() == 0
        assert list(lines) is not None  # it ends, and is not cut
    assert "CancelledError" not in server.log()


def test_kill_under_load_loses_and_repeats_nothing(server: ServerProcess, tmp_path: Path) -> None:
    agents = [Agent.enrolled(server, tmp_path / str(i)) for i in range(3)]
    acknowledged: list[set[int]] = [set() for _ in agents]
    stop = threading.Event()

    def run(index: int, agent: Agent) -> None:
        number = 0
        while not stop.is_set() or not acknowledged[index]:
            body = agent.seal(events(10, first=index * 1_000_000 + number * 10))
            while True:
                try:
                    agent.transport.batch(body)
                    break
                except Temporary:
                    time.sleep(0.05)
                except HauberkError as error:
                    pytest.fail(str(error))
            acknowledged[index] |= {index * 1_000_000 + number * 10 + i for i in range(10)}
            number += 1

    threads = [threading.Thread(target=run, args=(i, a)) for i, a in enumerate(agents)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(2.2)
        server.kill()
        server.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert server.stop() == 0
    stored = lake(server)["pid"].to_pylist()
    assert len(stored) == len(set(stored))
    assert set(stored) == set().union(*acknowledged)


def test_state_is_applied_once_over_a_kill(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    for epoch in range(1, 6):
        packages = [
            Package(manager="dpkg", name=f"p{i}", arch="amd64", version=str(epoch))
            for i in range(20)
        ]
        agent.send(snapshot(SUBCLASS, packages, epoch=epoch, kind=Package))
        server.kill()
        server.start()
    changes = eventually(
        lambda: len(c := server.api("GET", "/changes?limit=500")["items"]) >= 100 and c
    )
    assert len(changes) == 100
    assert sum(c["kind"] == "added" for c in changes) == 20


def test_rotation_survives_a_lost_answer(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    old = agent.identity
    new = rotate(tmp_path / "a", old, agent.transport)
    agent.send(events(1))  # the old one counts until the new one is used
    fresh = Agent(new, Transport(new), sequence=agent.sequence)
    fresh.send(events(1))
    assert new.ids.agent == old.ids.agent
    with pytest.raises(GatewayRefused) as refused:
        eventually(lambda: agent.transport.beat(beat()) and False)
    assert refused.value.refusal.code == "enrol"


def test_task_and_desired_state(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    home = agent.identity.ids.workload
    agent.beat()
    made = server.api("POST", f"/workloads/{home}/tasks", {"kind": "collect", "ttl_s": 60})
    reply = agent.beat()
    assert isinstance(reply, BeatReply)
    assert len(reply.tasks) == 1
    agent.transport.result(TaskResult(task=made["id"], outcome="done", ended_ns=1))
    agent.transport.result(TaskResult(task=made["id"], outcome="failed", ended_ns=2))
    assert agent.beat().tasks == []
    wish = {"version": 0, "schedule": {"every_s": {SUBCLASS: 60}}, "budget": {}}
    server.api("PUT", f"/workloads/{home}/desired", wish)
    assert agent.beat().desired is not None
    assert agent.beat(desired_version=1).desired is None


def test_port_taken_is_said_clearly(server: ServerProcess, tmp_path: Path) -> None:
    second = ServerProcess(tmp_path / "other", listen=server.listen)
    second.data.mkdir()
    second.start(wait=False)
    assert second.process.wait(30) != 0
    assert "cannot be used (Address already in use)" in second.log()
    assert "--listen" in second.log()


def test_second_server_on_one_folder_is_refused(server: ServerProcess) -> None:
    second = ServerProcess(server.data)
    second.start(wait=False)
    assert second.process.wait(30) != 0
    assert "a server runs on this folder already" in server.log()


def test_two_tenants_with_the_same_names_do_not_mix(server: ServerProcess, tmp_path: Path) -> None:
    server.api("POST", "/tenants", {"id": "other", "title": "Other"})
    one = Agent.enrolled(server, tmp_path / "a")
    two = Agent.enrolled(server, tmp_path / "b", tenant="other")
    for agent, name in ((one, "mine"), (two, "theirs")):
        agent.send(events(3, name=name))
        packages = [Package(manager="dpkg", name="same", arch="amd64", version=name)]
        agent.send(snapshot(SUBCLASS, packages, epoch=1, kind=Package))
    for tenant, name in (("default", "mine"), ("other", "theirs")):
        found = eventually(lambda t=tenant: search(server, tenant=t))
        assert {e["fields"]["name"] for e in found} == {name}
        rows = eventually(
            lambda t=tenant: server.api("GET", f"/assets/{SUBCLASS}", tenant=t)["items"]
        )
        assert [r["fields"]["version"] for r in rows] == [name]
        assert set(lake(server, tenant)["name"].to_pylist()) == {name}

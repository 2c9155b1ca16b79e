"""A whole server whose state is PostgreSQL's, which crashes and comes back under it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import postgres
from serverkit import Agent, ServerProcess, events, snapshot
from storekit import eventually

from hauberk.assets import software_os_package
from hauberk.errors import Temporary

Package = software_os_package.COLLECTOR.struct
SUBCLASS = "software.os_package"


def status(server: ServerProcess, path: str) -> tuple[int, str]:
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with httpx.Client(transport=transport, base_url="http://local", timeout=30) as client:
        answer = client.get(f"/api/v1{path}", headers={"X-Hauberk-Tenant": "default"})
        return answer.status_code, answer.headers.get("Retry-After", "")


def test_a_server_survives_its_database(
    postgres_server: postgres.Postgres, postgres_state: Callable[[], str], tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "data", env={"HAUBERK_DATABASE": postgres_state()})
    server.data.mkdir()
    server.start()
    try:
        agent = Agent.enrolled(server, tmp_path / "agent")
        agent.send(events(5))
        agent.beat()
        postgres_server.stop(immediate=True)
        try:
            assert status(server, "/workloads") == (503, "2")
            try:
                agent.beat()
            except Temporary as error:
                told = error.retry_after
            # Batches go into the inbox meanwhile.
            agent.send(events(5))
            found = [Package(manager="dpkg", name=n, arch="amd64", version="1") for n in "abc"]
            agent.send(snapshot(SUBCLASS, found, epoch=1, kind=Package))
        finally:
            postgres_server.start()
        assert told > 0
        assert eventually(lambda: status(server, "/workloads")[0] == 200)
        agent.send(events(5))
        agent.beat()
        names = eventually(
            lambda: [r["fields"]["name"] for r in _items(server, f"/assets/{SUBCLASS}")], 30
        )
        assert names == ["a", "b", "c"]
        assert eventually(lambda: len(_items(server, "/events?limit=100")) == 15, 30)
        time.sleep(0.2)
        assert len(_items(server, "/events?limit=100")) == 15
        assert (server.folder / "state.db").exists() is False
        log = server.log()
        assert "state database: " in log
    finally:
        code = server.stop()
        Agent.close_all()
    assert code == 0


def _items(server: ServerProcess, path: str) -> list[dict]:
    answer = server.api("GET", path)
    assert isinstance(answer, dict)
    return answer["items"]

"""A package over real TLS: from the API into the agent that wants it, and to a bare machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
import rolloutkit
from serverkit import Agent, ServerProcess
from storekit import eventually

from hauberk.link.client.transport import GatewayRefused
from hauberk.schema.link import BeatReply, Desired, Package, PackageState, Signed

PACKAGE = rolloutkit.package(
    "3.0.0",
    30,
    files={"bin/hauberk": b"#!/bin/sh\necho enrolled $2 $3\n", "lib": os.urandom(9_000_000)},
)
SHA256 = hashlib.sha256(PACKAGE).hexdigest()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path_factory.mktemp("data"))
    made.start()
    yield made
    Agent.close_all()
    made.stop()


def upload(server: ServerProcess, raw: bytes) -> httpx.Response:
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with httpx.Client(transport=transport, base_url="http://local", timeout=60) as client:
        kind = {"content-type": "application/octet-stream"}
        return client.post("/api/v1/packages", content=raw, headers=kind)


def test_from_the_api_to_the_agents_that_want_it(server: ServerProcess, tmp_path: Path) -> None:
    made = upload(server, PACKAGE)
    assert (made.status_code, made.json()["sha256"]) == (201, SHA256)
    agents = [Agent.enrolled(server, tmp_path / str(i)) for i in range(2)]
    state = PackageState(state="current", version="1", sequence=1, sha256="0" * 64)
    versions = [0, 0]

    def beat(i: int) -> Package | None:
        reply = agents[i].beat(
            f"i-{i}", package=state, desired_version=versions[i], facts=rolloutkit.FACTS
        )
        assert isinstance(reply, BeatReply)
        if reply.desired is None:
            return None
        body = msgspec.msgpack.decode(reply.desired, type=Signed).body
        desired = msgspec.msgpack.decode(body, type=Desired)
        versions[i] = desired.version
        assert len(desired.release_key) == 32
        signed = msgspec.msgpack.decode(desired.package, type=Signed)
        return msgspec.msgpack.decode(signed.body, type=Package)

    for i in range(2):
        beat(i)
    with pytest.raises(GatewayRefused, match="no such package"):
        agents[0].transport.package(SHA256, 0, 1000)
    wish = {"sha256": SHA256, "canary": 1, "filter": f'id = "{agents[0].identity.ids.agent}"'}
    server.api("POST", "/rollouts", wish)

    def slowly() -> Package | None:
        time.sleep(0.5)  # the gateway has a limit of beats
        return beat(0)

    wanted = eventually(slowly, timeout_s=15)
    assert (wanted.sha256, wanted.size) == (SHA256, len(PACKAGE))
    got = bytearray()
    while len(got) < wanted.size:
        left = min(1024 * 1024, wanted.size - len(got))
        got += agents[0].transport.package(SHA256, len(got), left)
    assert hashlib.sha256(got).hexdigest() == SHA256
    with pytest.raises(GatewayRefused, match="bytes only"):
        agents[0].transport.package(SHA256, wanted.size, 10)
    with pytest.raises(GatewayRefused):
        agents[1].transport.package(SHA256, 0, 1000)


def test_a_bare_machine_installs_with_one_line(server: ServerProcess, tmp_path: Path) -> None:
    upload(server, PACKAGE)
    made = server.api("POST", "/enrolments", {})
    assert isinstance(made, dict)
    done = subprocess.run(
        ["/bin/sh", "-c", made["install"].replace("./bin/hauberk", "sh bin/hauberk")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("enrolled https://127.0.0.1")
    assert list(tmp_path.iterdir()) == []
    with httpx.Client(verify=False, base_url=f"https://{server.gateway}") as stranger:
        assert stranger.get(f"/v1/install/{'0' * 64}").status_code == 404
        assert stranger.get("/v1/install/").status_code == 400
        assert stranger.get(f"/v1/package/{SHA256}").status_code == 401
        assert stranger.post(f"/v1/install/{SHA256}").status_code == 404
        part = stranger.get(f"/v1/install/{SHA256}", headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, PACKAGE[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(PACKAGE)}"

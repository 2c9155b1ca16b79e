"""One command, as a user runs it: `hauberk up` with server, console and agents, until `down`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from serverkit import free_port

from hauberk.cli._client import Client
from hauberk.schema.text import to_bytes
from hauberk.schema.view import (
    AgentView,
    DesiredInput,
    EnrolmentInput,
    EnrolmentView,
    EventRow,
    SystemView,
    TaskInput,
    TaskView,
    WorkloadDetail,
)
from hauberk.schema.view_overview import Overview

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the agent sees everything as root"),
]
HAUBERK = [sys.executable, "-m", "hauberk.cli.main"]
NETNS, HOST_IP, GUEST_IP = "hbk-up-test", "10.213.77.1", "10.213.77.2"


class Product:
    """A Hauberk in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder
        self.listen = f"127.0.0.1:{free_port()}"
        self.port = free_port()
        self.env = {
            **os.environ,
            "HAUBERK_DATA": str(folder),
            "HAUBERK_CONFIG": os.devnull,
            "HAUBERK_GATEWAY_URL": f"https://{HOST_IP}:{self.port}",
        }

    def run(self, *argv: str, data: Path | None = None, prefix=()) -> subprocess.CompletedProcess:
        env = self.env | ({"HAUBERK_DATA": str(data)} if data else {})
        return subprocess.run(
            [*prefix, *HAUBERK, *argv], env=env, capture_output=True, text=True, check=False
        )

    def up(self) -> str:
        done = self.run("up", "--listen", self.listen, "--gateway", f"0.0.0.0:{self.port}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pid(self, role: str) -> int:
        name = "agent/agent.pid" if role == "agent" else "server/run/server.pid"
        return int((self.data / name).read_text().split()[0])

    @property
    def client(self) -> Client:
        return Client(self.data)

    def launches(self, word: str) -> list[str]:
        """Second arguments of `true WORD NUMBER` as the server has them."""
        wanted = f'argv ~ "{word}" and activity_id = 1'
        found = self.client.pages("/events", EventRow, table="process_activity", filter=wanted)
        return [e.fields["argv"][2] for e in found if e.fields["argv"][1:2] == [word]]


def until(what, *, seconds: float = 60):
    """Poll until `what()` is true; its last value."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def network():
    """A network namespace with one cable to this machine."""

    def ip(*argv: str, check: bool = True) -> None:
        subprocess.run(["ip", *argv], check=check, capture_output=True)

    ip("netns", "del", NETNS, check=False)
    ip("link", "del", "hbk-up-0", check=False)
    ip("netns", "add", NETNS)
    ip("link", "add", "hbk-up-0", "type", "veth", "peer", "name", "hbk-up-1", "netns", NETNS)
    ip("addr", "add", f"{HOST_IP}/30", "dev", "hbk-up-0")
    ip("link", "set", "hbk-up-0", "up")
    ip("-n", NETNS, "addr", "add", f"{GUEST_IP}/30", "dev", "hbk-up-1")
    ip("-n", NETNS, "link", "set", "hbk-up-1", "up")
    ip("-n", NETNS, "link", "set", "lo", "up")
    yield ["nsenter", f"--net=/run/netns/{NETNS}"]
    ip("netns", "del", NETNS)
    ip("link", "del", "hbk-up-0", check=False)


@pytest.fixture(scope="module")
def product(network):
    # Not below pytest's own folder: the server's user may not look into that.
    folder = Path(tempfile.mkdtemp(prefix="hauberk-up-", dir="/var/tmp"))
    folder.chmod(0o755)
    made = Product(folder)
    made.first = made.up()
    yield made
    made.run("down")
    shutil.rmtree(folder)


def test_up_prints_address_password_fingerprint_and_inventory(product):
    assert f"ready: https://{product.listen}" in product.first
    assert re.search(r"admin, password: \S{12,}", product.first)
    assert re.search(
        r"first inventory: \d{3,} assets of \d\d subclasses, sensor tier", product.first
    )
    system = product.client.get("/system", SystemView)
    assert system.certificate_sha256 in product.first
    # Shown once: nothing on disk holds it.
    password = re.search(r"password: (\S+)", product.first)[1].encode()
    for path in product.data.rglob("*"):
        if path.is_file():
            assert password not in path.read_bytes(), path


def test_the_server_is_unprivileged(product):
    status = Path(f"/proc/{product.pid('server')}/status").read_text()
    assert re.search(r"^Uid:\t(\d+)", status, re.MULTILINE)[1] != "0"
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert product.client.get("/system", SystemView).unprivileged


def test_a_person_signs_in_over_tls_with_the_ca_checked(product, tmp_path):
    ca = tmp_path / "ca.pem"
    gateway = f"https://127.0.0.1:{product.port}/v1/ca"
    with httpx.Client(verify=False) as http:  # as enrolment does before it compares fingerprints
        ca.write_bytes(http.get(gateway).content)
    password = re.search(r"password: (\S+)", product.first)[1]
    with httpx.Client(
        base_url=f"https://{product.listen}", verify=ssl.create_default_context(cafile=str(ca))
    ) as http:
        answer = http.post("/api/v1/session", json={"name": "admin", "password": password})
        assert answer.status_code in (200, 201)
        assert http.get("/api/v1/overview").json()["workloads"] == 1
        wrong = http.post("/api/v1/session", json={"name": "admin", "password": "no"})
        assert wrong.status_code == 401


def test_an_event_reaches_the_server_whole(product):
    raw = [b"/bin/true", b"up-event", b"7", "汉字".encode(), b"\xff\xfe", b"a b"]
    subprocess.run(raw, check=True)
    assert until(lambda: product.launches("up-event"), seconds=20) == ["7"]
    found = list(
        product.client.pages(
            "/events",
            EventRow,
            table="process_activity",
            filter='argv ~ "up-event" and activity_id = 1',
        )
    )
    argv = found[0].fields["argv"]
    assert argv[3] == "汉字"
    assert argv[5] == "a b"
    assert [to_bytes(a) for a in argv] == raw


def test_collect_now_is_done_and_desired_state_is_taken(product):
    client = product.client
    home = next(iter(client.pages("/agents", AgentView))).workload
    order = TaskInput(kind="collect", subclasses=["os.release"])
    made = client.send("POST", f"/workloads/{home}/tasks", TaskView, order)

    def done():
        tasks = client.pages(f"/workloads/{home}/tasks", TaskView)
        return next((t for t in tasks if t.id == made.id and t.state == "done"), None)

    assert until(done, seconds=40)
    detail = client.get(f"/workloads/{home}", WorkloadDetail)
    every = {"schedule": {"every_s": {"os.release": 77}}, "budget": {}}
    wish = msgspec.convert({"version": detail.desired_version, **every}, DesiredInput)
    client.send("PUT", f"/workloads/{home}/desired", WorkloadDetail, wish)

    def taken():
        agents = client.get(f"/workloads/{home}", WorkloadDetail).workload.agents
        return any(a.acknowledged_version == detail.desired_version + 1 for a in agents)

    assert until(taken, seconds=40)


def test_doctor_and_assets(product):
    done = product.run("doctor", "-o", "json")
    assert done.returncode == 0, done.stdout
    verdicts = {f["part"]: f["verdict"] for f in json.loads(done.stdout)}
    assert verdicts["privilege"] == "ok"
    assert verdicts["risks"] != "ok"
    classes = json.loads(product.run("assets", "-o", "json").stdout)
    subs = {s["id"]: s for c in classes for s in c["subclasses"]}
    assert len(subs) == 38
    assert subs["software.os_package"]["rows"] > 50
    assert sum(s["workloads"] > 0 for s in subs.values()) >= 24


def test_a_second_agent_from_its_own_network_and_its_revocation(product, network):
    client = product.client
    made = client.send("POST", "/enrolments", EnrolmentView, EnrolmentInput(note="second"))
    other = product.data / "second"
    done = product.run("enroll", "--token", made.token, data=other, prefix=network)
    assert done.returncode == 0, done.stderr
    again = product.run(
        "enroll", "--token", made.token, data=product.data / "third", prefix=network
    )
    assert again.returncode == 3
    log = (product.data / "log/second.log").open("wb")
    with log:
        process = subprocess.Popen(
            [*network, *HAUBERK, "agent"],
            env=product.env | {"HAUBERK_DATA": str(other)},
            stdout=log,
            stderr=log,
        )
    try:
        agents = until(
            lambda: (
                [a for a in client.pages("/agents", AgentView) if a.state == "online"][1:]
                and list(client.pages("/agents", AgentView))
            )
        )
        assert len({a.workload for a in agents}) == 2
        second = next(a for a in agents if a.id in done.stdout)
        looked = until(
            lambda: client.get(f"/workloads/{second.workload}", WorkloadDetail).collections
        )
        assert looked
        assert client.get("/overview", Overview).workloads == 2
        revoked = product.run("agents", "revoke", second.id)
        assert revoked.returncode == 0
        beat = next(a for a in client.pages("/agents", AgentView) if a.id == second.id).last_beat_ms
        time.sleep(7)
        after = next(a for a in client.pages("/agents", AgentView) if a.id == second.id)
        assert after.state == "revoked"
        assert after.last_beat_ms == beat
        gone = product.run("uninstall", data=other)
        assert gone.returncode == 0, gone.stderr
        process.wait(20)
        assert not (other / "agent/identity").exists()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_kill_9_of_the_server_loses_and_repeats_nothing(product):
    total = 600
    for number in range(total):
        subprocess.run(["/bin/true", "kill-server", str(number)], check=True)
        if number == total // 2:
            pid = product.pid("server")
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not Path(f"/proc/{pid}").exists())
    product.up()
    want = sorted(str(n) for n in range(total))
    until(lambda: len(product.launches("kill-server")) >= total, seconds=90)
    time.sleep(5)
    assert sorted(product.launches("kill-server")) == want


def test_kill_9_of_the_agent_repeats_nothing_and_goes_on(product):
    total = 300
    for number in range(total):
        subprocess.run(["/bin/true", "kill-agent", str(number)], check=True)
        if number == total // 2:
            pid = product.pid("agent")
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not Path(f"/proc/{pid}").exists())
            product.up()
    last = str(total - 1)
    until(lambda: last in product.launches("kill-agent"), seconds=90)
    found = product.launches("kill-agent")
    assert len(found) == len(set(found))
    # What came after the new start is whole; before it only what the dead agent still held is gone.
    assert {str(n) for n in range(total // 2 + 1, total)} <= set(found)


def test_down_and_up_again_keeps_everything_and_prints_no_password(product):
    stopped = product.run("down")
    assert "agent stopped" in stopped.stdout
    assert "server stopped" in stopped.stdout
    assert not (product.data / "server/run/api.sock").exists()
    again = product.up()
    assert "password" not in again
    assert product.launches("up-event") == ["7"]

"""Staged upgrades on the real API and stores: agents are played by hand, their beats are real."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apikit
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rolloutkit import FACTS, Machine, package
from storekit import serial_of

from hauberk.link.client.identity import csr
from hauberk.schema.link import EnrolRequest
from hauberk.store import audit
from hauberk.store.database import write
from hauberk.store.rollout_job import Follower

BINARY = {"content-type": "application/octet-stream"}


class Fleet:
    """A server's API, its rollout job, and machines of two tenants."""

    def __init__(self, stack: apikit.Stack, client: httpx.Client) -> None:
        self.stack, self.client = stack, client
        self.machines: dict[str, list[Machine]] = {"default": [], "other": []}
        self.heard: list[str] = []
        self.restart()

    def restart(self) -> None:
        """What the job knows is in the state alone."""
        self.job = Follower(self.stack.engine, self.stack.clock, self.heard.append)

    def join(self, tenant: str, count: int) -> list[Machine]:
        with write(self.stack.engine):
            self._join(tenant, count)
        return self.machines[tenant]

    def _join(self, tenant: str, count: int) -> None:
        agents = self.stack.context.agents
        for _ in range(count):
            token = agents.invite(tenant, url="https://127.0.0.1:1", created_by="t")[1]
            wish = csr(Ed25519PrivateKey.generate())
            reply = agents.enrol(EnrolRequest(token=token, csr=wish, facts=FACTS, version="1"))
            peer = agents.peer(reply.agent, serial_of(reply.certificate))
            machine = Machine(agents, peer)
            machine.instance = secrets.token_hex(4)
            machine.beat()
            self.machines[tenant].append(machine)

    def api(self, method: str, path: str, *, tenant: str = "default", **more: Any) -> Any:
        headers = self.stack.token(tenant, "admin") | more.pop("headers", {})
        answer = self.client.request(method, f"/api/v1{path}", headers=headers, **more)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def add(self, raw: bytes, tenant: str = "default") -> str:
        made = self.api("POST", "/packages", content=raw, headers=BINARY, tenant=tenant)
        return str(made["sha256"])

    def begin(self, sha256: str, tenant: str = "default", **more: Any) -> str:
        wish = {"sha256": sha256, "canary": 2, "soak_s": 60} | more
        return str(self.api("POST", "/rollouts", json=wish, tenant=tenant)["id"])

    def step(self, seconds: float = 5, *, tenant: str = "default") -> None:
        """The job runs, time passes, all of a tenant's machines beat."""
        self.job.step()
        self.stack.clock.forward(seconds)
        for machine in self.machines[tenant]:
            machine.beat()

    def view(self, rollout: str, tenant: str = "default") -> Any:
        return self.api("GET", f"/rollouts/{rollout}", tenant=tenant)

    def offered(self, tenant: str = "default") -> list[Machine]:
        return [m for m in self.machines[tenant] if m.wanted]

    def upgrade(self, machines: list[Machine]) -> None:
        """They fetch it, try it, keep it."""
        for state in ("fetching", "trial", "current"):
            for machine in machines:
                machine.says(state)
        self.job.step()
        self.step()
        self.job.step()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    stack = apikit.make(tmp_path)
    with stack.client() as client:
        yield Fleet(stack, client)
    stack.close()


def test_canary_first_then_all(fleet: Fleet) -> None:
    fleet.join("default", 6)
    sha256 = fleet.add(package())
    rollout = fleet.begin(sha256)
    fleet.step()
    first = fleet.offered()
    assert len(first) == 2
    assert all(m.wanted and m.wanted.sha256 == sha256 for m in first)
    fleet.upgrade(first)
    assert fleet.view(rollout)["states"] == {"healthy": 2, "waiting": 4}
    fleet.step(50)
    fleet.step()
    assert len(fleet.offered()) == 2  # it soaks
    fleet.step(10)
    fleet.step()
    assert fleet.view(rollout)["state"] == "all"
    assert len(fleet.offered()) == 6
    fleet.upgrade([m for m in fleet.offered() if m not in first])
    done = fleet.view(rollout)
    assert (done["state"], done["states"]) == ("done", {"healthy": 6})
    assert done["ended_ms"] is not None
    assert fleet.api("GET", "/packages")["items"][0]["agents"] == 6
    actions = [e.action for e in audit.page(fleet.stack.engine, "default", "", None, 5, 0).items]
    assert actions[:2] == ["rollout.done", "rollout.next"]
    assert set(fleet.heard) == {"default"}


def test_one_beat_of_current_is_not_yet_healthy(fleet: Fleet) -> None:
    (machine,) = fleet.join("default", 1)
    rollout = fleet.begin(fleet.add(package()), canary=1, soak_s=0)
    fleet.step()
    machine.says("current")
    fleet.job.step()
    fleet.job.step()
    assert fleet.view(rollout)["states"] == {"trial": 1}
    fleet.step()
    fleet.job.step()
    assert fleet.view(rollout)["states"] == {"healthy": 1}


def test_failures_halt_and_nobody_else_is_offered_it(fleet: Fleet) -> None:
    fleet.join("default", 5)
    sha256 = fleet.add(package())
    rollout = fleet.begin(sha256)
    fleet.step()
    good, bad = fleet.offered()
    good.says("trial")
    bad.says("trial")
    bad.says("rolled_back", "crashed 3 times")
    bad.state = bad.state
    fleet.step()
    fleet.step()
    view = fleet.view(rollout)
    assert (view["state"], view["message"]) == (
        "halted",
        "1 of 2 canary agents failed or rolled back",
    )
    rows = fleet.api("GET", f"/rollouts/{rollout}/agents?filter=state=rolled_back")["items"]
    assert [(r["agent"], r["message"]) for r in rows] == [(bad.peer.agent, "crashed 3 times")]
    fleet.step(3600)
    assert fleet.view(rollout)["states"] == {"trial": 1, "rolled_back": 1, "skipped": 3}
    assert set(fleet.offered()) == {good, bad}
    fleet.api("DELETE", f"/packages/{sha256}")


def test_a_canary_that_falls_back_while_it_soaks_halts(fleet: Fleet) -> None:
    fleet.join("default", 3)
    rollout = fleet.begin(fleet.add(package()), canary=1)
    fleet.step()
    (first,) = fleet.offered()
    fleet.upgrade([first])
    fleet.step(30)
    first.state = type(first.state)(
        state="rolled_back", sha256="0" * 64, wanted=first.wanted.sha256, message="late crash"
    )
    fleet.step(30)
    fleet.step(30)
    assert fleet.view(rollout)["state"] == "halted"
    assert len(fleet.offered()) == 1


def test_a_silent_canary_holds_the_others_back(fleet: Fleet) -> None:
    fleet.join("default", 3)
    rollout = fleet.begin(fleet.add(package()), canary=1)
    fleet.step()
    (first,) = fleet.offered()
    fleet.upgrade([first])
    fleet.machines["default"].remove(first)
    for _ in range(20):
        fleet.step(60)
    assert fleet.view(rollout)["state"] == "canary"
    fleet.machines["default"].append(first)
    fleet.step()
    fleet.step()
    assert fleet.view(rollout)["state"] == "all"


def test_offline_agents_get_it_when_they_come(fleet: Fleet) -> None:
    online, offline = fleet.join("default", 2)
    fleet.machines["default"] = [online]
    fleet.stack.clock.forward(600)
    online.beat()
    rollout = fleet.begin(fleet.add(package()), canary=5, soak_s=0)
    fleet.step()
    assert fleet.offered() == [online]
    fleet.upgrade([online])
    for _ in range(5):
        fleet.step(86_400 / 4)
    view = fleet.view(rollout)
    assert (view["state"], view["states"]) == ("all", {"healthy": 1, "waiting": 1})
    fleet.machines["default"].append(offline)
    offline.beat()
    assert offline.wanted is None
    fleet.step()
    assert offline.wanted is not None
    fleet.upgrade([offline])
    fleet.step()
    assert fleet.view(rollout)["state"] == "done"


def test_pause_resume_and_cancel(fleet: Fleet) -> None:
    fleet.join("default", 4)
    rollout = fleet.begin(fleet.add(package()), canary=1, soak_s=0)
    fleet.api("POST", f"/rollouts/{rollout}/pause")
    fleet.step()
    assert fleet.offered() == []
    fleet.api("POST", f"/rollouts/{rollout}/resume")
    fleet.step()
    (first,) = fleet.offered()
    fleet.upgrade([first])
    fleet.step()
    fleet.step()
    assert len(fleet.offered()) == 4
    started = next(m for m in fleet.offered() if m is not first)
    started.says("trial")
    fleet.job.step()
    fleet.api("POST", f"/rollouts/{rollout}/cancel")
    fleet.step()
    assert fleet.view(rollout)["states"] == {"healthy": 1, "trial": 1, "skipped": 2}
    assert set(fleet.offered()) == {first, started}
    again = fleet.begin(fleet.add(package("1.3.0", 13)), canary=0)
    fleet.step()
    assert fleet.view(again)["states"]["offered"] == 4


def test_the_job_goes_on_where_another_one_ended(fleet: Fleet) -> None:
    fleet.join("default", 5)
    rollout = fleet.begin(fleet.add(package()), canary=2, soak_s=20)
    offers: dict[str, int] = {}
    for _ in range(12):
        fleet.restart()
        before = {m.peer.agent: m.version for m in fleet.machines["default"]}
        fleet.step()
        for machine in fleet.machines["default"]:
            if machine.version != before[machine.peer.agent]:
                offers[machine.peer.agent] = offers.get(machine.peer.agent, 0) + 1
        for machine in fleet.offered():
            if machine.state.sha256 != machine.wanted.sha256:
                machine.says("current")
        fleet.restart()
        fleet.job.step()
    assert fleet.view(rollout)["states"] == {"healthy": 5}
    assert fleet.view(rollout)["state"] == "done"
    assert set(offers.values()) == {1}


def test_two_tenants_with_the_same_package_and_names(fleet: Fleet) -> None:
    for tenant in ("default", "other"):
        fleet.join(tenant, 2)
    raw = package()
    sha256 = fleet.add(raw)
    assert fleet.add(raw, "other") == sha256
    rollout = fleet.begin(sha256, canary=1, soak_s=0)
    for _ in range(3):
        fleet.step()
    fleet.step(tenant="other")
    assert len(fleet.offered()) == 1
    assert fleet.offered("other") == []
    theirs = fleet.begin(sha256, "other", canary=2, soak_s=0)
    for path in ("", "/agents"):
        headers = fleet.stack.token("other", "admin")
        answer = fleet.client.get(f"/api/v1/rollouts/{rollout}{path}", headers=headers)
        assert answer.status_code == 404
    headers = fleet.stack.token("other", "admin")
    answer = fleet.client.post(f"/api/v1/rollouts/{rollout}/cancel", headers=headers)
    assert answer.status_code == 404
    fleet.step(tenant="other")
    assert len(fleet.offered("other")) == 2
    fleet.api("POST", f"/rollouts/{theirs}/cancel", tenant="other")
    fleet.step()
    assert len(fleet.offered()) == 1
    assert fleet.view(rollout)["state"] == "canary"


def test_a_clock_that_jumps_fails_nobody(fleet: Fleet) -> None:
    fleet.join("default", 3)
    rollout = fleet.begin(fleet.add(package()), canary=3)
    fleet.step()
    for machine in fleet.offered():
        machine.says("trial")
    fleet.job.step()
    offset = [0]
    fleet.stack.clock.mono_ns = lambda: fleet.stack.clock.now - offset[0]  # type: ignore[method-assign]
    offset[0] = 86_400 * 10**9
    fleet.stack.clock.forward(86_400)
    fleet.job.step()
    assert fleet.view(rollout)["states"] == {"trial": 3}


def test_a_fleet_with_10_percent_bad(fleet: Fleet) -> None:
    """Everybody ends healthy or rolled back by itself; the rollout ends by its own rule."""
    machines = fleet.join("default", 100)
    bad = set(machines[::10])
    rollout = fleet.begin(fleet.add(package()), canary=5, soak_s=10, max_failed_pct=100)
    for _ in range(40):
        fleet.job.step()
        fleet.stack.clock.forward(5)
        with write(fleet.stack.engine):  # as the server takes beats in groups
            for machine in machines:
                wanted = machine.wanted
                if wanted is None or wanted.sha256 == machine.state.wanted:
                    machine.beat()
                elif machine in bad:
                    machine.says("rolled_back", "the self-test failed")
                else:
                    machine.says("current")
        if fleet.view(rollout)["state"] == "done":
            break
    view = fleet.view(rollout)
    assert (view["state"], view["states"]) == ("done", {"healthy": 90, "rolled_back": 10})

"""A small fleet for the console: agents with alarms, packages and budgets, a rollout and runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import packagekit
from browserkit import FACTS, Site
from serverkit import Agent, ServerProcess, beat

from hauberk.link import wire
from hauberk.schema.event import BlindTime
from hauberk.schema.link import (
    Alarm,
    Beat,
    BudgetState,
    LedgerEntry,
    PackageState,
    Resources,
    SensorHealth,
    SlotState,
)

HOSTS = ("db-1", "web-2", "web-3", "edge-4")
OLD = "a" * 64
NS = 10**9


@dataclass
class Fleet:
    """The server, its agents by host name, and the ids that pages are opened with."""

    site: Site
    agents: dict[str, Agent]
    passwords: dict[str, str]
    package: str
    rollout: str
    run: str

    def ids(self) -> dict[str, str]:
        home = self.agents["db-1"].identity.ids
        return {
            "workload": home.workload,
            "agent": home.agent,
            "rollout": self.rollout,
            "run": self.run,
        }


def ledger(scale: float) -> list[LedgerEntry]:
    start = time.time_ns() - 300 * NS
    costs = (
        ("collect/software.os_package", 1.4, 450, 0),
        ("collect/runtime.process", 0.3, 120, 0),
        ("sensor", 2.1, 9000, 0),
        ("encode", 0.4, 9000, 0),
        ("events", 0.2, 0, 37),
        ("send", 0.1, 0, 0),
        ("beat", 0.05, 0, 0),
    )
    return [
        LedgerEntry(
            capability=name,
            window_start_ns=start + window * 60 * NS,
            window_s=60,
            cpu_s=cpu * scale,
            bytes_out=4096,
            rows=rows,
            runs=1,
            shed=shed,
        )
        for window in range(4)
        for name, cpu, rows, shed in costs
    ]


def word(host: str, wanted: str = "", state: SlotState = "current") -> Beat:
    """What the agent of this machine says; `state` is of the package that is wanted."""
    n = HOSTS.index(host)
    now = time.time_ns()
    more: dict[str, Any] = {}
    package = PackageState(
        state=state,
        version="0.1.0",
        sequence=1,
        sha256=OLD,
        slot="a",
        wanted=wanted if state != "current" else "",
        message="3 crashes in 60 s: went back to slot a" if state == "rolled_back" else "",
    )
    if host == "db-1":
        more["alarms"] = [
            Alarm(
                kind="file_changed",
                what="/opt/hauberk/slots/a/lib/hauberk/agent/main.py",
                since_ns=now - 90 * NS,
                detail="size 4096, was 5120",
            ),
            Alarm(kind="sensor_detached", what="tp_btf/sched_process_exec", since_ns=now - 60 * NS),
        ]
        more["budget"] = BudgetState(
            by="cgroup2",
            pressure={"cpu": 61.2, "memory": 0.4, "io": 12.0},
            backing_off=True,
            window_open=False,
            shed_level=2,
            shed="network accept events",
        )
    elif host == "web-2":
        more["budget"] = BudgetState(by="pacing", detail="/sys/fs/cgroup is read-only")
    elif host == "web-3":
        package = PackageState(state="none")
    if host != "edge-4":
        more |= {"package": package, "ledger": ledger(1 + n)}
    return msgspec.structs.replace(
        beat(),
        facts=msgspec.structs.replace(
            FACTS, hostname=host, machine_id=f"{n}" * 16, addresses=[f"192.0.2.{n + 1}"]
        ),
        sensor=SensorHealth(tier="B", sources=["bpf:tp_btf/sched_process_exec"]),
        resources=Resources(
            cpu_s=9.0,
            private_bytes=(60 + n) << 20,
            resident_bytes=90 << 20,
            spool_bytes=1 << 20,
            spool_dropped=0,
            background_grant_pct=1.0,
            event_grant_pct=10.0,
        ),
        version="0.1.0",
        **more,
    )


def upload(server: ServerProcess, data: bytes, note: str) -> dict[str, Any]:
    transport = httpx.HTTPTransport(uds=str(server.folder / "run/api.sock"))
    with httpx.Client(transport=transport, base_url="http://local", timeout=60) as client:
        answer = client.post(
            "/api/v1/packages",
            params={"note": note},
            content=data,
            headers={"Content-Type": "application/octet-stream", "X-Hauberk-Tenant": "default"},
        )
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


def ask(server: ServerProcess, method: str, path: str, body: object = None) -> dict[str, Any]:
    answer = server.api(method, path, body)
    assert isinstance(answer, dict)
    return answer


def upgrade(
    server: ServerProcess, agents: dict[str, Agent], rollout: str, sha256: str, deadline: float
) -> None:
    """Two agents try the package; one of them goes back."""
    wanted = {"db-1": "trial", "web-2": "rolled_back"}
    while True:
        found = ask(server, "GET", f"/rollouts/{rollout}/agents")["items"]
        states = {one["hostname"]: one["state"] for one in found}
        if all(states[host] == end for host, end in wanted.items()):
            return
        for host, state in states.items():
            if host in wanted and state == "offered":
                agents[host].transport.beat(word(host, sha256, "trial"))
            elif host == "web-2" and state == "trial":
                agents[host].transport.beat(word(host, sha256, "rolled_back"))
        assert time.monotonic() < deadline, (states, server.log())
        time.sleep(0.2)


def fill(server: ServerProcess, folder: Path) -> Fleet:
    passwords = {
        name: str(ask(server, "POST", "/users", {"name": name, "role": role})["password"])
        for name, role in (("eve", "admin"), ("ann", "analyst"), ("vic", "viewer"))
    }
    agents = {host: Agent.enrolled(server, folder / host) for host in HOSTS}
    for host, agent in agents.items():
        agent.transport.beat(word(host))
    now, mono = time.time_ns(), time.monotonic_ns()
    blind = BlindTime(
        activity_id=2,
        time_ns=now,
        mono_ns=mono,
        pid=0,
        until_ns=now + NS,
        lost=37,
        source="budget",
        reason="network accept events left out",
    )
    agents["db-1"].send(wire.encode_batch([wire.encode_table("blind_time", BlindTime, [blind])]))
    made = upload(
        server,
        packagekit.package(version="0.2.0", sequence=2),
        "fixes the <b>clock</b>",
    )
    wish = {"sha256": made["sha256"], "canary": 2, "soak_s": 5, "max_failed_pct": 60}
    rollout = ask(server, "POST", "/rollouts", wish)
    deadline = time.monotonic() + 60
    upgrade(server, agents, rollout["id"], made["sha256"], deadline)
    run = ask(server, "POST", "/runs", {"kind": "collect", "subclasses": [], "filter": ""})
    agents["db-1"].transport.beat(word("db-1", made["sha256"], "trial"))
    while not ask(server, "GET", "/events?table=blind_time")["items"]:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.1)
    site = Site(server, agents["db-1"], passwords["eve"])
    return Fleet(site, agents, passwords, made["sha256"], rollout["id"], run["id"])

"""What the browser tests look at: every collected subclass, sent by a real agent over mTLS."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Page, expect
from serverkit import Agent, ServerProcess, beat

from hauberk.link import rows, wire
from hauberk.ports import Collector
from hauberk.registry import discover
from hauberk.schema.asset import Asset, Collection, Problem, Relation, RoleTag, columns_of
from hauberk.schema.event import BlindTime, NetworkActivity, ProcessActivity
from hauberk.schema.link import LedgerEntry, SensorHealth, WorkloadFacts
from hauberk.schema.taxonomy import CLASSES, Title

REPO = Path(__file__).resolve().parents[2]
SHOTS = Path(__file__).parent / "shots"
AXE = REPO / "console/node_modules/axe-core/axe.min.js"
EVIL = ("<script>window.pwned=1</script>", '"><img src=x onerror="window.pwned=1">')
HOST = 'web-1"><img src=x onerror=window.pwned=1>'
ESCAPED = "caf\U0010ffe9\x1b[31m\u202e"
FACTS = WorkloadFacts(
    hostname=HOST,
    machine_id="0123456789abcdef",
    os="debian",
    os_version="12",
    kernel="6.1.0-56-amd64",
    arch="x86_64",
    addresses=["192.0.2.7", "2001:db8::7"],
    kind="vm",
    cpus=2,
    memory_bytes=4 << 30,
)
MANY = 450


def collectors() -> dict[str, Collector]:
    found = discover("hauberk.assets", "COLLECTOR", Collector)
    return {c.subclass: c for c in found.values()}


def asset_rows(struct: type[Asset], count: int) -> list[Asset]:
    """Rows with every column filled; the first two carry markup, the third unprintable bytes."""
    return [
        struct(**{c.name: _value(c.name, c.kind, i) for c in columns_of(struct)})
        for i in range(count)
    ]


def _value(name: str, kind: str, i: int) -> Any:
    text = f"{name}-{i}"
    if i < len(EVIL):
        text = f"{EVIL[i]}{name}"
    elif i == len(EVIL):
        text = f"{name}-{ESCAPED}"
    return {
        "str": text,
        "int": 1000 + i,
        "float": i + 0.5,
        "bool": i % 2 == 0,
        "list": [text, "b c"],
    }[kind]


def inventory(agent: Agent) -> None:
    first: dict[str, str] = {}
    for number, (subclass, collector) in enumerate(sorted(collectors().items())):
        count = MANY if subclass == "software.os_package" else 4
        found = [] if subclass == "container.pod" else asset_rows(collector.struct, count)
        partial = number % 5 == 1
        proof = Collection(
            subclass=subclass,
            outcome="partial" if partial else "ok",
            rows=len(found),
            epoch=number + 1,
            ended_ns=time.time_ns(),
            cpu_s=0.003,
            problems=[Problem("/proc/1/exe", "denied; run as root")] if partial else [],
        )
        meta: dict[str, str | int] = {"epoch": number + 1, "full": 1, "part": 1, "parts": 1}
        agent.send(
            wire.encode_batch(
                [
                    wire.encode_table(f"asset/{subclass}", collector.struct, found, meta),
                    wire.encode_table(
                        "collection", rows.CollectionRow, [rows.CollectionRow.of(proof)]
                    ),
                ]
            )
        )
        if found:
            first[subclass] = found[0].key()
    process = first["runtime.process"]
    edges = [
        rows.RelationRow.of(
            Relation(
                kind="owns",
                src_subclass=subclass,
                src_key=key,
                dst_subclass="runtime.process",
                dst_key=process,
                evidence=EVIL[0],
            )
        )
        for subclass, key in first.items()
        if subclass != "runtime.process"
    ]
    tags = [
        RoleTag(
            role="nginx",
            title=Title("nginx web server", "nginx Web 服务器"),
            confidence=90,
            evidence=["package nginx 1.22", EVIL[1]],
        )
    ]
    agent.send(
        wire.encode_batch(
            [
                wire.encode_table("relation", rows.RelationRow, edges, {"epoch": 1}),
                wire.encode_table(
                    "role", rows.RoleRow, [rows.RoleRow.of(t) for t in tags], {"epoch": 1}
                ),
            ]
        )
    )


def process(pid: int, *argv: str, is_self: bool = False) -> ProcessActivity:
    return ProcessActivity(
        activity_id=1,
        time_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        pid=pid,
        name=argv[0],
        exe=f"/usr/bin/{argv[0]}",
        argv=list(argv),
        uid=0,
        parent_name="bash",
        is_self=is_self,
    )


def send_processes(agent: Agent, found: list[ProcessActivity]) -> None:
    agent.send(wire.encode_batch([wire.encode_table("process_activity", ProcessActivity, found)]))


def events(agent: Agent) -> None:
    now, mono = time.time_ns(), time.monotonic_ns()
    network = [
        NetworkActivity(
            activity_id=1 + 6 * (i % 2),
            time_ns=now,
            mono_ns=mono + i,
            pid=100 + i,
            name="curl",
            direction="outbound",
            src_ip="192.0.2.7",
            src_port=40000 + i,
            dst_ip="198.51.100.9",
            dst_port=443,
        )
        for i in range(30)
    ]
    blind = [
        BlindTime(
            activity_id=1,
            time_ns=now,
            mono_ns=mono,
            pid=0,
            until_ns=now + 10**9,
            lost=120,
            source="ring",
            reason="ring full",
        )
    ]
    send_processes(
        agent,
        [
            *(process(1000 + i, "ls", "-l", f"/srv/{i}") for i in range(40)),
            process(2000, "sh", "-c", EVIL[0]),
            process(2001, ESCAPED, EVIL[1]),
            process(2002, "hauberk-agent", "self", is_self=True),
        ],
    )
    agent.send(
        wire.encode_batch(
            [
                wire.encode_table("network_activity", NetworkActivity, network),
                wire.encode_table("blind_time", BlindTime, blind),
            ]
        )
    )


def speak(agent: Agent) -> None:
    """A beat with sensor health and a ledger."""
    start = time.time_ns() - 120 * 10**9
    ledger = [
        LedgerEntry(
            capability=name,
            window_start_ns=start + w * 60 * 10**9,
            window_s=60,
            cpu_s=cpu,
            bytes_out=900,
            rows=9,
            runs=1,
        )
        for w in range(2)
        for name, cpu in (("collect/software.os_package", 1.4), ("events", 0.9), ("send", 0.1))
    ]
    sensor = SensorHealth(
        tier="B",
        sources=["bpf:tp_btf/sched_process_exec"],
        events=900,
        lost=120,
        reasons=["no LSM in this kernel"],
    )
    agent.transport.beat(
        msgspec.structs.replace(beat(), facts=FACTS, sensor=sensor, ledger=ledger, version="0.1.0")
    )


def fill(server: ServerProcess, agent: Agent) -> None:
    speak(agent)
    inventory(agent)
    events(agent)
    collected = set(collectors())
    deadline = time.monotonic() + 60
    while True:
        overview = server.api("GET", "/overview")
        assert isinstance(overview, dict)
        known = {
            s["id"] for c in overview["assets"] for s in c["subclasses"] if s["rows"] is not None
        }
        counts = overview["events_24h"] or {}
        if known == collected and counts.get("network_activity") and overview["roles"]:
            return
        assert time.monotonic() < deadline, (collected - known, counts, server.log())
        time.sleep(0.1)


def class_of(subclass: str) -> str:
    return subclass.split(".", maxsplit=1)[0]


CLASS_IDS = [c.id for c in CLASSES]


@dataclass
class Site:
    """The server under test, and who may sign in."""

    server: ServerProcess
    agent: Agent
    password: str

    @property
    def url(self) -> str:
        return f"https://{self.server.listen}"


def sign_in(page: Page, name: str, password: str) -> None:
    page.fill("input#name", name)
    page.fill("input#password", password)
    page.click("button[type=submit]")
    page.wait_for_selector(".side nav")


def settle(page: Page) -> None:
    """Nothing loads and nothing is waited for any more."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.wait_for_timeout(150)  # antd fades its drawer in


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")

"""Thousands of agents on one server: nothing lost, memory flat, and back after a restart.

    .venv/bin/python -m tests.bench.fleet --agents 5000 --seconds 600 --rate 20000

Every agent has its own key, certificate, spool, connection and link loop: the real ones. They are
enrolled straight into the stores before the server starts, since all come from one address, which
the gateway slows down. Spools lie in memory, so that the disk is the server's alone. At the end the
rows in the lake are counted per batch against what was acknowledged.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

import duckdb
from deltalake import DeltaTable
from serverkit import ServerProcess, processes

from hauberk.agent.desired import DesiredState
from hauberk.agent.ledger import Ledger
from hauberk.agent.link import Hooks, LinkLoop, sealer
from hauberk.agent.tasks import TaskGate
from hauberk.host.clock import SystemClock
from hauberk.link import wire
from hauberk.link.client import identity as identities
from hauberk.link.client.identity import Identity
from hauberk.link.client.sender import Sender
from hauberk.link.client.spool import Spool
from hauberk.link.client.transport import Transport
from hauberk.schema.event import ProcessActivity
from hauberk.schema.link import (
    Beat,
    EnrolRequest,
    LedgerEntry,
    Resources,
    SensorHealth,
    WorkloadFacts,
)
from hauberk.store.agents import Agents
from hauberk.store.database import open_database, sqlite_url, write
from hauberk.store.keys import Keys

BATCH = 100
BOOT = "boot-1"
TABLE = "process_activity"


def enrol(folder: Path, spools: Path, count: int, url: str) -> None:
    """Enrol agents into the embedded stores of `folder`, where no server runs yet."""
    clock = SystemClock()
    (folder / "server").mkdir(parents=True, mode=0o700)
    engine = open_database(sqlite_url(folder / "server/state.db"))
    keys = Keys(folder / "server/keys", now_ns=clock.wall_ns())
    invite_all(Agents(engine, keys, clock), spools, count, url)
    engine.dispose()


def invite_all(agents: Agents, spools: Path, count: int, url: str) -> None:
    """Identities of `count` agents below `spools`, each with a key of its own."""
    for start in range(0, count, 500):
        with write(agents.engine):
            for number in range(start, min(start + 500, count)):
                key = identities.new_key()
                _, token, _ = agents.invite("default", url=url, created_by="bench")
                facts = WorkloadFacts(hostname=f"node-{number:05d}", os="debian", cpus=2)
                reply = agents.enrol(
                    EnrolRequest(token=token, csr=identities.csr(key), facts=facts, version="sim")
                )
                identities.save(spools / f"{number:05d}/identity", url, key, reply)


@dataclass
class Simulated:
    """One agent: the real link loop over the real spool."""

    number: int
    identity: Identity
    spool: Spool
    sender: Sender
    loop: LinkLoop
    every_s: float
    next_batch: float
    lock: threading.Lock = field(default_factory=threading.Lock)


def assemble(folder: Path, number: int, every_s: float, started: float) -> Simulated:
    """Wire one agent as `agent.main` does."""
    clock, place = SystemClock(), folder / f"{number:05d}"
    identity = identities.load(place / "identity")
    spool = Spool(place / "spool", boot=BOOT, clock=clock, max_bytes=64 * 1024 * 1024)
    transport = Transport(identity, timeout_s=60)
    sender = Sender(
        spool, transport, sealer(identity), random=random.random, quarantine=place / "refused"
    )
    instance = f"{number}-{os.getpid()}"

    def beat(ledger: list[LedgerEntry], version: int) -> Beat:
        return Beat(
            instance=instance,
            boot=BOOT,
            wall_ns=clock.wall_ns(),
            mono_ns=clock.mono_ns(),
            version="sim",
            facts=WorkloadFacts(hostname=f"node-{number:05d}", os="debian", cpus=2),
            sensor=SensorHealth(tier="B", sources=["bpf"]),
            resources=Resources(
                cpu_s=1.0,
                private_bytes=40_000_000,
                resident_bytes=60_000_000,
                spool_bytes=spool.pending_bytes,
                spool_dropped=spool.dropped_rows,
                background_grant_pct=1.0,
                event_grant_pct=10.0,
            ),
            ledger=ledger,
            desired_version=version,
        )

    hooks = Hooks(
        beat=beat,
        task=lambda _task: None,
        desired=lambda _desired: None,
        resync=lambda: None,
        rotate=lambda identity, _gateway: identity,
        identity_changed=lambda _identity: None,
        connect=lambda identity: Transport(identity, timeout_s=60),
    )
    loop = LinkLoop(
        identity,
        spool,
        sender,
        TaskGate(place / "tasks.json", identity.ids, boot=BOOT, clock=clock),
        DesiredState(place / "desired", identity.ids),
        Ledger(clock, time.thread_time),
        clock,
        hooks,
        gateway=transport,
        beat_s=5.0,
        random=random.random,
    )
    first = started + random.random() * every_s if every_s else float("inf")
    return Simulated(number, identity, spool, sender, loop, every_s, first)


def drive(
    folder: Path, numbers: list[int], every_s: float, until: float, threads: int, out: object
) -> None:
    """Run the agents of one process until the monotonic time `until`, then let spools empty."""
    rows = [processes(BATCH, first=i * BATCH, name=f"tool{i % 7}") for i in range(20)]
    batches = [wire.encode_batch([wire.encode_table(TABLE, ProcessActivity, r)]) for r in rows]
    started = time.monotonic()
    fleet = [assemble(folder, n, every_s, started) for n in numbers]
    due = [(started + random.random() * 10.0, a.number, a) for a in fleet]
    heapq.heapify(due)
    lock = threading.Condition()
    drained_by = until + 120.0
    produced = [0]

    def open_work() -> bool:
        return time.monotonic() < until or any(a.spool.depth for a in fleet)

    def work() -> None:
        while True:
            with lock:
                while due and due[0][0] > time.monotonic():
                    lock.wait(min(0.05, max(0.0, due[0][0] - time.monotonic())))
                if not due:
                    if time.monotonic() > until:
                        return
                    lock.wait(0.05)
                    continue
                _, _, agent = heapq.heappop(due)
            now = time.monotonic()
            if now >= agent.next_batch and now < until:
                agent.spool.append("e", batches[agent.number % 20], BATCH)
                agent.next_batch += agent.every_s
                with lock:
                    produced[0] += BATCH
            wait = agent.loop.turn()
            now = time.monotonic()
            if now >= drained_by or (now >= until and not agent.spool.depth):
                continue
            following = min(now + wait, max(agent.next_batch, now)) if now < until else now + wait
            with lock:
                heapq.heappush(due, (following, agent.number, agent))
                lock.notify()

    with ThreadPoolExecutor(threads) as pool:
        for one in [pool.submit(work) for _ in range(threads)]:
            one.result()
    result = {
        "produced": produced[0],
        "acknowledged": sum(a.sender.sent_rows for a in fleet),
        "left": sum(a.spool.depth for a in fleet),
        "dropped": sum(a.spool.dropped_rows for a in fleet),
        "set_aside": sum(a.sender.set_aside_rows for a in fleet),
        "refused": [a.sender.refusal for a in fleet if a.sender.refusal][:3],
    }
    for agent in fleet:
        agent.loop.close()
        agent.spool.close()
    out.put(result)  # type: ignore[attr-defined]


def watch(server: ServerProcess, until: float, every_s: float) -> Iterator[dict[str, float]]:
    """Memory and CPU of the server while it works."""
    cpu, at = server.cpu_s(), time.monotonic()
    while time.monotonic() < until:
        time.sleep(max(0.0, min(every_s, until - time.monotonic())))
        now, spent = time.monotonic(), server.cpu_s()
        yield {
            "s": round(now),
            "rss_mib": round(server.memory_mib()),
            "cores": round((spent - cpu) / max(now - at, 0.001), 2),
        }
        cpu, at = spent, now


def stored(server: ServerProcess) -> tuple[int, int]:
    """(rows, distinct rows) of the lake."""
    folder = server.folder / "lake/default" / TABLE
    files = [str(folder / path) for path in DeltaTable(str(folder)).get_add_actions()["path"]
             .to_pylist()]  # fmt: skip
    with duckdb.connect() as db:
        found = db.execute(
            "SELECT count(*), count(DISTINCT (agent, boot, sequence, ordinal))"
            " FROM read_parquet(?, union_by_name = true)",
            [files],
        ).fetchone()
    assert found
    return int(found[0]), int(found[1])


def restart(server: ServerProcess, agents: int, wait_s: float) -> float:
    """Kill the server and start it anew; seconds from ready until every agent has beaten."""
    server.kill()
    killed_ms = time.time() * 1000
    server.start()
    began = time.monotonic()
    while time.monotonic() - began < wait_s:
        state = server.api("GET", f"/agents?limit=1&filter=last_beat_ms>{int(killed_ms)}")
        assert isinstance(state, dict)
        if state["total"] >= agents:
            return time.monotonic() - began
        time.sleep(0.5)
    raise AssertionError(f"{state['total']} of {agents} agents are back after {wait_s:.0f} s")


def measure(given: argparse.Namespace) -> dict[str, object]:
    """One run; the figures."""
    root = Path(tempfile.mkdtemp(prefix="hauberk-fleet-"))
    spools = Path(tempfile.mkdtemp(prefix="hauberk-fleet-", dir="/dev/shm"))
    server = ServerProcess(root / "data", env={"HAUBERK_LOG_LEVEL": "WARNING"})
    try:
        at = time.monotonic()
        enrol(root / "data", spools, given.agents, f"https://{server.gateway}")
        enrolled_s = time.monotonic() - at
        print(f"{given.agents} agents enrolled in {enrolled_s:.1f} s", flush=True)
        server.start()
        rest = server.memory_mib()
        every_s = given.agents * BATCH / given.rate if given.rate else 0.0
        until = time.monotonic() + given.seconds
        out: multiprocessing.Queue[dict[str, object]] = multiprocessing.Queue()
        jobs = [
            multiprocessing.Process(
                target=drive,
                args=(
                    spools,
                    list(range(n, given.agents, given.processes)),
                    every_s,
                    until,
                    given.threads,
                    out,
                ),
            )
            for n in range(given.processes)
        ]
        for job in jobs:
            job.start()
        curve: list[dict[str, float]] = []
        back_s = None
        if given.restart_after:
            time.sleep(given.restart_after)
            back_s = restart(server, given.agents, given.seconds)
            print(f"all agents are back {back_s:.1f} s after the server", flush=True)
        for point in watch(server, until - 5, max(given.seconds / 20, 5)):
            curve.append(point)
            print(json.dumps(point), flush=True)
        online = server.api("GET", "/agents?limit=1&filter=state=online")
        results = [out.get(timeout=300) for _ in jobs]
        for job in jobs:
            job.join()
        depth = -1
        for _ in range(120):
            system = server.api("GET", "/system")
            assert isinstance(system, dict)
            if (depth := int(system["inbox_items"])) == 0:
                break
            time.sleep(1)
        rows, distinct = stored(server) if given.rate else (0, 0)
        acknowledged = sum(int(str(r["acknowledged"])) for r in results)
        half = curve[len(curve) // 2 :]
        return {
            "agents": given.agents,
            "online_at_the_end": online["total"],  # type: ignore[index]
            "enrolled_per_s": round(given.agents / enrolled_s),
            "seconds": given.seconds,
            "acknowledged": acknowledged,
            "events_per_s": round(acknowledged / given.seconds),
            "stored": rows,
            "stored_once": distinct,
            "lost": acknowledged - distinct,
            "repeated": rows - distinct,
            "left_in_spools": sum(int(str(r["left"])) for r in results),
            "dropped_by_agents": sum(int(str(r["dropped"])) for r in results),
            "set_aside": sum(int(str(r["set_aside"])) for r in results),
            "refused": [r["refused"] for r in results if r["refused"]],
            "inbox_left": depth,
            "rest_mib": round(rest),
            "rss_mib": [p["rss_mib"] for p in curve],
            "rss_growth_2nd_half_mib": half[-1]["rss_mib"] - half[0]["rss_mib"] if half else 0,
            "server_cores": round(sum(p["cores"] for p in curve) / max(len(curve), 1), 2),
            "back_after_restart_s": back_s and round(back_s, 1),
        }
    finally:
        if server.process is not None:
            server.stop()
        shutil.rmtree(spools, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=20_000, help="events/s in all; 0: beats only")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=12)
    parser.add_argument("--restart-after", type=float, default=0, help="kill -9 the server then")
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()

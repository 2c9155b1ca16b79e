"""Ingest over mTLS: events/s acknowledged, server CPU per event, memory, time to searchable.

    .venv/bin/python tests/bench/ingest.py --seconds 30 --agents 4

A real server process with consumers, compaction and the lake; agents are processes of their own
that send sealed batches one at a time, as the agent's sender does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from serverkit import Agent, ServerProcess, processes

from hauberk.link import wire
from hauberk.schema.event import ProcessActivity


def send(agent: Agent, size: int, seconds: float, rate: float, out: multiprocessing.Queue) -> None:
    """Send batches for a while; `rate` events/s at most, 0: as fast as they are acknowledged."""
    batches = []
    for i in range(50):
        rows = processes(size, first=i * size, name=f"tool{i % 7}")
        batches.append(
            wire.encode_batch([wire.encode_table("process_activity", ProcessActivity, rows)])
        )
    waits: list[float] = []
    began = time.monotonic()
    sent = 0
    while (now := time.monotonic()) - began < seconds:
        if rate and sent / rate > now - began:
            time.sleep(min(0.01, sent / rate - (now - began)))
            continue
        body = agent.seal(batches[agent.sequence % len(batches)])
        at = time.perf_counter()
        agent.transport.batch(body)
        waits.append(time.perf_counter() - at)
        sent += size
    out.put((sent, time.monotonic() - began, sorted(waits)))


def measure(seconds: float, agents: int, size: int, rate: float) -> dict[str, object]:
    """One run; the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = ServerProcess(folder / "data", env={"HAUBERK_LOG_LEVEL": "WARNING"})
        server.data.mkdir()
        server.start()
        try:
            time.sleep(2)
            rest = server.memory_mib()
            fleet = [Agent.enrolled(server, folder / str(i)) for i in range(agents)]
            out: multiprocessing.Queue = multiprocessing.Queue()
            cpu = server.cpu_s()
            jobs = [
                multiprocessing.Process(target=send, args=(a, size, seconds, rate / agents, out))
                for a in fleet
            ]
            for job in jobs:
                job.start()
            peak = [0.0]
            done = threading.Event()

            def watch() -> None:
                while not done.wait(0.25):
                    peak[0] = max(peak[0], server.memory_mib())

            watcher = threading.Thread(target=watch)
            watcher.start()
            results = [out.get() for _ in jobs]
            for job in jobs:
                job.join()
            probe = fleet[0]
            at = time.monotonic()
            rows = processes(1, first=999_999, name="searchable")
            probe.sequence = 1_000_000_000
            probe.send(
                wire.encode_batch([wire.encode_table("process_activity", ProcessActivity, rows)])
            )
            while not server.api("GET", "/events?filter=pid%20%3D%20999999")["items"]:
                time.sleep(0.05)
            searchable = time.monotonic() - at
            spent = server.cpu_s() - cpu
            done.set()
            watcher.join()
            for agent in fleet:
                agent.transport.close()
        finally:
            server.stop()
        sent = sum(r[0] for r in results)
        waits = sorted(w for r in results for w in r[2])
        return {
            "events": sent,
            "events_per_s": round(sent / max(r[1] for r in results)),
            "batch": size,
            "agents": agents,
            "ack_ms_p50": round(waits[len(waits) // 2] * 1000, 1),
            "ack_ms_p95": round(waits[len(waits) * 95 // 100] * 1000, 1),
            "server_cpu_us_per_event": round(spent / sent * 1e6, 2),
            "server_cores": round(spent / max(r[1] for r in results), 2),
            "searchable_s": round(searchable, 2),
            "rest_mib": round(rest),
            "peak_mib": round(peak[0]),
            "client_cores": os.cpu_count(),
        }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0, help="events/s in all; 0: no limit")
    given = parser.parse_args()
    print(json.dumps(measure(given.seconds, given.agents, given.batch, given.rate), indent=1))


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()

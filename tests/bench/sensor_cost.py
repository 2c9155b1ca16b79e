"""What the sensor costs: `sensor_cost.py [EXECS] [CONNECTS] [SECONDS]`, one line of JSON.

Builds load.c, runs the sensor in this process with polls of 0.2 s while the load runs, and gives
this process's CPU, the kernel's own figures for the programs, and what was lost or differed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hauberk.schema.event import NetworkActivity, ProcessActivity
from hauberk.sensor import SensorSettings, open_sensor
from hauberk.sensor.native import enable_stats


class SystemClock:
    """The machine's clocks."""

    def wall_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def private_kib() -> int:
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(r.split()[1]) for r in rows if r.startswith("Private_"))


def main() -> None:
    execs, connects, seconds = (sys.argv[1:] + ["1000", "500", "10"][len(sys.argv) - 1 :])[:3]
    seen: Counter[str] = Counter()
    numbers: dict[int, set[int]] = {}
    wrong = 0
    owners: Counter[tuple[str, str, int]] = Counter()

    def sink(table, rows) -> None:
        nonlocal wrong
        for row in rows:
            if isinstance(row, ProcessActivity):
                seen[f"process {row.activity_id}"] += 1
                if row.activity_id == 1 and row.argv[:2] == ["/bin/true", "--load"]:
                    numbers.setdefault(row.ppid, set()).add(int(row.argv[2]))
                    wrong += len(row.argv) != 3 or row.argv_truncated
            elif isinstance(row, NetworkActivity):
                seen[row.direction] += 1
                owners[row.direction, row.owner, row.pid] += 1
            else:
                seen["blind"] += 1

    with tempfile.TemporaryDirectory() as folder:
        load = f"{folder}/load"
        source = str(Path(__file__).with_name("load.c"))
        subprocess.run(["gcc", "-O2", "-o", load, source], check=True)
        sensor = open_sensor(sink, clock=SystemClock(), settings=SensorSettings())
        stats = enable_stats()
        sensor.poll(0)
        before_costs = sensor.costs()
        before = time.process_time()
        events_before = sensor.health().events
        rows = 0
        with subprocess.Popen([load, execs, connects, seconds], stdout=subprocess.PIPE) as process:
            while process.poll() is None:
                rows += sensor.poll(0.2)
            did = json.loads(process.stdout.read())
        cpu = time.process_time() - before
        rows += sensor.poll(0.05)
        time.sleep(sensor._settings.lost_check_s)
        rows += sensor.poll(0.05)
        health = sensor.health()
        costs = {}
        for name, after in sensor.costs().items():
            runs, ns = (b - a for a, b in zip(before_costs[name], after, strict=True))
            costs[name] = {"runs": runs, "ns_per_run": round(ns / max(1, runs)), "ns": ns}
        os.close(stats)
        sensor.close()
    ns = {name.rsplit("/", 1)[1]: c["ns"] for name, c in costs.items()}
    mine = numbers.get(did["pid"], set())
    report = {
        "load": did,
        "tier": health.tier,
        "sensor_cpu_pct": round(cpu / did["wall_s"] * 100, 2),
        "us_per_event": round(cpu / max(1, health.events - events_before) * 1e6, 2),
        "rows": rows,
        "seen": dict(seen),
        "execs_missing": did["execs"] - len(mine),
        "argv_wrong": wrong,
        "owners": {f"{d}/{o}": n for (d, o, p), n in owners.items() if p == did["pid"]},
        "lost": health.lost,
        "bpf": costs,
        "bpf_ns_per_exec": round(ns["sched_process_exec"] / max(1, did["execs"])),
        "bpf_ns_per_exit": round(ns["sched_process_exit"] / max(1, did["execs"])),
        "bpf_ns_per_connect": round(ns["inet_sock_set_state"] / max(1, did["connects"])),
        "private_kib": private_kib(),
        "peak_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

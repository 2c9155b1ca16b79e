"""The budgets of issue A on this machine, the peer in the same run: `make bench`.

Starts a fresh Hauberk in a temporary folder by `hauberk up`, measures it, puts it under the load of
load.c, and prints one line a figure: measured, budget, and their ratio. CPU is counted by process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

import httpx
from serverkit import free_port

from hauberk.cli._client import Client
from hauberk.schema.view import AgentView, EventRow
from hauberk.schema.view_overview import Overview
from hauberk.sensor.native import enable_stats

REST_S = float(os.environ.get("BENCH_REST_S", "60"))
LOAD = ("1000", "500", "10")
HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
HAUBERK = [sys.executable, "-m", "hauberk.cli.main"]
# Prints argv of every exec and every connect, as a defender would with the tool at hand.
PEER = """
tracepoint:syscalls:sys_enter_execve { join(args->argv); }
tracepoint:syscalls:sys_enter_connect { printf("%d connect %d\\n", pid, args->fd); }
"""


@dataclass
class Report:
    rows: list[tuple[str, float, float | None, str]] = field(default_factory=list)

    def add(self, what: str, value: float, budget: float | None, unit: str) -> None:
        self.rows.append((what, value, budget, unit))
        ratio = f"{value / budget:8.2f} x budget {budget:g}" if budget else ""
        print(f"{what:58} {value:12.2f} {unit:10} {ratio}", flush=True)


def cpu_s(pid: int) -> float:
    """CPU-seconds of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mib(pid: int, prefix: str) -> float:
    """MiB of the lines of smaps_rollup that begin so: Private_ or Pss:."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(r.split()[1]) for r in rows if r.startswith(prefix)) / 1024


class Product:
    """A Hauberk of its own, started as a user would."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.env = {**os.environ, "HAUBERK_DATA": str(self.data), "HAUBERK_CONFIG": os.devnull}

    def up(self) -> str:
        argv = [
            "up",
            "--listen",
            f"127.0.0.1:{free_port()}",
            "--gateway",
            f"127.0.0.1:{free_port()}",
        ]
        done = subprocess.run(
            [*HAUBERK, *argv], env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def down(self) -> None:
        subprocess.run([*HAUBERK, "down"], env=self.env, check=True, capture_output=True)

    def pid(self, role: str) -> int:
        name = "agent/agent.pid" if role == "agent" else "server/run/server.pid"
        return int((self.data / name).read_text().split()[0])

    @property
    def client(self) -> Client:
        return Client(self.data)


def start(product: Product, report: Report) -> None:
    """Start to first inventory shown."""
    began = time.monotonic()
    print(product.up().strip())
    report.add("start to the first whole inventory shown", time.monotonic() - began, 20, "s")
    overview = product.client.get("/overview", Overview)
    subs = [s for c in overview.assets for s in c.subclasses]
    report.add(
        "subclasses with rows or proof of none", sum(s.workloads > 0 for s in subs), None, ""
    )


def rest(product: Product, report: Report) -> None:
    """Memory and CPU at rest."""
    time.sleep(15)
    agent, server = product.pid("agent"), product.pid("server")
    before = cpu_s(agent), cpu_s(server)
    began = time.monotonic()
    time.sleep(REST_S)
    wall = time.monotonic() - began
    report.add("agent at rest", 100 * (cpu_s(agent) - before[0]) / wall, 1, "% core")
    report.add("server at rest", 100 * (cpu_s(server) - before[1]) / wall, None, "% core")
    report.add("agent private memory", memory_mib(agent, "Private_"), 60, "MiB")
    both = memory_mib(agent, "Pss:") + memory_mib(server, "Pss:")
    report.add("server + agent at rest (PSS)", both, 450, "MiB")


@contextmanager
def bpf_statistics() -> Iterator[None]:
    """The kernel counts run time of BPF programs meanwhile."""
    handle = enable_stats()
    try:
        yield
    finally:
        os.close(handle)


def programs() -> dict[str, int]:
    """Run time in ns of the BPF programs of Hauberk, by name."""
    if not shutil.which("bpftool"):
        return {}
    raw = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout
    found: dict[str, int] = {}
    for p in json.loads(raw):
        if p.get("name") in ("on_exec", "on_exit", "on_state"):
            found[p["name"]] = found.get(p["name"], 0) + p.get("run_time_ns", 0)
    return found


def load(product: Product, report: Report, program: str) -> None:
    """1,000 exec/s and 500 connect/s: agent's CPU, completeness, time in the kernel."""
    agent, server = product.pid("agent"), product.pid("server")
    client = product.client
    lost = sum(a.sensor.lost for a in client.pages("/agents", AgentView) if a.sensor)
    with bpf_statistics():
        before, kernel = (cpu_s(agent), cpu_s(server)), programs()
        began = time.monotonic()
        did = json.loads(subprocess.run([program, *LOAD], capture_output=True, check=True).stdout)
        time.sleep(3)
        wall = time.monotonic() - began
        spent = cpu_s(agent) - before[0], cpu_s(server) - before[1]
        after = programs()
    report.add(
        "agent at 1,000 exec/s + 500 connect/s", 100 * spent[0] / did["wall_s"], 10, "% core"
    )
    report.add("server meanwhile", 100 * spent[1] / wall, None, "% core")
    time.sleep(8)
    wanted = f"ppid = {did['pid']} and activity_id = 1"
    events = list(client.pages("/events", EventRow, table="process_activity", filter=wanted))
    numbers = {int(e.fields["argv"][2]) for e in events if len(e.fields["argv"]) == 3}
    report.add(
        "execs without their argv at the server", did["execs"] - len(numbers), None, "events"
    )
    found = client.pages(
        "/events",
        EventRow,
        table="network_activity",
        filter=f"pid = {did['pid']} and direction = outbound",
    )
    report.add("connects missing at the server", did["connects"] - len(list(found)), None, "events")
    lost = sum(a.sensor.lost for a in client.pages("/agents", AgentView) if a.sensor) - lost
    report.add("events lost by the sensor's own count", lost, None, "events")
    if after:
        ns = {n: after[n] - kernel.get(n, 0) for n in after}
        report.add("BPF time per exec", ns["on_exec"] / did["execs"] / 1000, 3, "us")
        report.add(
            "BPF time per connect (all its states)",
            ns["on_state"] / did["connects"] / 1000,
            1,
            "us",
        )
    report.add("exec as the workload sees it, watched", did["exec_us"], None, "us")


def latency(product: Product, report: Report) -> None:
    """An event's way to the search and to the live view."""
    client = product.client
    word = f"bench-{os.getpid()}"
    seen: list[float] = []

    def listen() -> None:
        transport = httpx.HTTPTransport(uds=str(product.data / "server/run/api.sock"))
        with (
            httpx.Client(transport=transport, base_url="http://local", timeout=30) as http,
            http.stream("GET", "/api/v1/stream?topics=events") as stream,
        ):
            for line in stream.iter_lines():
                if word in line:
                    seen.append(time.monotonic())
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    time.sleep(1)
    began = time.monotonic()
    subprocess.run(["/bin/true", word], check=True)
    while not client.get("/events", dict, table="process_activity", filter=f'argv ~ "{word}"')[
        "items"
    ]:
        time.sleep(0.05)
    report.add("event to searchable", time.monotonic() - began, 5, "s")
    listener.join(10)
    report.add("event to the live stream", seen[0] - began if seen else float("inf"), 2, "s")


def peer(report: Report, program: str) -> None:
    """bpftrace with argv and connects under the same load."""
    if not shutil.which("bpftrace"):
        print("peer: bpftrace is not installed (apt-get install bpftrace): no ratio")
        return
    script = 'mount -t tracefs nodev /sys/kernel/tracing && exec bpftrace -e "$0" >/dev/null'
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, PEER], stderr=subprocess.DEVNULL
    ) as traced:
        time.sleep(4)
        before = cpu_s(traced.pid)
        did = json.loads(subprocess.run([program, *LOAD], capture_output=True, check=True).stdout)
        spent = cpu_s(traced.pid) - before
        mib = memory_mib(traced.pid, "Private_")
        traced.terminate()
    mine = next(v for w, v, *_ in report.rows if w.startswith("agent at 1,000"))
    theirs = 100 * spent / did["wall_s"]
    report.add("peer bpftrace, same load", theirs, None, "% core")
    report.add("peer bpftrace, private memory", mib, None, "MiB")
    if theirs:
        report.add("agent / peer (agent also attributes, signs, ships)", mine / theirs, None, "x")


def ingest(report: Report) -> None:
    """Batches of 100 over mTLS as fast as they are acknowledged."""
    done = subprocess.run(
        [sys.executable, str(HERE / "ingest.py"), "--seconds", "20"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"ingest could not be measured: {done.stderr.strip().splitlines()[-1:]}")
        return
    figures = json.loads(done.stdout)
    report.add(
        "ingest in batches of 100 (more is better)", figures["events_per_s"], 20_000, "events/s"
    )
    report.add("server CPU per event", figures["server_cpu_us_per_event"], None, "us")
    report.add("acknowledgement p95", figures["ack_ms_p95"], None, "ms")


def main() -> int:
    if os.geteuid() != 0:
        print("bench: not root, so eBPF and other processes cannot be measured")
        return 3
    report = Report()
    with tempfile.TemporaryDirectory(prefix="hauberk-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = str(folder / "load")
        subprocess.run(["gcc", "-O2", "-o", program, str(HERE / "load.c")], check=True)
        product = Product(folder)
        try:
            start(product, report)
            rest(product, report)
            load(product, report, program)
            latency(product, report)
        finally:
            product.down()
        peer(report, program)
        ingest(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

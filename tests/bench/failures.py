"""The failure table: a scaled-out deployment whose parts fail one after the other, all under load.

    .venv/bin/python -m tests.bench.failures --agents 200 --seconds 300 --rate 2000

One server, two workers, PostgreSQL, three NATS servers and an S3 store, all real. Each fault begins
at its share of the run; a worker is killed every `--kill-every` seconds all along. In the end every
acknowledged event must be in the lake exactly once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "services"))

import duckdb
import natskit
import postgres
import s3kit
from tests.bench import fleet
from workerkit import Deployment, WorkerProcess, eventually

from hauberk.host.clock import SystemClock
from hauberk.store.agents import Agents
from hauberk.store.database import open_database
from hauberk.store.keys import Keys
from hauberk.store.lake import Lake
from hauberk.store.lake_files import S3Files

PREFIX = "lake"


class Scaled(Deployment):
    """With the lake in S3."""

    store: s3kit.S3

    @property
    def settings(self) -> dict[str, str]:
        secret = self.folder / "secret"
        secret.write_text(s3kit.SECRET)
        return {
            **super().settings,
            "HAUBERK_LAKE": f"s3://{s3kit.BUCKET}/{PREFIX}",
            "HAUBERK_S3_ENDPOINT": self.store.endpoint,
            "HAUBERK_S3_KEY_ID": s3kit.KEY,
            "HAUBERK_S3_SECRET_FILE": str(secret),
            "HAUBERK_LOG_LEVEL": "WARNING",
        }

    def counted(self) -> tuple[int, int]:
        """(rows, distinct rows) of the lake."""
        files = S3Files(self.store.target(PREFIX), self.folder / "cache", max_bytes=2**33)
        lake = Lake(files, app_id="bench", mends=False)
        if not lake.exists("default", fleet.TABLE):
            return 0, 0
        live = lake.files("default", fleet.TABLE)
        with lake.locked("default", fleet.TABLE).home.local(live) as paths, duckdb.connect() as db:
            found = db.execute(
                "SELECT count(*), count(DISTINCT (agent, boot, sequence, ordinal))"
                " FROM read_parquet(?, union_by_name = true)",
                [list(paths)],
            ).fetchone()
        assert found
        return int(found[0]), int(found[1])


class Faults:
    """What goes wrong, when, and how long the deployment took to be whole again."""

    def __init__(self, deployed: Scaled, database: postgres.Postgres, seconds: float) -> None:
        self._deployed, self._database = deployed, database
        self._seconds, self._began = seconds, time.monotonic()
        self.table: list[dict[str, object]] = []
        self.killed = 0
        self._end = threading.Event()

    def run(self, kill_every: float) -> list[threading.Thread]:
        """Start both threads of mischief."""
        plan: list[tuple[float, str, Callable[[], None]]] = [
            (0.15, "one of three NATS servers killed for 30 s", self._nats),
            (0.35, "PostgreSQL crashed, back after 5 s", self._postgres),
            (0.55, "S3 answers nothing for 60 s", self._s3),
        ]
        threads = [
            threading.Thread(target=self._plan, args=(plan,)),
            threading.Thread(target=self._kill, args=(kill_every,)),
        ]
        for thread in threads:
            thread.start()
        return threads

    def stop(self) -> None:
        """No more of it."""
        self._end.set()

    def _plan(self, plan: list[tuple[float, str, Callable[[], None]]]) -> None:
        for share, name, happen in plan:
            self._end.wait(max(0.0, self._began + share * self._seconds - time.monotonic()))
            if self._end.is_set():
                return
            at = time.monotonic()
            happen()
            over = time.monotonic()
            whole = eventually(self._whole, 120)
            row = {
                "fault": name,
                "at_s": round(at - self._began),
                "lasted_s": round(over - at),
                "whole_again_s": round(time.monotonic() - over, 1) if whole else None,
            }
            self.table.append(row)
            print(json.dumps(row), flush=True)

    def _whole(self) -> bool:
        try:
            behind = sum(
                sum(part["behind"].values()) for part in self._deployed.system()["partitions"]
            )
        except (AssertionError, OSError):
            return False
        return behind < 200

    def _nats(self) -> None:
        victim = self._deployed.nats.servers[1]
        victim.kill()
        time.sleep(30)
        victim.start()

    def _postgres(self) -> None:
        self._database.restart(immediate=True, down_s=5)

    def _s3(self) -> None:
        with self._deployed.store.paused():
            time.sleep(60)

    def _kill(self, every: float) -> None:
        workers: list[WorkerProcess] = self._deployed.workers
        while not self._end.wait(every):
            victim = workers[self.killed % len(workers)]
            victim.kill()
            victim.start()
            self.killed += 1


def measure(given: argparse.Namespace) -> dict[str, object]:
    """One run; the figures."""
    root = Path(tempfile.mkdtemp(prefix="hauberk-failures-"))
    spools = Path(tempfile.mkdtemp(prefix="hauberk-failures-", dir="/dev/shm"))
    clock = SystemClock()
    with (
        postgres.running({"fsync": "on"}) as database,
        natskit.running(root / "nats", count=3, sync="always") as nats,
        s3kit.served(root / "s3") as store,
    ):
        deployed = Scaled(root, nats, database.url(database.database()), lease_s=5.0)
        deployed.store = store
        try:
            server = deployed.serve()
            deployed.work(2)
            engine = open_database(deployed.database)
            keys = Keys(server.folder / "keys", now_ns=clock.wall_ns())
            fleet.invite_all(
                Agents(engine, keys, clock), spools, given.agents, f"https://{server.gateway}"
            )
            engine.dispose()
            until = time.monotonic() + given.seconds
            every_s = given.agents * fleet.BATCH / given.rate
            out: multiprocessing.Queue[dict[str, object]] = multiprocessing.Queue()
            jobs = [
                multiprocessing.Process(
                    target=fleet.drive,
                    args=(
                        spools,
                        list(range(n, given.agents, 2)),
                        every_s,
                        until,
                        given.threads,
                        out,
                    ),
                )
                for n in range(2)
            ]
            for job in jobs:
                job.start()
            faults = Faults(deployed, database, given.seconds)
            mischief = faults.run(given.kill_every)
            results = [out.get(timeout=given.seconds + 400) for _ in jobs]
            faults.stop()
            for thread in (*mischief, *jobs):
                thread.join()
            drained = eventually(deployed.drained, 180)
            rows, distinct = deployed.counted()
            acknowledged = sum(int(str(r["acknowledged"])) for r in results)
            return {
                "agents": given.agents,
                "seconds": given.seconds,
                "faults": faults.table,
                "workers_killed": faults.killed,
                "acknowledged": acknowledged,
                "stored": rows,
                "lost": acknowledged - distinct,
                "repeated": rows - distinct,
                "drained": bool(drained),
                "left_in_spools": sum(int(str(r["left"])) for r in results),
                "dropped_by_agents": sum(int(str(r["dropped"])) for r in results),
                "set_aside": sum(int(str(r["set_aside"])) for r in results),
            }
        finally:
            deployed.close()
            shutil.rmtree(spools, ignore_errors=True)
            if not os.environ.get("KEEP"):
                shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=2000, help="events/s in all")
    parser.add_argument("--threads", type=int, default=12)
    parser.add_argument("--kill-every", type=float, default=20)
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()

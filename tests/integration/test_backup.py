"""A backup of a server under load, restored on a clean machine: nothing acknowledged is missing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from serverkit import Agent, ServerProcess, events, snapshot

from hauberk.assets.software_os_package import OsPackage

SUBCLASS = "software.os_package"
HAUBERK = [sys.executable, "-m", "hauberk.cli.main"]
T = TypeVar("T")


def eventually(look: Callable[[], T], timeout_s: float = 30) -> T:
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def hauberk(*argv: str) -> str:
    done = subprocess.run([*HAUBERK, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pids(server: ServerProcess) -> list[int]:
    found: list[int] = []
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page: Any = server.api("GET", f"/events?limit=500{more}")
        found += [row["fields"]["pid"] for row in page["items"]]
        if not (cursor := page["next"]):
            return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path / "data")
    made.data.mkdir()
    made.start()
    yield made
    made.stop()


def test_a_backup_under_load_restored_elsewhere(server: ServerProcess, tmp_path: Path) -> None:
    agent = Agent.enrolled(server, tmp_path / "a")
    agent.beat()
    packages = [
        OsPackage(manager="dpkg", name=f"p{i}", arch="amd64", version="1") for i in range(9)
    ]
    agent.send(snapshot(SUBCLASS, packages, epoch=1, kind=OsPackage))
    server.api("POST", "/users", {"name": "anna", "role": "admin", "password": "correct horse 1"})
    acknowledged: list[int] = []
    stop = threading.Event()

    def load() -> None:
        number = 0
        while not stop.is_set():
            agent.send(events(10, first=number * 10))
            acknowledged.append(number)
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    eventually(lambda: len(acknowledged) > 100)
    before = len(acknowledged)
    told = hauberk("backup", str(tmp_path / "b"), "--data", str(server.data))
    assert "events" in told
    eventually(lambda: len(acknowledged) > before)  # it went on meanwhile
    stop.set()
    thread.join()
    server.kill()

    clean = ServerProcess(tmp_path / "clean", gateway=server.gateway)
    clean.data.mkdir()
    print(hauberk("restore", str(tmp_path / "b"), "--data", str(clean.data)))
    clean.start()
    try:
        found = eventually(lambda: pids(clean))
        assert len(found) == len(set(found))
        assert set(found) >= set(range(before * 10))
        rows: Any = clean.api("GET", f"/assets/{SUBCLASS}")
        assert len(rows["items"]) == 9
        assert [u["name"] for u in clean.api("GET", "/users")] == ["anna"]  # type: ignore[union-attr]
        assert clean.api("GET", "/audit/verify")["intact"] is True  # type: ignore[index]
        # The agent goes on with its identity; what it repeats is known, what is new is taken.
        agent.beat()
        again = agent.seal(events(10, first=0), sequence=2)
        assert agent.transport.batch(again).duplicate is True
        agent.sequence += 1000
        agent.send(events(10, first=10_000_000))
        eventually(lambda: set(range(10_000_000, 10_000_010)) <= set(pids(clean)))
    finally:
        clean.stop()


def test_a_used_place_is_left_alone(server: ServerProcess, tmp_path: Path) -> None:
    hauberk("backup", str(tmp_path / "b"), "--data", str(server.data))
    server.stop()
    done = subprocess.run(
        [*HAUBERK, "restore", str(tmp_path / "b"), "--data", str(server.data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "holds keys, state.db, inbox.db, lake already" in done.stderr
    damaged = tmp_path / "c"
    damaged.write_bytes((tmp_path / "b").read_bytes()[:-100])
    done = subprocess.run(
        [*HAUBERK, "restore", str(damaged), "--data", str(tmp_path / "new")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "damaged, cut" in done.stderr
    assert not (tmp_path / "new/server").exists()

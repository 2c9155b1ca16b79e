from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hauberk.errors import Conflict
from hauberk.server.listen import bind
from hauberk.server.main import Server, _only_one, run
from hauberk.server.settings import Settings
from hauberk.store.jobs import Job


def test_one_server_per_folder(tmp_path: Path) -> None:
    pid = tmp_path / "server.pid"
    with _only_one(pid):
        assert pid.read_text() == f"{os.getpid()}\n"
        with pytest.raises(Conflict, match=f"process {os.getpid()}"), _only_one(pid):
            pass
    with _only_one(pid):
        pass


def test_taken_port_ends_the_start_and_binds_nothing(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0, option="listen") as taken:
        port = taken.getsockname()[1]
        settings = Settings(data=str(tmp_path), listen="127.0.0.1:0", gateway=f"127.0.0.1:{port}")
        with pytest.raises(Conflict, match="--gateway"):
            run(settings)
    assert not settings.ready_file.exists()


def test_addresses_come_from_the_bound_ports(tmp_path: Path) -> None:
    settings = Settings(
        data=str(tmp_path), listen="127.0.0.1:0", gateway="127.0.0.1:0", user="root"
    )
    first: list[object] = []
    settings.run_folder.mkdir(parents=True)
    server = Server(settings, first_admin=first.append)
    try:
        assert server.urls()[0].startswith("https://127.0.0.1:")
        assert not server.urls()[0].endswith(":0")
        assert server.gateway_url() != server.urls()[0]
        assert first == [server.stores]
        assert "unprivileged" in server.stays_root or os.geteuid() != 0
    finally:
        server.close()


def test_rollouts_go_on_while_another_job_takes_long(tmp_path: Path) -> None:
    settings = Settings(
        data=str(tmp_path), listen="127.0.0.1:0", gateway="127.0.0.1:0", user="root"
    )
    settings.run_folder.mkdir(parents=True)
    server = Server(settings, first_admin=lambda _stores: None)
    busy, go, moved = threading.Event(), threading.Event(), threading.Event()

    def slow() -> str:
        busy.set()
        go.wait(10)
        return ""

    try:
        server.stores.jobs.add(Job("slow", 0.0, slow))
        watch = server._work()
        assert busy.wait(10)
        watch.add(Job("probe", 0.0, lambda: moved.set() or ""))
        assert moved.wait(10)
        assert not go.is_set()
    finally:
        go.set()
        server.close()

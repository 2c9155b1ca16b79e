"""The command line against a real API on a local socket, in this process."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import dataclass

import apikit
import pytest
import uvicorn

from hauberk.api.app import create
from hauberk.cli import main as cli


@dataclass
class Result:
    code: int
    out: str
    err: str


class Run:
    """Runs `hauberk ARGS` as `main()` does and gives status and output."""

    def __init__(self, capsys, monkeypatch):
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *args):
        self._monkeypatch.setattr(sys, "argv", ["hauberk", *args])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = self._capsys.readouterr()
        return Result(stopped.value.code or 0, captured.out, captured.err)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    for name in ("HAUBERK_URL", "HAUBERK_TOKEN", "HAUBERK_LANG", "LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HAUBERK_DATA", str(tmp_path / "none"))
    return Run(capsys, monkeypatch)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A seeded API served on DATA/server/run/api.sock."""
    data = tmp_path_factory.mktemp("data")
    folder = data / "server/run"
    folder.mkdir(parents=True)
    made = apikit.make(data / "server")
    config = uvicorn.Config(
        create(made.context, local=True),
        uds=str(folder / "api.sock"),
        log_level="warning",
        lifespan="on",
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        threading.Event().wait(0.02)
    made.data = data
    yield made
    server.should_exit = True
    thread.join(20)
    made.close()


@pytest.fixture
def hauberk(run, stack, monkeypatch):
    """`run`, with HAUBERK_DATA of the seeded server."""
    monkeypatch.setenv("HAUBERK_DATA", str(stack.data))
    return run

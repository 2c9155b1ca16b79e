"""Start server, console and this machine's agent on embedded stores."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from cyclopts import App

from hauberk.agent import lifecycle
from hauberk.agent import settings as agent_settings
from hauberk.cli import _data, _process
from hauberk.cli._client import Client
from hauberk.cli._output import title, when
from hauberk.errors import BadInput, Permanent, Unreachable
from hauberk.schema.view import (
    AgentView,
    EnrolmentInput,
    EnrolmentView,
    SystemView,
    UserInput,
    UserView,
)
from hauberk.schema.view_overview import Overview

app = App(name="up", help=__doc__)
USER = "hauberk"
_READY_S = 90.0
_FIRST_WORD_S = 15.0
_INVENTORY_S = 60.0


@app.default
def up(
    *,
    data: Path | None = None,
    listen: str = "127.0.0.1:8443",
    gateway: str = "127.0.0.1:8444",
    agent: bool = True,
) -> None:
    """Start everything; returns when the console is ready and shows a first inventory.

    Args:
        data: data folder; default HAUBERK_DATA, else /var/lib/hauberk as root.
        listen: ADDRESS:PORT of console and API.
        gateway: ADDRESS:PORT for agents; 0.0.0.0:8444 lets other machines enrol.
        agent: also run this machine's agent.
    """
    folder = _data.data_dir(data)
    began = time.monotonic()
    _start_server(folder, listen, gateway)
    client = Client(folder)
    password = _first_admin(client)
    watching = _start_agent(folder, client) if agent else True
    system = client.get("/system", SystemView)
    print(f"ready: {system.urls[0]}")
    if password:
        print(f"sign in as admin, password: {password}   (shown this once; `hauberk users reset`)")
    if not system.own_certificate:
        print(
            "the browser will warn: the certificate is by Hauberk's own CA. Compare its SHA-256:\n"
            f"  {system.certificate_sha256}\n"
            f"  valid until {when(system.certificate_expires_ms)}; how to trust or replace it: "
            "docs/operations.md"
        )
    if not system.unprivileged:
        print(f"warning: the server runs as {system.user}: `hauberk doctor` says why")
    if not watching:
        print("warning: the agent has not reported yet: `hauberk doctor` says why")
    if agent:
        _await_inventory(client, began)


def _start_server(folder: Path, listen: str, gateway: str) -> None:
    pidfile = _data.pid_file(folder, "server")
    if pid := _data.pid_of(pidfile):
        print(f"the server runs already (process {pid})")
        return
    for name, address in (("--listen", listen), ("--gateway", gateway)):
        _check_free(name, address)
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        _ensure_user()
    log = _data.log_file(folder, "server")
    argv = ["--data", str(folder), "--listen", listen, "--gateway", gateway]
    process = _process.start("server", argv, log=log, env={})
    _process.wait(lambda: _answers(folder), process, log=log, role="server", timeout_s=_READY_S)


def _answers(folder: Path) -> bool:
    if not _data.socket_path(folder).exists():
        return False
    try:
        Client(folder).get("/system", SystemView)
    except (Unreachable, Permanent):
        return False
    return True


def _check_free(option: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadInput(f"{option} {address}: write ADDRESS:PORT, such as 127.0.0.1:8443")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise Permanent(
                f"{option} {address} cannot be used ({error.strerror}): choose another, such as "
                f"{option} {host}:{int(port) + 10}"
            ) from error


def _ensure_user() -> None:
    if any(entry.pw_name == USER for entry in pwd.getpwall()):
        return
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")
    if useradd is None:
        print("warning: useradd is missing, so the server cannot get a user of its own")
        return
    subprocess.run(
        [
            useradd,
            "--system",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            USER,
        ],
        check=True,
    )


def _first_admin(client: Client) -> str | None:
    if client.get("/users", list[UserView]):
        return None
    return client.send("POST", "/users", UserView, UserInput(name="admin", role="admin")).password


def _start_agent(folder: Path, client: Client) -> bool:
    """Whether the agent runs and its first word, with the sensor open, came."""
    pidfile = _data.pid_file(folder, "agent")
    if pid := _data.pid_of(pidfile):
        print(f"the agent runs already (process {pid})")
        return True
    env = _data.agent_env(folder)
    settings = agent_settings.load({**env, **os.environ})
    if not (settings.identity / "current").exists():
        wish = EnrolmentInput(note="this machine", ttl_s=600)
        made = client.send("POST", "/enrolments", EnrolmentView, wish)
        lifecycle.enroll("", made.token or "", settings)
    started_ms = time.time() * 1000
    server = _data.pid_of(_data.pid_file(folder, "server"))
    log = _data.log_file(folder, "agent")
    process = _process.start(
        "agent",
        ["--data", str(folder)],
        log=log,
        env={**env, "HAUBERK_AGENT_SELF_PIDS": str(server or "")},
    )
    _process.wait(
        lambda: _data.pid_of(pidfile) is not None,
        process,
        log=log,
        role="agent",
        timeout_s=_READY_S,
    )
    deadline = time.monotonic() + _FIRST_WORD_S
    while time.monotonic() < deadline:
        if any((a.last_beat_ms or 0) > started_ms for a in client.pages("/agents", AgentView)):
            return True
        time.sleep(0.1)
    return False


def _await_inventory(client: Client, began: float) -> None:
    deadline = time.monotonic() + _INVENTORY_S
    while time.monotonic() < deadline:
        overview = client.get("/overview", Overview)
        subs = [s for c in overview.assets for s in c.subclasses if s.state != "not_collected"]
        looked = [s for s in subs if s.workloads]
        failed = [s for s in subs if s.state == "error" and not s.workloads]
        if subs and len(looked) + len(failed) == len(subs):
            rows = sum(s.rows or 0 for s in looked)
            agents = list(client.pages("/agents", AgentView))
            tier = next((a.sensor.tier for a in agents if a.sensor), "none")
            print(
                f"first inventory: {rows} assets of {len(looked)} subclasses, sensor tier {tier}, "
                f"{time.monotonic() - began:.1f} s after the start"
            )
            if failed:
                names = ", ".join(title(s.title) for s in failed)
                print(f"could not be looked at: {names} (`hauberk doctor` says why)")
            return
        time.sleep(0.5)
    print("warning: the first inventory is not complete yet: `hauberk doctor` says what is missing")

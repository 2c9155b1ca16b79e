"""What runs, what it can see, what it costs, and what is not protected and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from cyclopts import App

from hauberk.agent.slots import State
from hauberk.cli import _data, _output
from hauberk.cli._client import Client
from hauberk.cli._output import Output, size, title, when
from hauberk.cli.budget import words
from hauberk.errors import HauberkError, Unreachable
from hauberk.link.client import identity as identities
from hauberk.link.wire import UNDECODABLE
from hauberk.schema.view import AgentView, CollectionView, SystemView, WorkloadDetail
from hauberk.schema.view_fleet import AlarmView
from hauberk.schema.view_overview import Overview

app = App(name="doctor", help=__doc__)
Verdict = Literal["ok", "note", "warning", "error"]
CERTIFICATE_WARN_MS = 14 * 86_400_000


class Finding(msgspec.Struct, frozen=True):
    """One line of the diagnosis: what was looked at, how it is, and what mends it."""

    part: str
    verdict: Verdict
    says: str


@app.default
def doctor(*, output: Output = "table", data: Path | None = None) -> int:
    """Diagnose this machine's Hauberk.

    Returns:
        3 when something is wrong that a person must mend, else 0.
    """
    folder = _data.data_dir(data)
    findings = [*_machine(), *_processes(folder), *_keys(folder), *_server(folder)]
    rows = [{"verdict": f.verdict, "part": f.part, "says": f.says} for f in findings]
    heads = [("verdict", ""), ("part", "PART"), ("says", "SAYS")]
    _output.rows_out(rows, heads, output, raw=findings)
    return 3 if any(f.verdict == "error" for f in findings) else 0


def _machine() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding("root", "ok", "runs as root: everything can be looked at")
    else:
        yield Finding(
            "root",
            "warning",
            "not root: other users' processes and eBPF are out of reach; run with sudo",
        )
    native = sorted(Path(__file__).parents[1].glob("sensor/_native/*.so"))
    btf = Path("/sys/kernel/btf/vmlinux").exists()
    if native and btf:
        yield Finding("eBPF", "ok", "sensor compiled in, and the kernel describes itself (BTF)")
    elif btf:
        yield Finding(
            "eBPF",
            "warning",
            "this build has no compiled sensor: install clang, gcc and libbpf-dev, "
            "then `make setup`; until then processes come from the proc connector",
        )
    else:
        yield Finding("eBPF", "note", "the kernel has no BTF: the sensor uses the proc connector")


def _processes(folder: Path) -> Iterator[Finding]:
    for role in ("server", "agent"):
        pid = _data.pid_of(_data.pid_file(folder, role))
        if pid:
            yield Finding(role, "ok", f"process {pid}, log {_data.log_file(folder, role)}")
        else:
            yield Finding(role, "note", f"not running from {folder}: `hauberk up` starts it")


def _keys(folder: Path) -> Iterator[Finding]:
    place = folder / "server/keys"
    try:
        if not place.exists():
            return
        from hauberk.cli import keys  # an agent's package has no such command

        found = keys.kept(place)
    except OSError as error:
        yield Finding("keys", "note", f"could not look at {place}: {error.strerror}; run with sudo")
        return
    except ImportError:
        yield Finding("keys", "note", f"{place}: not checked, no server is installed here")
        return
    plain = [name for name, how in found if how.startswith("plain")]
    if plain:
        says = (
            f"{', '.join(plain)} lie plain (0600) in {place}: `hauberk keys new FILE` and "
            "wrap_key_file wrap them, so that a copied disk or backup gives nothing away"
        )
        yield Finding("keys", "note", says)
    elif found:
        yield Finding("keys", "ok", f"{len(found)} private keys, each {found[0][1]}")


def _server(folder: Path) -> Iterator[Finding]:
    try:
        client = Client(folder)
        system = client.get("/system", SystemView)
    except Unreachable as error:
        identity = folder / "agent/identity"
        try:
            alone = not (folder / "server").exists() and identities.generation(identity)
        except OSError as denied:
            yield Finding("agent", "note", f"could not look: {denied}; run with sudo")
            alone = ""
        if alone:
            yield from _alone(folder)
        else:
            yield Finding("API", "error", str(error))
        return
    yield Finding(
        "API", "ok", f"{client.where}, version {system.version}, at {', '.join(system.urls)}"
    )
    if system.unprivileged:
        yield Finding("privilege", "ok", f"the server runs as {system.user}")
    else:
        yield Finding(
            "privilege",
            "warning",
            f"the server runs as {system.user}: its interpreter or package "
            "must be readable by the user hauberk (a virtual environment below root's home is not)",
        )
    yield from _certificate(system)
    yield Finding(
        "inbox",
        "ok" if system.inbox_items < 10_000 else "warning",
        f"{system.inbox_items} batches, {size(system.inbox_bytes)} wait for the stores",
    )
    for store in system.stores:
        left = f", full in {store.days_left:.0f} days" if store.days_left is not None else ""
        yield Finding(f"store {store.name}", "ok", f"{size(store.bytes)}{left}")
    try:
        for agent in client.pages("/agents", AgentView):
            yield from _agent(agent)
        yield from _alarms(client)
        overview = client.get("/overview", Overview)
        yield from _freshness(client, overview)
        yield from _unprotected(overview)
    except HauberkError as error:
        yield Finding("API", "error", f"could not check agents and assets: {error}")


def _alone(folder: Path) -> Iterator[Finding]:
    """A machine that has an agent and no server: most have."""
    try:
        url = identities.load(folder / "agent/identity").ids.url
    except HauberkError as error:
        yield Finding("identity", "error", str(error))
        return
    yield Finding("link", "note", f"no server here; whether {url} hears this agent is told there")
    if _data.pid_of(_data.pid_file(folder, "agent")) is None:
        says = "enrolled, but not running: start hauberk-agent.service or hauberk-launch"
        yield Finding("agent", "error", says)
    try:
        state = msgspec.json.decode((folder / "agent/slots.json").read_bytes(), type=State)
    except FileNotFoundError:
        return
    except (OSError, *UNDECODABLE) as error:
        yield Finding("package", "warning", f"slots.json could not be read: {error}")
        return
    good = state.outcome not in ("failed", "rolled_back")
    says = f"slot {state.confirmed} is confirmed, {state.outcome} {state.message}".rstrip()
    yield Finding("package", "ok" if good else "warning", says)


def _certificate(system: SystemView) -> Iterator[Finding]:
    left = system.certificate_expires_ms - system.started_ms
    whose = "your own" if system.own_certificate else "by Hauberk's CA"
    yield Finding(
        "certificate",
        "warning" if left < CERTIFICATE_WARN_MS else "ok",
        f"{whose}, for {', '.join(system.certificate_names)}, until "
        f"{when(system.certificate_expires_ms)}, SHA-256 {system.certificate_sha256}",
    )


def _agent(agent: AgentView) -> Iterator[Finding]:
    part = f"agent {agent.hostname}"
    good = agent.state == "online"
    yield Finding(
        part,
        "ok" if good else "warning",
        f"{agent.state}, version {agent.version}, last word {when(agent.last_beat_ms)}",
    )
    if agent.sensor:
        lost = agent.sensor.lost
        yield Finding(
            f"{part} sensor",
            "ok" if not lost and agent.sensor.tier != "none" else "warning",
            f"tier {agent.sensor.tier} by {', '.join(agent.sensor.sources) or 'nothing'}; "
            f"{agent.sensor.events} events, {lost} lost"
            + "".join(f"; {r}" for r in agent.sensor.reasons),
        )
    if agent.resources:
        r = agent.resources
        yield Finding(
            f"{part} cost",
            "ok",
            f"{r.cpu_s:.1f} CPU-seconds since start, {size(r.private_bytes)} private; granted "
            f"{r.background_grant_pct} % of the machine + {r.event_grant_pct} % of a core; spool "
            f"{size(r.spool_bytes)}, {r.spool_dropped} dropped",
        )

    if agent.budget:
        state = agent.budget
        held = state.by != "pacing" and not (state.backing_off or state.shed_level)
        yield Finding(f"{part} budget", "ok" if held else "note", "; ".join(words(state)))
    if good and agent.sensor:
        age = agent.sensor.proven_s
        yield Finding(
            f"{part} canary",
            "note" if age is None else "ok",
            "none has come back yet: the event path is not proven"
            if age is None
            else f"came back {age:.0f} s before its last word: the event path is alive",
        )


def _alarms(client: Client) -> Iterator[Finding]:
    found = [a for a in client.pages("/alarms", AlarmView, limit=100) if a.until_ms is None]
    for alarm in found:
        seen = f", seen by {alarm.acknowledged_by}" if alarm.acknowledged_by else ""
        yield Finding(
            f"alarm {alarm.hostname}",
            "warning",
            f"{alarm.kind}: {alarm.what} since {when(alarm.since_ms)}{seen}; {alarm.detail}",
        )
    if not found:
        yield Finding("alarms", "ok", "nobody is seen tampering with an agent")


def _freshness(client: Client, overview: Overview) -> Iterator[Finding]:
    subs = [s for c in overview.assets for s in c.subclasses]
    looked = [s for s in subs if s.state in ("assessed", "partial")]
    missing = [title(s.title) for s in subs if s.state == "not_collected"]
    waiting = [title(s.title) for s in subs if s.state == "not_assessed"]
    failed = [title(s.title) for s in subs if s.state == "error"]
    yield Finding(
        "assets",
        "ok" if looked else "warning",
        f"{len(looked)} of {len(subs)} subclasses looked at",
    )
    if failed:
        yield Finding("assets", "warning", f"could not be looked at: {', '.join(failed)}")
    if waiting:
        yield Finding("assets", "warning", f"not assessed: {', '.join(waiting)}")
    if missing:
        yield Finding("assets", "note", f"no collector yet: {', '.join(missing)}")
    yield from _problems(client)


def _problems(client: Client) -> Iterator[Finding]:
    ids = [a.workload for a in client.pages("/agents", AgentView)]
    for workload in dict.fromkeys(ids):
        detail = client.get(f"/workloads/{workload}", WorkloadDetail)
        for c in detail.collections:
            if c.problems:
                yield Finding(f"{detail.workload.hostname} {c.subclass}", "note", _first(c))


def _first(c: CollectionView) -> str:
    more = f" (and {len(c.problems) - 1} more)" if len(c.problems) > 1 else ""
    where, what = c.problems[0].where, c.problems[0].what
    return f"{c.outcome}: {what if what.startswith(where) else f'{where}: {what}'}{more}"


def _unprotected(overview: Overview) -> Iterator[Finding]:
    for name, value in (("risks", overview.risks), ("incidents", overview.incidents)):
        if value is None:
            yield Finding(name, "note", "not assessed: this version has no engine for it")
    yield Finding("blocking", "note", "nothing is blocked: this version observes only")

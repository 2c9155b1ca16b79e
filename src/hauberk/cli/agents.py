"""Agents: list, enrolment tokens, revoke; packages, upgrades, alarms."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from hauberk.cli import _output, _upgrade
from hauberk.cli._client import Client
from hauberk.cli._output import Output, size, when
from hauberk.schema.view import AgentView, EnrolmentInput, EnrolmentView, RolloutInput
from hauberk.schema.view_fleet import AlarmView, PackageView, RolloutAgentView, RolloutView

app = App(name="agents", help=__doc__)


@app.command(name="list")
def list_(
    *,
    filter: str | None = None,  # noqa: A002  # the API's own word
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """List agents with health, tier and cost."""
    found = list(Client(data, tenant=tenant).pages("/agents", AgentView, filter=filter))
    rows = [
        {
            "id": a.id,
            "host": a.hostname,
            "state": a.state,
            "version": a.version,
            "tier": a.sensor.tier if a.sensor else None,
            "lost": a.sensor.lost if a.sensor else None,
            "alarms": a.alarms or None,
            "memory": size(a.resources.private_bytes if a.resources else None),
            "beat": when(a.last_beat_ms),
            "workload": a.workload,
        }
        for a in found
    ]
    heads = [
        ("id", "AGENT"),
        ("host", "HOST"),
        ("state", "STATE"),
        ("version", "VERSION"),
        ("tier", "TIER"),
        ("lost", "LOST"),
        ("alarms", "ALARMS"),
        ("memory", "PRIVATE"),
        ("beat", "LAST BEAT"),
        ("workload", "WORKLOAD"),
    ]
    _output.rows_out(rows, heads, output, raw=found)


@app.command
def token(
    *,
    note: str = "",
    hours: float = 24,
    install: bool = False,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Make a one-time enrolment token and print the command for the new machine.

    Args:
        note: for people.
        hours: until it expires.
        install: the command for a machine that has nothing: it fetches the newest package too.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    wish = EnrolmentInput(note=note, ttl_s=int(hours * 3600))
    client = Client(data, tenant=tenant)
    if install:
        _upgrade.find(client, None)  # says what is missing before a token is made
    made = client.send("POST", "/enrolments", EnrolmentView, wish)
    if output == "table":
        print(made.install if install else made.command)
    else:
        _output.json_out(made)


@app.command
def revoke(agent: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Revoke an agent: its certificate is refused from now on."""
    Client(data, tenant=tenant).send("POST", f"/agents/{agent}/revoke", AgentView)
    print(f"agent {agent} is revoked")


@app.command
def alarms(
    *,
    filter: str = "open = true",  # noqa: A002  # the API's own word
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """List alarms of tampering.

    Args:
        filter: such as 'kind = file_changed'; "" for those that ended too.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    found = list(Client(data, tenant=tenant).pages("/alarms", AlarmView, filter=filter or None))
    rows = [
        {
            "kind": a.kind,
            "host": a.hostname,
            "what": a.what,
            "since": when(a.since_ms),
            "until": when(a.until_ms),
            "seen": a.acknowledged_by,
            "detail": a.detail,
            "id": a.id,
        }
        for a in found
    ]
    heads = [
        ("kind", "ALARM"),
        ("host", "HOST"),
        ("what", "WHAT"),
        ("since", "SINCE"),
        ("until", "UNTIL"),
        ("seen", "SEEN BY"),
        ("detail", "DETAIL"),
        ("id", "ID"),
    ]
    _output.rows_out(rows, heads, output, raw=found, empty="no alarm is open")


@app.command
def acknowledge(alarm: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Note that you have seen an alarm; it stays open for as long as its cause lasts."""
    Client(data, tenant=tenant).send("POST", f"/alarms/{alarm}/acknowledge", AlarmView)
    print(f"alarm {alarm} is acknowledged")


@app.command
def upgrade(
    *,
    package: str | None = None,
    filter: str = "",  # noqa: A002  # the API's own word
    canary: int = 1,
    soak: float = 300,
    max_failed: float = 10,
    downgrade: bool = False,
    watch: bool = False,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Upgrade agents in stages: the canary ring first, all others once it is healthy.

    Args:
        package: version, SHA-256 (or its beginning) or a file, which is added first; default: the
            newest.
        filter: which agents, such as 'site = "lab"'; default: all.
        canary: agents that get it first.
        soak: seconds that all of these must stay healthy.
        max_failed: percent of a ring; if more fail, the upgrade halts.
        downgrade: agents that run a newer package take it too.
        watch: wait for the end; the exit status tells whether all went well.
        output: table, json, ndjson or csv.
        data: data folder of the local server.
        tenant: act in this tenant (local socket only).
    """
    client = Client(data, tenant=tenant)
    what = _upgrade.find(client, package)
    wish = RolloutInput(
        sha256=what.sha256,
        filter=filter,
        canary=canary,
        soak_s=soak,
        max_failed_pct=max_failed,
        downgrade=downgrade,
    )
    view = client.send("POST", "/rollouts", RolloutView, wish)
    if watch:
        view = _upgrade.watch(client, view.id, quiet=output != "table")
    _rollouts_out([view], output)
    if watch:
        _upgrade.ended(view)


packages = App(name="packages", help="Agent packages: add, list, delete.")
rollouts = App(name="rollouts", help="Staged upgrades: list, show, pause, resume, cancel.")
app.command(packages)
app.command(rollouts)


@packages.command(name="list")
@packages.default
def packages_list(
    *, output: Output = "table", data: Path | None = None, tenant: str | None = None
) -> None:
    """List packages, the newest first, and how many agents run each."""
    found = list(Client(data, tenant=tenant).pages("/packages", PackageView))
    _packages_out(found, output)


@packages.command
def add(
    file: Path,
    *,
    note: str = "",
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Add a package that `make agent-bundle` built; the server signs it."""
    made = _upgrade.add(Client(data, tenant=tenant), file, note)
    _packages_out([made], output)


@packages.command
def delete(package: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Forget a package (version or SHA-256) that no rollout uses."""
    client = Client(data, tenant=tenant)
    known = _upgrade.find(client, package, files=False)
    client.delete(f"/packages/{known.sha256}")
    print(f"package {known.version} ({known.arch}) is deleted")


@rollouts.command(name="list")
@rollouts.default
def rollouts_list(
    *,
    filter: str | None = None,  # noqa: A002  # the API's own word
    limit: int = 50,
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """List rollouts, newest first."""
    client = Client(data, tenant=tenant)
    found = list(client.pages("/rollouts", RolloutView, limit=limit, filter=filter))
    _rollouts_out(found, output)


@rollouts.command
def show(
    rollout: str,
    *,
    filter: str | None = None,  # noqa: A002  # the API's own word
    output: Output = "table",
    data: Path | None = None,
    tenant: str | None = None,
) -> None:
    """Show each agent's way through a rollout, such as --filter 'state = failed'."""
    client = Client(data, tenant=tenant)
    found = list(client.pages(f"/rollouts/{rollout}/agents", RolloutAgentView, filter=filter))
    rows = [
        {
            "host": a.hostname,
            "ring": a.ring,
            "state": a.state,
            "version": a.version,
            "at": when(a.at_ms),
            "message": a.message,
            "agent": a.agent,
        }
        for a in found
    ]
    heads = [
        ("host", "HOST"),
        ("ring", "RING"),
        ("state", "STATE"),
        ("version", "VERSION"),
        ("at", "SINCE"),
        ("message", "MESSAGE"),
        ("agent", "AGENT"),
    ]
    _output.rows_out(rows, heads, output, raw=found)


@rollouts.command
def pause(rollout: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Offer the package to nobody else until it is resumed."""
    _order(data, tenant, rollout, "pause")


@rollouts.command
def resume(rollout: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """Go on with a rollout that is paused."""
    _order(data, tenant, rollout, "resume")


@rollouts.command
def cancel(rollout: str, *, data: Path | None = None, tenant: str | None = None) -> None:
    """End a rollout; agents that have not started keep what they run."""
    _order(data, tenant, rollout, "cancel")


def _order(data: Path | None, tenant: str | None, rollout: str, what: str) -> None:
    view = Client(data, tenant=tenant).send("POST", f"/rollouts/{rollout}/{what}", RolloutView)
    print(_upgrade.progress(view))


def _rollouts_out(found: list[RolloutView], output: Output) -> None:
    heads = [
        ("id", "ROLLOUT"),
        ("version", "VERSION"),
        ("state", "STATE"),
        ("agents", "AGENTS"),
        ("healthy", "HEALTHY"),
        ("bad", "FAILED"),
        ("by", "BY"),
        ("at", "BEGAN"),
        ("message", "MESSAGE"),
    ]
    _output.rows_out(_upgrade.rows(found), heads, output, raw=found, empty="no rollout yet")


def _packages_out(found: list[PackageView], output: Output) -> None:
    rows = [
        {
            "version": p.version,
            "sequence": p.sequence,
            "arch": p.arch,
            "size": size(p.size),
            "agents": p.agents,
            "note": p.note,
            "at": when(p.created_ms),
            "sha256": p.sha256,
        }
        for p in found
    ]
    heads = [
        ("version", "VERSION"),
        ("sequence", "SEQUENCE"),
        ("arch", "ARCH"),
        ("size", "SIZE"),
        ("agents", "AGENTS"),
        ("note", "NOTE"),
        ("at", "ADDED"),
        ("sha256", "SHA-256"),
    ]
    _output.rows_out(rows, heads, output, raw=found, empty="no package yet")

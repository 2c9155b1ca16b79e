from __future__ import annotations

import io

import msgspec
import pytest
from rolloutkit import FACTS, Machine, package
from sqlalchemy import select
from storekit import Kit, beat

from hauberk.errors import BadFilter, BadInput, Conflict, NotFound
from hauberk.schema.link import PackageState
from hauberk.schema.view import RolloutInput
from hauberk.store import rollouts
from hauberk.store.database import read
from hauberk.store.rollouts import Candidate, choose
from hauberk.store.tables import agent


def add(kit: Kit, tenant: str = "default", **more: object) -> str:
    got = kit.packages.receive(tenant, io.BytesIO(package(**more)))  # type: ignore[arg-type]
    kit.packages.add(tenant, got, note="", created_by="root")
    return got.sha256


def begin(kit: Kit, sha256: str, tenant: str = "default", **more: object) -> str:
    wish = RolloutInput(sha256=sha256, **more)  # type: ignore[arg-type]
    return rollouts.create(kit.engine, tenant, wish, created_by="ann", now_ns=kit.clock.wall)


def states(kit: Kit, name: str, tenant: str = "default") -> dict[str, tuple[str, str, str]]:
    page = rollouts.agents(
        kit.engine, tenant, name, text="", sort="", cursor=None, limit=100, now_ns=1
    )
    return {a.agent: (a.ring, a.state, a.message) for a in page.items}


def test_canaries_are_spread_over_sites_and_systems() -> None:
    fit = [
        Candidate(f"{site}{n}", "w", online=True, group=(site, "debian", "12"))
        for site in ("a", "b", "c")
        for n in range(3)
    ]
    off = Candidate("off", "w", online=False, group=("z", "", ""))
    assert choose([off, *fit], 3) == {"a0", "b0", "c0"}
    assert choose([off, *fit], 4) == {"a0", "b0", "c0", "a1"}
    assert len(choose([off, *fit], 50)) == 9
    assert choose([off], 2) == {"off"}
    assert choose(fit, 0) == frozenset()


def test_who_is_skipped_says_why(kit: Kit) -> None:
    sha256 = add(kit)
    good = Machine(kit.agents, kit.peer())
    good.beat()
    runs = Machine(kit.agents, kit.peer(), sha256)
    runs.beat()
    foreign = Machine(kit.agents, kit.peer())
    foreign.beat(facts=msgspec.structs.replace(FACTS, arch="aarch64"))
    newer = Machine(kit.agents, kit.peer())
    newer.state = msgspec.structs.replace(newer.state, sequence=99)
    newer.beat()
    source = kit.peer()
    kit.agents.beat(source, beat(facts=FACTS, package=PackageState(state="none")))
    never = kit.peer()
    gone = Machine(kit.agents, kit.peer())
    gone.beat(goodbye="uninstall")
    revoked = kit.peer()
    kit.agents.revoke("default", revoked.agent)
    name = begin(kit, sha256)
    found = states(kit, name)
    assert found[good.peer.agent] == ("canary", "waiting", "")
    for peer, reason in (
        (runs.peer, "it runs this package"),
        (foreign.peer, "architecture is aarch64, the package's x86_64"),
        (newer.peer, "a downgrade was not asked for"),
        (source, "not installed from a package"),
        (never, "not installed from a package"),
        (gone.peer, "uninstalled"),
        (revoked, "it is revoked"),
    ):
        assert found[peer.agent][1] == "skipped"
        assert reason in found[peer.agent][2]
    view = rollouts.view(kit.engine, "default", name)
    assert (view.state, view.total, view.states) == ("canary", 8, {"waiting": 1, "skipped": 7})
    with pytest.raises(Conflict, match="1 x it is in rollout"):
        begin(kit, sha256, filter=f'id = "{good.peer.agent}"')
    down = begin(kit, sha256, filter=f'id = "{newer.peer.agent}"', downgrade=True)
    assert states(kit, down)[newer.peer.agent][1] == "waiting"


def test_wrong_wishes_are_named(kit: Kit) -> None:
    sha256 = add(kit)
    Machine(kit.agents, kit.peer()).beat()
    for more, field in (
        ({"canary": -1}, "canary"),
        ({"soak_s": float("nan")}, "soak_s"),
        ({"soak_s": 1e9}, "soak_s"),
        ({"max_failed_pct": 101}, "max_failed_pct"),
        ({"filter": "x" * 5000}, "filter"),
        ({"filter": 'hostname = "none"'}, "filter"),
    ):
        with pytest.raises(BadInput) as caught:
            begin(kit, sha256, **more)
        assert caught.value.source == field
    with pytest.raises(BadFilter):
        begin(kit, sha256, filter="hostname ==")
    with pytest.raises(NotFound):
        begin(kit, "0" * 64)
    with pytest.raises(NotFound):
        begin(kit, sha256, "other")
    page = rollouts.page(kit.engine, "default", text="", cursor=None, limit=9, now_ns=1)
    assert page.items == []


def test_pause_resume_cancel_in_their_states_and_tenant_only(kit: Kit) -> None:
    sha256 = add(kit)
    machine = Machine(kit.agents, kit.peer())
    machine.beat()
    name = begin(kit, sha256)

    def order(what: rollouts.Order, tenant: str = "default") -> str:
        rollouts.order(kit.engine, tenant, name, what, now_ns=kit.clock.wall)
        return rollouts.view(kit.engine, "default", name).state

    with pytest.raises(NotFound):
        order("pause", "other")
    with pytest.raises(Conflict, match="cannot resume"):
        order("resume")
    assert order("pause") == "paused"
    with pytest.raises(Conflict, match="is paused"):
        order("pause")
    assert order("resume") == "canary"
    assert order("cancel") == "cancelled"
    with pytest.raises(Conflict, match="is cancelled"):
        order("cancel")
    assert states(kit, name)[machine.peer.agent][1] == "skipped"
    with read(kit.engine) as db:
        assert db.execute(select(agent.c.package)).scalar() == ""

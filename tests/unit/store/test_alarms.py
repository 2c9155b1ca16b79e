from __future__ import annotations

import pytest
from sqlalchemy import event, func, insert, select, update
from storekit import Kit, beat

from hauberk.errors import NotFound
from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Alarm, PackageState
from hauberk.schema.view_fleet import AlarmView
from hauberk.store import alarms, fleet
from hauberk.store.alarms import GRACE_S, MAX_KEPT, Silence
from hauberk.store.database import read, write
from hauberk.store.fleet import OFFLINE_S
from hauberk.store.tables import agent
from hauberk.store.tables_fleet import alarm, member

NEW = PackageState(state="none")


def listed(kit: Kit, text: str = "", tenant: str = "default") -> list[AlarmView]:
    return alarms.page(
        kit.engine, tenant, text=text, sort="", cursor=None, limit=100, now_ns=kit.clock.wall
    ).items


def told(kit: Kit, peer: Peer, *kinds: tuple[str, str], **more: object) -> None:
    since = kit.clock.wall - 5 * 10**9
    sent = [Alarm(kind=kind, what=what, since_ns=since, detail="d") for kind, what in kinds]  # type: ignore[arg-type]
    kit.agents.beat(peer, beat(alarms=sent, package=NEW, **more))


def quiet(kit: Kit) -> Silence:
    """A watcher past its grace."""
    made = Silence(kit.engine, kit.clock, lambda _t, _w: None)
    kit.clock.forward(GRACE_S)
    return made


def test_an_alarm_is_open_until_it_is_told_no_more(kit: Kit) -> None:
    heard: list[tuple[str, str]] = []
    kit.agents.on_alarm = lambda tenant, home: heard.append((tenant, home))
    peer = kit.peer()
    told(kit, peer, ("file_changed", "/opt/a"), ("sensor_detached", "exec"))
    told(kit, peer, ("file_changed", "/opt/a"), ("sensor_detached", "exec"))
    assert {(a.kind, a.until_ms) for a in listed(kit)} == {
        ("file_changed", None),
        ("sensor_detached", None),
    }
    assert fleet.agent_view(kit.engine, "default", peer.agent, kit.clock.wall).alarms == 2
    kit.clock.forward(10)
    told(kit, peer, ("file_changed", "/opt/a"))
    first, second = listed(kit)
    assert (first.kind, first.until_ms, second.kind) == ("file_changed", None, "sensor_detached")
    assert second.until_ms == kit.clock.wall // 10**6
    assert heard == [("default", peer.workload)] * 2
    assert [a.what for a in listed(kit, "open = false")] == ["exec"]


def test_one_that_comes_and_goes_is_one(kit: Kit) -> None:
    peer = kit.peer()
    for _ in range(5):
        told(kit, peer, ("file_changed", "/opt/a"))
        told(kit, peer)
        kit.clock.forward(5)
    assert len(listed(kit)) == 1
    kit.clock.forward(3600)
    told(kit, peer, ("file_changed", "/opt/a"))
    assert len(listed(kit)) == 2


def test_an_agent_cannot_fill_the_state(kit: Kit) -> None:
    peer = kit.peer()
    for turn in range(12):
        told(kit, peer, *(("file_changed", f"{turn}-{i}" + "x" * 9999) for i in range(100)))
    with read(kit.engine) as db:
        assert db.execute(select(func.count()).select_from(alarm)).scalar_one() == MAX_KEPT
        assert db.execute(select(func.max(func.length(alarm.c.what)))).scalar_one() == 512
    told(kit, peer, ("agent_silent", "forged"), ("agent_killed", "forged"))
    assert not [a for a in listed(kit) if a.kind.startswith("agent")]


def test_a_clock_ahead_does_not_open_in_the_future(kit: Kit) -> None:
    peer = kit.peer()
    far = Alarm(kind="file_changed", what="x", since_ns=2**62)
    kit.agents.beat(peer, beat(alarms=[far]))
    assert listed(kit)[0].since_ms == kit.clock.wall // 10**6


def test_killed_is_an_instance_without_goodbye_in_the_same_boot(kit: Kit) -> None:
    peer = kit.peer()
    kit.agents.beat(peer, beat("i-1", package=NEW))
    kit.clock.forward(7)
    kit.agents.beat(peer, beat("i-2", package=NEW))
    found = listed(kit)[0]
    assert (found.kind, found.agent, found.until_ms) == ("agent_killed", peer.agent, None)
    assert found.since_ms == (kit.clock.wall - 7 * 10**9) // 10**6
    kit.agents.beat(peer, beat("i-3", package=NEW))
    assert ["more than once" in a.detail for a in listed(kit)] == [True]
    view = alarms.acknowledge(
        kit.engine, "default", found.id, by="ann", now_ns=kit.clock.wall + 10**9
    )
    assert (view.acknowledged_by, view.until_ms is not None) == ("ann", True)
    again = alarms.acknowledge(kit.engine, "default", found.id, by="bob", now_ns=kit.clock.wall)
    assert again.acknowledged_by == "ann"
    with pytest.raises(NotFound):
        alarms.acknowledge(kit.engine, "other", found.id, by="x", now_ns=1)


def test_a_goodbye_a_reboot_and_an_old_agent_are_no_kill(kit: Kit) -> None:
    for bye in ("stopped", "upgrade", "uninstall"):
        peer = kit.peer()
        kit.agents.beat(peer, beat("i-1", package=NEW, goodbye=bye))
        assert fleet.agent_view(kit.engine, "default", peer.agent, 1).goodbye == bye
        kit.agents.beat(peer, beat("i-2", package=NEW))
        assert fleet.agent_view(kit.engine, "default", peer.agent, 1).goodbye == ""
    peer = kit.peer()
    kit.agents.beat(peer, beat("i-1", package=NEW))
    kit.agents.beat(peer, beat("i-2", package=NEW, boot="b-2"))
    old = kit.peer()
    kit.agents.beat(old, beat("i-1"))
    kit.agents.beat(old, beat("i-2"))
    assert listed(kit) == []


def test_silence_opens_and_a_beat_closes(kit: Kit) -> None:
    heard: list[tuple[str, str]] = []
    peer, stopped = kit.peer(), kit.peer()
    watch = Silence(kit.engine, kit.clock, lambda tenant, home: heard.append((tenant, home)))
    kit.clock.forward(GRACE_S)
    kit.agents.beat(peer, beat())
    kit.agents.beat(stopped, beat(goodbye="stopped"))
    last = kit.clock.wall
    kit.clock.forward(OFFLINE_S - 1)
    watch.step()
    assert listed(kit) == []
    kit.clock.forward(2)
    watch.step()
    watch.step()
    found = listed(kit)
    assert [(a.kind, a.agent, a.since_ms) for a in found] == [
        ("agent_silent", peer.agent, last // 10**6)
    ]
    assert fleet.agent_view(kit.engine, "default", stopped.agent, kit.clock.wall).state == "offline"
    kit.agents.beat(peer, beat())
    watch.step()
    assert listed(kit)[0].until_ms == kit.clock.wall // 10**6
    assert heard == [("default", peer.workload)] * 2


def test_a_fleet_that_falls_silent_at_once_takes_few_statements(kit: Kit) -> None:
    homes = [f"w{n}" for n in range(1200)]
    common = {"tenant": "default", "public_key": b"", "certificate_serial": ""}
    common |= {"certificate_expires_ns": 1, "enrolled_ns": 1, "last_beat_ns": kit.clock.wall}
    with write(kit.engine) as db:
        db.execute(insert(agent), [common | {"id": h, "workload": h} for h in homes])
    watch = quiet(kit)
    kit.clock.forward(OFFLINE_S + 1)
    said: list[str] = []

    def note(_db: object, _cursor: object, sql: str, *_more: object) -> None:
        said.append(sql)

    event.listen(kit.engine, "before_cursor_execute", note)
    assert watch.step().startswith("1200 fell silent")
    with write(kit.engine) as db:
        db.execute(update(agent).values(last_beat_ns=kit.clock.wall))
    assert watch.step().endswith("1200 ended")
    assert len(said) < 30


def test_revoked_agents_close_their_alarms(kit: Kit) -> None:
    peer = kit.peer()
    watch = quiet(kit)
    told(kit, peer, ("file_changed", "x"))
    kit.clock.forward(OFFLINE_S + 1)
    watch.step()
    kit.agents.revoke("default", peer.agent)
    watch.step()
    assert [a.until_ms is None for a in listed(kit)] == [False, False]


def test_an_outage_of_the_server_raises_none(kit: Kit) -> None:
    peers = [kit.peer() for _ in range(3)]
    for peer in peers:
        kit.agents.beat(peer, beat())
    kit.clock.forward(10 * 3600)
    watch = Silence(kit.engine, kit.clock, lambda _t, _w: None)
    assert "more to beat" in watch.step()
    for peer in peers[:2]:
        kit.agents.beat(peer, beat())
    kit.clock.forward(GRACE_S - 1)
    watch.step()
    assert listed(kit) == []
    for peer in peers[:2]:
        kit.agents.beat(peer, beat())
    kit.clock.forward(2)
    watch.step()
    assert [a.agent for a in listed(kit)] == [peers[2].agent]


@pytest.mark.parametrize("jump_s", [86_400, -86_400])
def test_a_clock_that_jumps_raises_none_and_hides_none(kit: Kit, jump_s: int) -> None:
    there, gone = kit.peer(), kit.peer()
    watch = quiet(kit)
    for peer in (there, gone):
        kit.agents.beat(peer, beat())
    kit.clock.wall += jump_s * 10**9
    watch.step()
    assert listed(kit) == []
    for _ in range(2 * GRACE_S // 60):
        kit.agents.beat(there, beat())
        kit.clock.forward(60)
        watch.step()
    assert [a.agent for a in listed(kit)] == [gone.agent]


def test_workers_alone_know_nothing_of_silence(kit: Kit) -> None:
    peer = kit.peer()
    watch = quiet(kit)
    kit.agents.beat(peer, beat())
    kit.clock.forward(OFFLINE_S + 1)
    row = {"id": "m", "role": "server", "host": "h", "pid": 1, "version": "1", "detail": "{}"}
    with write(kit.engine) as db:
        db.execute(insert(member).values(row | {"started_ns": 1, "seen_ns": 1}))
    watch.step()
    assert listed(kit) == []
    with write(kit.engine) as db:
        db.execute(update(member).values(started_ns=kit.clock.wall, seen_ns=kit.clock.wall))
    watch.step()
    assert listed(kit) == []
    with write(kit.engine) as db:
        started = kit.clock.wall - GRACE_S * 10**9
        db.execute(update(member).values(started_ns=started, seen_ns=kit.clock.wall))
    watch.step()
    assert [a.agent for a in listed(kit)] == [peer.agent]


def test_tenants_and_pages(kit: Kit) -> None:
    for tenant in ("default", "other"):
        for _ in range(3):
            told(kit, kit.peer(tenant), ("file_changed", "same"))
    with write(kit.engine) as db:
        db.execute(update(agent).values(last_beat_ns=kit.clock.wall))
    seen: list[str] = []
    cursor = None
    while True:
        page = alarms.page(
            kit.engine, "other", text="open = true", sort="", cursor=cursor, limit=2, now_ns=1
        )
        seen += [a.id for a in page.items]
        if (cursor := page.next) is None:
            break
    assert len(set(seen)) == len(seen) == 3
    assert not set(seen) & {a.id for a in listed(kit)}

"""Alarms of tampering: what agents tell with their beats, and what the server sees itself.

The server's own kinds are "agent_silent" (no beat and no goodbye: open until it beats again) and
"agent_killed" (an instance ended without a goodbye and another one of the same boot took over: open
until somebody acknowledges it). All others are open for as long as the agent tells them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.engine import RowMapping

from hauberk.errors import NotFound
from hauberk.link.gateway.identity import Peer
from hauberk.ports import Clock
from hauberk.schema.ids import uuid_from
from hauberk.schema.link import Alarm, AlarmKind
from hauberk.schema.view import Page
from hauberk.schema.view_fleet import AlarmView
from hauberk.store import query
from hauberk.store.database import read, write
from hauberk.store.fleet import MS, OFFLINE_S, ms_of
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent, workload
from hauberk.store.tables_fleet import alarm, member

# No agent counts as silent until all had this time to beat: after a start, after a clock's jump.
GRACE_S = OFFLINE_S + 120
MAX_TOLD = 64
# Rows that are kept of one agent: one that raises alarms without end must not fill the state.
MAX_KEPT = 500
# One that comes back within this time goes on: it did not begin anew.
_FLAP_NS = 600 * 1_000_000_000
_MAX_WHAT, _MAX_DETAIL = 512, 2048
_CHUNK = 500
_OWN: tuple[AlarmKind, ...] = ("agent_silent", "agent_killed")
_S = 1_000_000_000
_JUMP_NS = 30 * _S
_AHEAD_NS = 60 * _S
_ALIVE_NS = 60 * _S
# In ms; what is open sorts before everything else.
_OPEN_FIRST = 10**14
_encode = msgspec.json.Encoder(order="deterministic").encode

Publish = Callable[[str, str], None]
"""(tenant, workload): its alarms changed."""


def bounded(alarms: Sequence[Alarm]) -> list[Alarm]:
    """An agent's words, short, each (kind, what) once, without the server's own kinds."""
    short = {
        (one.kind, one.what[:_MAX_WHAT]): msgspec.structs.replace(
            one, what=one.what[:_MAX_WHAT], detail=one.detail[:_MAX_DETAIL]
        )
        for one in alarms[:MAX_TOLD]
        if one.kind not in _OWN
    }
    return [short[key] for key in sorted(short)]


def text_of(alarms: Sequence[Alarm]) -> str:
    """What an agent's row keeps of `bounded` alarms: (kind, what, detail), to see a change."""
    return _encode([(one.kind, one.what, one.detail) for one in alarms]).decode()


def told(db: Connection, peer: Peer, alarms: Sequence[Alarm], *, now_ns: int) -> None:
    """Open what an agent tells anew, close what it tells no more. `alarms` is `bounded`."""
    mine = and_(alarm.c.tenant == peer.tenant, alarm.c.agent == peer.agent, _is_open())
    rows = db.execute(
        select(alarm.c.id, alarm.c.kind, alarm.c.what).where(mine, alarm.c.kind.not_in(_OWN))
    ).all()
    known = {(kind, what): name for name, kind, what in rows}
    now = {(one.kind, one.what): one for one in alarms}
    fresh = [one for key, one in now.items() if key not in known]
    for key, one in now.items():
        if key in known:
            db.execute(update(alarm).where(alarm.c.id == known[key]).values(detail=one.detail))
    for one in fresh:
        if not _reopen(db, peer, one, now_ns):
            # A machine's clock may say anything, but nothing began after it was told.
            since = min(max(one.since_ns, 0), now_ns) or now_ns
            _open(db, peer.tenant, peer.workload, peer.agent, one, since)
    if fresh:
        _trim(db, peer)
    gone = [known[key] for key in known if key not in now]
    if gone:
        db.execute(update(alarm).where(alarm.c.id.in_(gone)).values(until_ns=now_ns))


def killed(db: Connection, peer: Peer, *, last_ns: int, now_ns: int) -> None:
    """An instance ended without a goodbye while its machine went on."""
    what = "agent"
    open_now = and_(
        alarm.c.tenant == peer.tenant,
        alarm.c.agent == peer.agent,
        alarm.c.kind == "agent_killed",
        _is_open(),
    )
    detail = "the agent ended without a goodbye (killed, or crashed) and was started again"
    again = f"{detail}; more than once"
    if db.execute(update(alarm).where(open_now).values(detail=again)).rowcount == 0:
        one = Alarm(kind="agent_killed", what=what, since_ns=last_ns, detail=detail)
        _open(db, peer.tenant, peer.workload, peer.agent, one, min(last_ns, now_ns))


class Silence:
    """The job that watches for silent agents; one per process, since it watches the clock too."""

    def __init__(self, engine: Engine, clock: Clock, publish: Publish) -> None:
        self._engine, self._clock, self._publish = engine, clock, publish
        self._quiet_until_ns = clock.mono_ns() + GRACE_S * _S
        self._offset_ns = clock.wall_ns() - clock.mono_ns()

    def step(self) -> str:
        """Open and close alarms; a line for people."""
        wall, mono = self._clock.wall_ns(), self._clock.mono_ns()
        jump = wall - mono - self._offset_ns
        self._offset_ns = wall - mono
        if abs(jump) > _JUMP_NS:
            self._quiet_until_ns = max(self._quiet_until_ns, mono + GRACE_S * _S)
        with write(self._engine) as db:
            closed = self._close(db, wall)
            opened: list[tuple[str, str]] = []
            left = self._grace(db, wall, mono)
            if not left:
                opened = self._open(db, wall)
        for tenant, home in {*opened, *closed}:
            self._publish(tenant, home)
        if left:
            return f"{len(closed)} ended; all agents have {left:.0f} s more to beat"
        return f"{len(opened)} fell silent, {len(closed)} ended"

    def _grace(self, db: Connection, wall: int, mono: int) -> float:
        """Seconds that agents still have, since this process or every gateway started late."""
        left = (self._quiet_until_ns - mono) / _S
        seen = db.execute(
            select(func.min(member.c.started_ns)).where(
                member.c.role == "server", member.c.seen_ns >= wall - _ALIVE_NS
            )
        ).scalar()
        if seen is not None:
            left = max(left, (seen + GRACE_S * _S - wall) / _S)
        elif db.execute(select(member.c.id).limit(1)).first() is not None:
            # Workers alone: no agent can beat now.
            left = max(left, float(GRACE_S))
        return max(left, 0.0)

    def _close(self, db: Connection, wall: int) -> list[tuple[str, str]]:
        # Times ahead were written before the clock jumped back: they would hide a silence.
        ahead = agent.c.last_beat_ns > wall + _AHEAD_NS
        db.execute(update(agent).where(ahead).values(last_beat_ns=wall))
        back = or_(
            agent.c.id.is_(None),
            agent.c.state != "active",
            agent.c.goodbye != "",
            agent.c.last_beat_ns >= wall - OFFLINE_S * _S,
        )
        over = or_(
            and_(alarm.c.kind == "agent_silent", back),
            # Nobody will ever say that these ended.
            and_(alarm.c.kind != "agent_killed", func.coalesce(agent.c.state, "") != "active"),
        )
        rows = db.execute(
            select(alarm.c.id, alarm.c.tenant, alarm.c.workload)
            .select_from(alarm.outerjoin(agent, agent.c.id == alarm.c.agent))
            .where(_is_open(), over)
        ).all()
        for first in range(0, len(rows), _CHUNK):
            where = alarm.c.id.in_([row[0] for row in rows[first : first + _CHUNK]])
            db.execute(update(alarm).where(where).values(until_ns=wall))
        return [(row[1], row[2]) for row in rows]

    def _open(self, db: Connection, wall: int) -> list[tuple[str, str]]:
        already = and_(
            alarm.c.tenant == agent.c.tenant,
            alarm.c.agent == agent.c.id,
            alarm.c.kind == "agent_silent",
            _is_open(),
        )
        rows = db.execute(
            select(agent.c.tenant, agent.c.workload, agent.c.id, agent.c.last_beat_ns).where(
                agent.c.state == "active",
                agent.c.goodbye == "",
                agent.c.last_beat_ns < wall - OFFLINE_S * _S,
                ~select(alarm.c.id).where(already).correlate(agent).exists(),
            )
        ).all()
        fresh: list[dict[str, Any]] = []
        for tenant, home, name, last in rows:
            one = Alarm(
                kind="agent_silent",
                what="agent",
                since_ns=last,
                detail="no sign of life and no goodbye: killed, cut off, or its machine is down",
            )
            fresh.append(_row(tenant, home, name, one, last))
        if fresh:
            # A network that fails silences a whole fleet at once.
            db.execute(insert(alarm), fresh)
        return [(row[0], row[1]) for row in rows]


def page(
    engine: Engine,
    tenant: str,
    *,
    text: str,
    sort: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[AlarmView]:
    """One page: what is open first, then the newest. Raises BadFilter, BadInput."""
    c = alarm.c
    since = c.since_ns // MS
    fields = {
        "id": Field("str", c.id, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "agent": Field("str", c.agent, nullable=False),
        "kind": Field("str", c.kind, nullable=False),
        "what": Field("str", c.what, nullable=False),
        "detail": Field("str", c.detail, nullable=False),
        "open": Field("bool", c.until_ns.is_(None), nullable=False),
        "since_ms": Field("int", since, nullable=False),
        "until_ms": Field("int", c.until_ns // MS),
        "acknowledged_by": Field("str", c.acknowledged_by, nullable=False),
        "acknowledged_ms": Field("int", c.acknowledged_ns // MS),
        "rank": Field(
            "int", case((_is_open(), since + literal(_OPEN_FIRST)), else_=since), nullable=False
        ),
    }
    listing = Listing(_rows(tenant), fields, c.id, "-rank", ("alarms", tenant))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
    items = [_view(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def acknowledge(engine: Engine, tenant: str, alarm_id: str, *, by: str, now_ns: int) -> AlarmView:
    """Note that somebody has seen it; the first one counts. Raises NotFound."""
    where = and_(alarm.c.tenant == tenant, alarm.c.id == alarm_id)
    with write(engine) as db:
        db.execute(
            update(alarm)
            .where(where, alarm.c.acknowledged_ns.is_(None))
            .values(acknowledged_by=by, acknowledged_ns=now_ns)
        )
        db.execute(
            update(alarm)
            .where(where, alarm.c.kind == "agent_killed", _is_open())
            .values(until_ns=now_ns)
        )
        row = db.execute(_rows(tenant).where(alarm.c.id == alarm_id)).mappings().first()
    if row is None:
        raise NotFound("no such alarm in this tenant")
    return _view(row)


def _reopen(db: Connection, peer: Peer, one: Alarm, now_ns: int) -> bool:
    last = (
        select(alarm.c.id)
        .where(
            alarm.c.tenant == peer.tenant,
            alarm.c.agent == peer.agent,
            alarm.c.kind == one.kind,
            alarm.c.what == one.what,
            alarm.c.until_ns > now_ns - _FLAP_NS,
        )
        .order_by(alarm.c.until_ns.desc())
        .limit(1)
    )
    name = db.execute(last).scalar()
    if name is None:
        return False
    change = update(alarm).where(alarm.c.id == name)
    db.execute(change.values(until_ns=None, detail=one.detail))
    return True


def _trim(db: Connection, peer: Peer) -> None:
    mine = and_(alarm.c.tenant == peer.tenant, alarm.c.agent == peer.agent)
    kept = db.execute(select(func.count()).select_from(alarm).where(mine)).scalar_one()
    if kept > MAX_KEPT:
        ended = select(alarm.c.id).where(mine, alarm.c.until_ns.is_not(None))
        oldest = ended.order_by(alarm.c.since_ns).limit(kept - MAX_KEPT)
        names = db.execute(oldest).scalars().all()
        db.execute(delete(alarm).where(alarm.c.id.in_(names)))


def _open(db: Connection, tenant: str, home: str, name: str, one: Alarm, since_ns: int) -> None:
    db.execute(insert(alarm).values(_row(tenant, home, name, one, since_ns)))


def _row(tenant: str, home: str, name: str, one: Alarm, since_ns: int) -> dict[str, Any]:
    return {
        "id": uuid_from(secrets.token_bytes(16)),
        "tenant": tenant,
        "workload": home,
        "agent": name,
        "kind": one.kind,
        "what": one.what,
        "detail": one.detail,
        "since_ns": since_ns,
    }


def _is_open() -> ColumnElement[bool]:
    return alarm.c.until_ns.is_(None)


def _rows(tenant: str) -> Select[Any]:
    home = and_(workload.c.tenant == alarm.c.tenant, workload.c.id == alarm.c.workload)
    return (
        select(alarm, workload.c.hostname)
        .select_from(alarm.outerjoin(workload, home))
        .where(alarm.c.tenant == tenant)
    )


def _view(row: RowMapping) -> AlarmView:
    return AlarmView(
        id=row["id"],
        workload=row["workload"],
        hostname=row["hostname"] or "",
        agent=row["agent"],
        kind=row["kind"],
        what=row["what"],
        detail=row["detail"],
        since_ms=row["since_ns"] // MS,
        until_ms=ms_of(row["until_ns"]),
        acknowledged_by=row["acknowledged_by"],
        acknowledged_ms=ms_of(row["acknowledged_ns"]),
    )

"""Columns of the lists as exports have them: the console's ids, titles and words.

The columns that a page shows come first, what else is known of a row after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from hauberk.api.reader import Cell, Reader, size
from hauberk.api.words import WORDS
from hauberk.errors import BadInput
from hauberk.schema import asset as schema
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.taxonomy import SUBCLASSES, Title
from hauberk.schema.text import display
from hauberk.schema.view import AgentView, AssetRow, AuditView, Change, EventRow, WorkloadView
from hauberk.store import inventory

GLANCE = 4
_NUMBER = Title("#", "#")
_ID = Title("ID", "ID")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file. `name` is the id that the console's table uses for it."""

    name: str
    title: Title
    shown: Callable[[Any, Reader], Cell]


def choose(columns: Sequence[Column], wanted: str) -> list[Column]:
    """The columns that a comma-separated list names, in its order; all for an empty list.

    Raises:
        BadInput: there is no such column.
    """
    if not wanted:
        return list(columns)
    by_name = {column.name: column for column in columns}
    names = dict.fromkeys(name.strip() for name in wanted.split(","))
    for name in names:
        if name not in by_name:
            known = ", ".join(by_name)
            raise BadInput(f"no column {name[:60]!r}; known: {known}", source="columns")
    return [by_name[name] for name in names]


def assets(subclass: str) -> list[Column]:
    """Rows of a subclass. Raises NotFound."""
    own = sorted(inventory.columns(subclass), key=lambda column: column.wide)
    columns = [_field(column) for column in own]
    common = [
        _text("hostname"),
        _moment("changed_ms"),
        Column("last_seen_ms", WORDS["field.last_seen_ms"], _last_seen),
        _text("label"),
        _moment("first_seen_ms"),
        _text("workload", "field.workload_id"),
        Column("id", _ID, lambda row, _: row.id),
    ]
    taken = {column.name for column in own}
    return columns + [column for column in common if column.name not in taken]


def events(table: str) -> list[Column]:
    """Events of a class."""
    own = sorted(schema.columns_of(EVENT_CLASSES[table]), key=lambda column: column.wide)
    return [
        _moment("time_ms", "field.time"),
        _text("hostname"),
        Column("activity_id", WORDS["field.activity"], _activity),
        # The time is the first column already.
        *(_field(column) for column in own if column.name not in {"time_ns", "activity_id"}),
        _moment("received_ms", "field.received"),
        _text("workload", "field.workload_id"),
    ]


def workloads() -> list[Column]:
    """Machines."""
    return [
        _text("hostname"),
        Column("agent", WORDS["field.agent"], _agent_state),
        Column("tier", WORDS["field.tier"], _workload_tier),
        Column("os", WORDS["field.os"], _os),
        _fact("kernel"),
        Column("kind", WORDS["field.machine"], lambda row, r: r.word(f"machine.{row.facts.kind}")),
        Column("roles", WORDS["workload.roles"], _roles),
        _fact("addresses"),
        Column("memory", WORDS["field.resources"], _resources),
        _moment("last_seen_ms", absent="age.never"),
        _fact("arch"),
        _text("site"),
        _fact("machine_id"),
        _moment("created_ms", "field.created"),
        _text("id", "field.workload_id"),
    ]


def agents() -> list[Column]:
    """Agents."""
    return [
        Column("state", WORDS["field.state"], lambda row, r: r.word(f"agent.{row.state}")),
        _text("hostname"),
        Column("alarms", WORDS["alarm.title"], lambda row, _: row.alarms),
        _moment("last_beat_ms", "agents.lastBeat", absent="age.never"),
        Column("tier", WORDS["field.tier"], _tier),
        Column("lost", WORDS["workload.eventsLost"], _lost),
        _text("version"),
        Column("package_state", WORDS["field.package_state"], _slot),
        Column("memory", WORDS["agents.memory"], _private),
        Column("desired", WORDS["agents.desired"], _desired),
        _moment(
            "certificate_expires_ms",
            "agents.certificate",
            name="certificate",
            absent="value.unknown",
        ),
        _moment("enrolled_ms", "agents.enrolled"),
        _text("site"),
        _text("workload", "field.workload_id"),
        _text("id", "field.agent"),
    ]


def changes() -> list[Column]:
    """The change log."""
    return [
        _moment("at_ms", "field.time"),
        Column("kind", WORDS["field.kind"], lambda row, r: r.word(f"change.{row.kind}")),
        Column("subclass", WORDS["field.subclass"], _subclass),
        _text("label"),
        Column("diff", WORDS["field.diff"], _difference),
        _text("hostname"),
        _text("workload", "field.workload_id"),
        Column("seq", _NUMBER, lambda row, _: row.seq),
        Column("asset", _ID, lambda row, _: row.asset),
    ]


def run_tasks() -> list[Column]:
    """The tasks of a run."""
    return [
        _text("hostname"),
        Column("kind", WORDS["field.kind"], lambda row, r: r.word(f"task.kind.{row.kind}")),
        Column("state", WORDS["task.state"], lambda row, r: r.word(f"task.states.{row.state}")),
        _text("created_by", "task.by"),
        _moment("created_ms", "field.created"),
        _moment("ended_ms", "task.ended"),
        _text("message", "task.message"),
        _text("workload", "field.workload_id"),
        Column("id", _ID, lambda row, _: row.id),
    ]


def audit() -> list[Column]:
    """The audit chain."""
    return [
        Column("seq", _NUMBER, lambda row, _: row.seq),
        _moment("at_ms", "field.time"),
        _text("actor", "audit.actor"),
        _text("action", "audit.action"),
        _text("target", "audit.target"),
        Column("detail", WORDS["audit.detail"], _detail),
        _text("hash", "audit.hash"),
    ]


def _text(name: str, key: str = "") -> Column:
    def shown(row: Any, reader: Reader) -> Cell:
        del reader
        return display(getattr(row, name))

    return Column(name, WORDS[key or f"field.{name}"], shown)


def _moment(attribute: str, key: str = "", *, name: str = "", absent: str = "") -> Column:
    def shown(row: Any, reader: Reader) -> Cell:
        none = reader.word(absent) if absent else ""
        return reader.stamp(getattr(row, attribute), none)

    return Column(name or attribute, WORDS[key or f"field.{attribute}"], shown)


def _field(column: schema.Column) -> Column:
    def shown(row: AssetRow | EventRow, reader: Reader) -> Cell:
        return reader.value(column, row.fields.get(column.name))

    return Column(column.name, column.title, shown)


def _fact(name: str) -> Column:
    def shown(row: WorkloadView, reader: Reader) -> Cell:
        value = getattr(row.facts, name)
        return reader.plain(name, value) if value else reader.word("value.unknown")

    return Column(name, WORDS[f"field.{name}"], shown)


def _last_seen(row: AssetRow, reader: Reader) -> Cell:
    if row.gone_ms is None:
        return reader.stamp(row.last_seen_ms)
    return f"{reader.word('assets.goneSince')} {reader.stamp(row.gone_ms)}"


def _activity(row: EventRow, reader: Reader) -> Cell:
    return reader.word(f"activity.{row.table}.{row.fields.get('activity_id', 0)}")


def current(row: WorkloadView) -> AgentView | None:
    """The agent that speaks for a machine now: the one heard last that is not revoked."""
    alive = [agent for agent in row.agents if agent.state != "revoked"]
    # Of equals the first, as the console's sort has it.
    return max(alive or row.agents, key=lambda agent: agent.last_beat_ms or 0, default=None)


def _agent_state(row: WorkloadView, reader: Reader) -> Cell:
    agent = current(row)
    return reader.word(f"agent.{agent.state}") if agent else reader.word("value.unknown")


def _workload_tier(row: WorkloadView, reader: Reader) -> Cell:
    return _tier(current(row), reader)


def _tier(agent: AgentView | None, reader: Reader) -> Cell:
    sensor = agent.sensor if agent else None
    return reader.word(f"tier.{sensor.tier}.short") if sensor else reader.word("tier.unknown")


def _os(row: WorkloadView, reader: Reader) -> Cell:
    known = f"{row.facts.os} {row.facts.os_version}".strip()
    return display(known) if known else reader.word("value.unknown")


def _roles(row: WorkloadView, reader: Reader) -> Cell:
    names = [display(reader.title(role.title)) for role in row.roles]
    return ", ".join(names) if names else reader.word("value.none")


def _resources(row: WorkloadView, reader: Reader) -> Cell:
    return reader.word("workload.size", cpus=row.facts.cpus, memory=size(row.facts.memory_bytes))


def _lost(row: AgentView, reader: Reader) -> Cell:
    return row.sensor.lost if row.sensor else reader.word("value.unknown")


def _slot(row: AgentView, reader: Reader) -> Cell:
    known = row.package
    return reader.word(f"slot.{known.state}.short" if known else "tier.unknown")


def _private(row: AgentView, reader: Reader) -> Cell:
    known = row.resources
    return size(known.private_bytes) if known else reader.word("value.unknown")


def _desired(row: AgentView, reader: Reader) -> Cell:
    have, want = row.acknowledged_version, row.desired_version
    return (
        reader.word("agents.current")
        if have >= want
        else reader.word("agents.behind", have=have, want=want)
    )


def _subclass(row: Change, reader: Reader) -> Cell:
    known = SUBCLASSES.get(row.subclass)
    return reader.title(known.title) if known else row.subclass


def _difference(row: Change, reader: Reader) -> Cell:
    known = SUBCLASSES.get(row.subclass)
    columns = {c.name: c for c in inventory.columns(row.subclass)} if known else {}

    def title(name: str) -> str:
        return display(reader.title(columns[name].title)) if name in columns else display(name)

    if row.kind == "changed":
        names = dict.fromkeys([*row.before, *row.after])
        return "; ".join(
            f"{title(n)} {reader.plain(n, row.before.get(n))} → {reader.plain(n, row.after.get(n))}"
            for n in names
        )
    fields = row.after if row.kind == "added" else row.before
    told = [
        f"{title(c.name)} {reader.plain(c.name, fields[c.name])}"
        for c in columns.values()
        if not c.wide and c.kind != "bool" and fields.get(c.name) not in (None, "", [])
    ]
    return "; ".join(told[:GLANCE])


def _detail(row: AuditView, reader: Reader) -> Cell:
    del reader
    parts = (
        f"{k}={v if isinstance(v, str) else msgspec.json.encode(v).decode()}"
        for k, v in row.detail.items()
    )
    return display(" ".join(parts))

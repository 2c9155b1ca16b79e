"""The tables of the SQL state. Every row, key and query carries its tenant.

Times are wall-clock nanoseconds. JSON columns hold msgspec-encoded JSON text. Schema changes go
through alembic (store/migrations); `metadata` is what the newest migration gives.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str, default: str | None = "") -> Column[str]:
    return Column(name, Text, nullable=default is None, server_default=default)


def _ns(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


tenant = Table("tenant", metadata, _key("id"), _text("title"), _ns("created_ns"))

user = Table(
    "user_account",
    metadata,
    _key("id"),
    _text("tenant"),
    _text("name"),
    _text("role"),
    _text("password_hash"),
    Column("disabled", Boolean, nullable=False, server_default="0"),
    _ns("created_ns"),
    _ns("last_login_ns", nullable=True),
    Index("user_name", "tenant", "name", unique=True),
)

session = Table(
    "session",
    metadata,
    _key("token_hash"),
    _text("tenant"),
    _text("user_id"),
    _text("csrf"),
    _ns("created_ns"),
    _ns("expires_ns"),
    _text("client"),
)

api_token = Table(
    "api_token",
    metadata,
    _key("id"),
    _text("tenant"),
    _text("name"),
    _text("role"),
    Column("token_hash", Text, nullable=False, unique=True),
    _text("created_by"),
    _ns("created_ns"),
    _ns("expires_ns"),
    _ns("last_used_ns", nullable=True),
    Index("api_token_name", "tenant", "name", unique=True),
)

audit = Table(
    "audit",
    metadata,
    _key("tenant"),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _ns("at_ns"),
    _text("actor"),
    _text("action"),
    _text("target"),
    _text("detail", "{}"),
    _text("prev_hash"),
    _text("hash"),
)

workload = Table(
    "workload",
    metadata,
    _key("tenant"),
    _key("id"),
    _text("hostname"),
    _text("site"),
    _text("facts", "{}"),
    _ns("created_ns"),
    _ns("last_seen_ns", nullable=True),
    # Stable on a workload until schedule or budget are replaced.
    Column("desired_version", Integer, nullable=False, server_default="0"),
    _text("schedule", "{}"),
    _text("budget", "{}"),
    Column("resync", Boolean, nullable=False, server_default="0"),
)

agent = Table(
    "agent",
    metadata,
    _key("id"),
    _text("tenant"),
    _text("workload"),
    Column("public_key", LargeBinary, nullable=False),
    _text("state", "active"),  # active, revoked, cloned
    _text("version"),
    _text("certificate_serial"),
    _ns("certificate_expires_ns", nullable=True),
    # A rotation is pending until the agent uses the new certificate: the answer may get lost.
    _text("next_serial"),
    Column("next_public_key", LargeBinary, nullable=True),
    _ns("next_expires_ns", nullable=True),
    _ns("enrolled_ns"),
    _ns("last_beat_ns", nullable=True),
    _ns("skew_ns", nullable=True),
    _text("instance"),
    _text("boot"),
    _text("sensor", "null"),
    _text("resources", "null"),
    Column("acknowledged_version", Integer, nullable=False, server_default="0"),
    Column("task_sequence", Integer, nullable=False, server_default="0"),
    Index("agent_workload", "tenant", "workload"),
)

agent_instance = Table(
    "agent_instance",
    metadata,
    _key("agent"),
    _key("instance"),
    _ns("first_ns"),
    _ns("last_ns"),
)

enrolment = Table(
    "enrolment",
    metadata,
    _key("id"),
    _text("tenant"),
    Column("secret_hash", Text, nullable=False, unique=True),
    _text("note"),
    _text("created_by"),
    _ns("created_ns"),
    _ns("expires_ns"),
    _ns("used_ns", nullable=True),
    _text("used_by"),
)

task = Table(
    "task",
    metadata,
    _key("id"),
    _text("tenant"),
    _text("workload"),
    _text("agent"),
    Column("sequence", Integer, nullable=False),
    _text("kind"),
    _text("state", "pending"),  # pending, sent, done, refused, failed, expired
    Column("signed", LargeBinary, nullable=False),
    _text("created_by"),
    _ns("created_ns"),
    _ns("not_after_ns"),
    _text("message"),
    _ns("ended_ns", nullable=True),
    Index("task_agent", "agent", "state"),
    Index("task_workload", "tenant", "workload", "created_ns"),
)

asset = Table(
    "asset",
    metadata,
    _key("tenant"),
    _key("workload"),
    _key("subclass"),
    _key("key"),
    _text("id"),
    _text("label"),
    _text("fields", "{}"),
    _ns("first_seen_ns"),
    _ns("changed_ns"),
    _ns("last_seen_ns"),
    _ns("gone_ns", nullable=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Index("asset_id", "tenant", "id", unique=True),
    Index("asset_list", "tenant", "subclass", "label", "id"),
)

asset_change = Table(
    "asset_change",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    _text("tenant"),
    _text("workload"),
    _text("subclass"),
    _text("asset"),
    _text("label"),
    _ns("at_ns"),
    _text("kind"),  # added, changed, removed
    _text("before", "{}"),
    _text("after", "{}"),
    Index("change_time", "tenant", "at_ns"),
    Index("change_workload", "tenant", "workload", "at_ns"),
    Index("change_asset", "tenant", "asset", "at_ns"),
)

collection = Table(
    "collection",
    metadata,
    _key("tenant"),
    _key("workload"),
    _key("subclass"),
    _text("outcome"),
    Column("rows", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    _ns("ended_ns"),
    _ns("received_ns"),
    Column("cpu_s", Float, nullable=False),
    _text("problems", "[]"),
    # When the whole subclass was last seen: unchanged rows are not sent again.
    _ns("proved_ns", nullable=True),
)

relation = Table(
    "relation",
    metadata,
    _key("tenant"),
    _key("workload"),
    _key("kind"),
    _key("src_subclass"),
    _key("src_key"),
    _key("dst_subclass"),
    _key("dst_key"),
    _text("evidence"),
    Index("relation_dst", "tenant", "workload", "dst_subclass", "dst_key"),
)

role = Table(
    "role",
    metadata,
    _key("tenant"),
    _key("workload"),
    _key("role"),
    _text("title_en"),
    _text("title_zh"),
    Column("confidence", Integer, nullable=False),
    _text("evidence", "[]"),
)

ledger = Table(
    "ledger",
    metadata,
    _key("tenant"),
    _key("workload"),
    _key("agent"),
    _key("capability"),
    Column("window_start_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("window_s", Float, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("shed", BigInteger, nullable=False),
    Index("ledger_time", "tenant", "workload", "window_start_ns"),
)

# Which parts of a full snapshot have come, until all did.
snapshot_part = Table(
    "snapshot_part",
    metadata,
    _key("tenant"),
    _key("workload"),
    _key("subclass"),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
)

consumer = Table(
    "consumer",
    metadata,
    _key("name"),
    Column("position", BigInteger, nullable=False, server_default="0"),
)

job = Table(
    "job",
    metadata,
    _key("id"),
    _text("kind"),
    _text("state", "waiting"),  # waiting, running, done, failed
    _text("lease_owner"),
    _ns("lease_until_ns", nullable=True),
    _ns("due_ns"),
    _ns("started_ns", nullable=True),
    _ns("ended_ns", nullable=True),
    _text("message"),
)

"""The tables of the SQL state. Every row, key and query carries its tenant.

Times are wall-clock nanoseconds. JSON columns hold msgspec-encoded JSON text. Schema changes go
through alembic (store/migrations); `metadata` is what the newest migration gives. Columns have the
types of `dialect`: texts are bytewise and numbers have 64 bits on every backend.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    LargeBinary,
    MetaData,
    Table,
    text,
)

from hauberk.store.dialect import JsonWords, Whole, Words

metadata = MetaData()


def key_column(name: str) -> Column[str]:
    """A text column of the primary key."""
    return Column(name, Words, primary_key=True)


def text_column(name: str, default: str | None = "") -> Column[str]:
    """Text, never null unless its default is None."""
    return Column(name, Words, nullable=default is None, server_default=default)


def json_column(name: str, default: str) -> Column[str]:
    """Encoded JSON, never null."""
    return Column(name, JsonWords, nullable=False, server_default=default)


def ns_column(name: str, *, nullable: bool = False) -> Column[int]:
    """Nanoseconds since 1970."""
    return Column(name, BigInteger, nullable=nullable)


tenant = Table("tenant", metadata, key_column("id"), text_column("title"), ns_column("created_ns"))

user = Table(
    "user_account",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("name"),
    text_column("role"),
    text_column("password_hash"),
    Column("disabled", Boolean, nullable=False, server_default="0"),
    ns_column("created_ns"),
    ns_column("last_login_ns", nullable=True),
    Index("user_name", "tenant", "name", unique=True),
)

session = Table(
    "session",
    metadata,
    key_column("token_hash"),
    text_column("tenant"),
    text_column("user_id"),
    text_column("csrf"),
    ns_column("created_ns"),
    ns_column("expires_ns"),
    text_column("client"),
)

api_token = Table(
    "api_token",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("name"),
    text_column("role"),
    Column("token_hash", Words, nullable=False, unique=True),
    text_column("created_by"),
    ns_column("created_ns"),
    ns_column("expires_ns"),
    ns_column("last_used_ns", nullable=True),
    Index("api_token_name", "tenant", "name", unique=True),
)

audit = Table(
    "audit",
    metadata,
    key_column("tenant"),
    Column("seq", Whole, primary_key=True, autoincrement=False),
    ns_column("at_ns"),
    text_column("actor"),
    text_column("action"),
    text_column("target"),
    json_column("detail", "{}"),
    text_column("prev_hash"),
    text_column("hash"),
)

workload = Table(
    "workload",
    metadata,
    key_column("tenant"),
    key_column("id"),
    text_column("hostname"),
    text_column("site"),
    json_column("facts", "{}"),
    ns_column("created_ns"),
    ns_column("last_seen_ns", nullable=True),
    # Stable on a workload until schedule or budget are replaced.
    Column("desired_version", Whole, nullable=False, server_default="0"),
    json_column("schedule", "{}"),
    json_column("budget", "{}"),
    Column("resync", Boolean, nullable=False, server_default="0"),
)

agent = Table(
    "agent",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("workload"),
    Column("public_key", LargeBinary, nullable=False),
    text_column("state", "active"),  # active, revoked, cloned
    text_column("version"),
    text_column("certificate_serial"),
    ns_column("certificate_expires_ns", nullable=True),
    # A rotation is pending until the agent uses the new certificate: the answer may get lost.
    text_column("next_serial"),
    Column("next_public_key", LargeBinary, nullable=True),
    ns_column("next_expires_ns", nullable=True),
    ns_column("enrolled_ns"),
    ns_column("last_beat_ns", nullable=True),
    ns_column("skew_ns", nullable=True),
    text_column("instance"),
    text_column("boot"),
    json_column("sensor", "null"),
    json_column("resources", "null"),
    Column("acknowledged_version", Whole, nullable=False, server_default="0"),
    Column("task_sequence", Whole, nullable=False, server_default="0"),
    json_column("package_state", "null"),
    json_column("budget_state", "null"),
    text_column("goodbye"),
    # SHA-256 of the package that it should run, "" to keep what runs.
    text_column("package"),
    Column("downgrade", Boolean, nullable=False, server_default="0"),
    # What the agent's last beat told of tampering.
    json_column("alarms", "[]"),
    Index("agent_workload", "tenant", "workload"),
)

agent_instance = Table(
    "agent_instance",
    metadata,
    key_column("agent"),
    key_column("instance"),
    ns_column("first_ns"),
    ns_column("last_ns"),
)

enrolment = Table(
    "enrolment",
    metadata,
    key_column("id"),
    text_column("tenant"),
    Column("secret_hash", Words, nullable=False, unique=True),
    text_column("note"),
    text_column("created_by"),
    ns_column("created_ns"),
    ns_column("expires_ns"),
    ns_column("used_ns", nullable=True),
    text_column("used_by"),
)

task = Table(
    "task",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("workload"),
    text_column("agent"),
    Column("sequence", Whole, nullable=False),
    text_column("kind"),
    text_column("state", "pending"),  # pending, sent, done, refused, failed, expired, cancelled
    Column("signed", LargeBinary, nullable=False),
    text_column("created_by"),
    ns_column("created_ns"),
    ns_column("not_after_ns"),
    text_column("message"),
    ns_column("ended_ns", nullable=True),
    text_column("run"),  # the run that it is a part of, "" for a single order
    Index("task_run", "tenant", "run", "state"),
    Index("task_agent", "agent", "state"),
    Index("task_workload", "tenant", "workload", "created_ns"),
    Index("task_due", "state", "not_after_ns"),
)

asset = Table(
    "asset",
    metadata,
    key_column("tenant"),
    key_column("workload"),
    key_column("subclass"),
    key_column("key"),
    text_column("id"),
    text_column("label"),
    json_column("fields", "{}"),
    ns_column("first_seen_ns"),
    ns_column("changed_ns"),
    ns_column("last_seen_ns"),
    ns_column("gone_ns", nullable=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Index("asset_id", "tenant", "id", unique=True),
    Index("asset_list", "tenant", "subclass", "label", "id"),
    # Of what is gone alone: a partial index in both databases.
    Index(
        "asset_gone",
        "gone_ns",
        sqlite_where=text("gone_ns IS NOT NULL"),
        postgresql_where=text("gone_ns IS NOT NULL"),
    ),
)

asset_change = Table(
    "asset_change",
    metadata,
    Column("seq", Whole, primary_key=True, autoincrement=True),
    text_column("tenant"),
    text_column("workload"),
    text_column("subclass"),
    text_column("asset"),
    text_column("label"),
    ns_column("at_ns"),
    text_column("kind"),  # added, changed, removed
    json_column("before", "{}"),
    json_column("after", "{}"),
    Index("change_time", "tenant", "at_ns"),
    Index("change_workload", "tenant", "workload", "at_ns"),
    Index("change_asset", "tenant", "asset", "at_ns"),
)

collection = Table(
    "collection",
    metadata,
    key_column("tenant"),
    key_column("workload"),
    key_column("subclass"),
    text_column("outcome"),
    Column("rows", Whole, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    ns_column("ended_ns"),
    ns_column("received_ns"),
    Column("cpu_s", Float, nullable=False),
    json_column("problems", "[]"),
    # When the whole subclass was last seen: unchanged rows are not sent again.
    ns_column("proved_ns", nullable=True),
)

relation = Table(
    "relation",
    metadata,
    key_column("tenant"),
    key_column("workload"),
    key_column("kind"),
    key_column("src_subclass"),
    key_column("src_key"),
    key_column("dst_subclass"),
    key_column("dst_key"),
    text_column("evidence"),
    Index("relation_dst", "tenant", "workload", "dst_subclass", "dst_key"),
)

role = Table(
    "role",
    metadata,
    key_column("tenant"),
    key_column("workload"),
    key_column("role"),
    text_column("title_en"),
    text_column("title_zh"),
    Column("confidence", Whole, nullable=False),
    json_column("evidence", "[]"),
)

ledger = Table(
    "ledger",
    metadata,
    key_column("tenant"),
    key_column("workload"),
    key_column("agent"),
    key_column("capability"),
    Column("window_start_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("window_s", Float, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("shed", BigInteger, nullable=False),
    Index("ledger_time", "tenant", "workload", "window_start_ns"),
    Index("ledger_start", "tenant", "window_start_ns"),
)

# Which parts of a full snapshot have come, until all did.
snapshot_part = Table(
    "snapshot_part",
    metadata,
    key_column("tenant"),
    key_column("workload"),
    key_column("subclass"),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Whole, primary_key=True, autoincrement=False),
)

consumer = Table(
    "consumer",
    metadata,
    key_column("name"),
    Column("position", BigInteger, nullable=False, server_default="0"),
)

job = Table(
    "job",
    metadata,
    key_column("id"),
    text_column("kind"),
    text_column("state", "waiting"),  # waiting, running, done, failed
    text_column("lease_owner"),
    ns_column("lease_until_ns", nullable=True),
    ns_column("due_ns"),
    ns_column("started_ns", nullable=True),
    ns_column("ended_ns", nullable=True),
    text_column("message"),
)

"""Leases and marks of workers, saved views, runs, packages, rollouts, alarms."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from hauberk.store.dialect import Whole, Words

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, default: str = "") -> sa.Column[Any]:
    return sa.Column(name, Words(), nullable=False, server_default=default)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, Words(), primary_key=True)


def _ns(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default="0")


def upgrade() -> None:
    with op.batch_alter_table("agent") as table:
        table.add_column(_text("package_state", "null"))
        table.add_column(_text("budget_state", "null"))
        table.add_column(_text("goodbye"))
        table.add_column(_text("package"))
        table.add_column(_flag("downgrade"))
        table.add_column(_text("alarms", "[]"))
    with op.batch_alter_table("task") as table:
        table.add_column(_text("run"))
        table.create_index("task_run", ["tenant", "run", "state"])
        table.create_index("task_due", ["state", "not_after_ns"])
    op.create_index(
        "asset_gone",
        "asset",
        ["gone_ns"],
        sqlite_where=sa.text("gone_ns IS NOT NULL"),
        postgresql_where=sa.text("gone_ns IS NOT NULL"),
    )
    op.create_index("ledger_start", "ledger", ["tenant", "window_start_ns"])
    op.create_table(
        "lease",
        _key("name"),
        _text("owner"),
        _ns("until_ns"),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_table(
        "mark",
        _key("consumer"),
        _key("agent"),
        _key("boot"),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        _ns("at_ns"),
    )
    op.create_index("mark_time", "mark", ["at_ns"])
    op.create_table(
        "poison",
        _key("tenant"),
        _key("consumer"),
        _key("agent"),
        _key("boot"),
        sa.Column("sequence", sa.BigInteger(), primary_key=True),
        _key("table_name"),
        _text("workload"),
        _text("reason"),
        _text("blob"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        _ns("at_ns"),
    )
    op.create_index("poison_time", "poison", ["tenant", "at_ns"])
    op.create_table(
        "member",
        _key("id"),
        _text("role"),
        _text("host"),
        sa.Column("pid", Whole, nullable=False),
        _text("version"),
        _ns("started_ns"),
        _ns("seen_ns"),
        _text("detail", "{}"),
    )
    op.create_table(
        "saved_view",
        _key("id"),
        _text("tenant"),
        _text("owner"),
        _text("name"),
        _text("path"),
        _text("query"),
        sa.Column("shared", sa.Boolean(), nullable=False, server_default="0"),
        _ns("created_ns"),
        _ns("updated_ns"),
    )
    op.create_index("saved_view_owner", "saved_view", ["tenant", "owner", "name"], unique=True)
    op.create_table(
        "run",
        _key("id"),
        _text("tenant"),
        _text("kind"),
        _text("args", "{}"),
        _text("filter"),
        _text("state", "running"),
        sa.Column("total", Whole, nullable=False, server_default="0"),
        _text("created_by"),
        _ns("created_ns"),
        _ns("not_after_ns"),
        _ns("ended_ns", nullable=True),
    )
    op.create_index("run_time", "run", ["tenant", "created_ns"])
    op.create_table(
        "package",
        _key("tenant"),
        _key("sha256"),
        _text("version"),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        _text("arch"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        _text("note"),
        _text("created_by"),
        _ns("created_ns"),
    )
    op.create_table(
        "rollout",
        _key("id"),
        _text("tenant"),
        _text("sha256"),
        _text("filter"),
        _text("state", "canary"),
        _text("ring", "canary"),
        sa.Column("canary", Whole, nullable=False),
        sa.Column("soak_s", sa.Float(), nullable=False),
        sa.Column("max_failed_pct", sa.Float(), nullable=False),
        _flag("downgrade"),
        _text("message"),
        _text("created_by"),
        _ns("created_ns"),
        _ns("ring_ns", nullable=True),
        _ns("ended_ns", nullable=True),
    )
    op.create_index("rollout_time", "rollout", ["tenant", "created_ns"])
    op.create_table(
        "rollout_agent",
        _key("tenant"),
        _key("rollout"),
        _key("agent"),
        _text("workload"),
        _text("ring"),
        _text("state", "waiting"),
        _text("message"),
        _ns("at_ns", nullable=True),
    )
    op.create_index("rollout_agent_agent", "rollout_agent", ["agent"])
    op.create_table(
        "alarm",
        _key("id"),
        _text("tenant"),
        _text("workload"),
        _text("agent"),
        _text("kind"),
        _text("what"),
        _text("detail"),
        _ns("since_ns"),
        _ns("until_ns", nullable=True),
        _text("acknowledged_by"),
        _ns("acknowledged_ns", nullable=True),
    )
    op.create_index("alarm_open", "alarm", ["tenant", "agent", "kind", "what"])
    op.create_index("alarm_time", "alarm", ["tenant", "since_ns"])

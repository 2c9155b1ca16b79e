"""Tables of workers and of what is done to a fleet, in the same metadata as `tables`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, Table

from hauberk.store.dialect import Whole
from hauberk.store.tables import json_column, key_column, metadata, ns_column, text_column

# Who may do something alone: a partition of the inbox, for now. `fence` rises with every owner, and
# what an owner writes is checked against it in the same transaction.
lease = Table(
    "lease",
    metadata,
    key_column("name"),
    text_column("owner"),
    ns_column("until_ns"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
)

# Highest sequence that a consumer has of an agent's boot: for inboxes that may give one twice.
mark = Table(
    "mark",
    metadata,
    key_column("consumer"),
    key_column("agent"),
    key_column("boot"),
    Column("sequence", BigInteger, nullable=False),
    ns_column("at_ns"),
    Index("mark_time", "at_ns"),
)

# Processes of this deployment, each says so itself every few seconds.
member = Table(
    "member",
    metadata,
    key_column("id"),
    text_column("role"),  # server, worker
    text_column("host"),
    Column("pid", Whole, nullable=False),
    text_column("version"),
    ns_column("started_ns"),
    ns_column("seen_ns"),
    json_column("detail", "{}"),
)

saved_view = Table(
    "saved_view",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("owner"),
    text_column("name"),
    text_column("path"),  # of the console, such as /inventory/software.os_package
    text_column("query"),  # the page's own search string
    Column("shared", Boolean, nullable=False, server_default="0"),
    ns_column("created_ns"),
    ns_column("updated_ns"),
    Index("saved_view_owner", "tenant", "owner", "name", unique=True),
)

# One order to many machines; its tasks say how far it is.
run = Table(
    "run",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("kind"),
    json_column("args", "{}"),
    text_column("filter"),
    text_column("state", "running"),  # running, done, cancelled
    Column("total", Whole, nullable=False, server_default="0"),
    text_column("created_by"),
    ns_column("created_ns"),
    ns_column("not_after_ns"),
    ns_column("ended_ns", nullable=True),
    Index("run_time", "tenant", "created_ns"),
)

package = Table(
    "package",
    metadata,
    key_column("tenant"),
    key_column("sha256"),
    text_column("version"),
    Column("sequence", BigInteger, nullable=False),
    text_column("arch"),
    Column("size", BigInteger, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    text_column("note"),
    text_column("created_by"),
    ns_column("created_ns"),
)

rollout = Table(
    "rollout",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("sha256"),
    text_column("filter"),
    text_column("state", "canary"),  # canary, all, paused, done, halted, cancelled
    text_column("ring", "canary"),  # which ring is under way, also while paused
    Column("canary", Whole, nullable=False),
    Column("soak_s", Float, nullable=False),
    Column("max_failed_pct", Float, nullable=False),
    Column("downgrade", Boolean, nullable=False, server_default="0"),
    text_column("message"),
    text_column("created_by"),
    ns_column("created_ns"),
    ns_column("ring_ns", nullable=True),  # when this ring was whole
    ns_column("ended_ns", nullable=True),
    Index("rollout_time", "tenant", "created_ns"),
)

rollout_agent = Table(
    "rollout_agent",
    metadata,
    key_column("tenant"),
    key_column("rollout"),
    key_column("agent"),
    text_column("workload"),
    text_column("ring"),  # canary, all
    text_column(
        "state", "waiting"
    ),  # waiting, offered, trial, healthy, rolled_back, failed, skipped
    text_column("message"),
    ns_column("at_ns", nullable=True),
    Index("rollout_agent_agent", "agent"),
)

alarm = Table(
    "alarm",
    metadata,
    key_column("id"),
    text_column("tenant"),
    text_column("workload"),
    text_column("agent"),
    text_column("kind"),
    text_column("what"),
    text_column("detail"),
    ns_column("since_ns"),
    ns_column("until_ns", nullable=True),
    text_column("acknowledged_by"),
    ns_column("acknowledged_ns", nullable=True),
    Index("alarm_open", "tenant", "agent", "kind", "what"),
    Index("alarm_time", "tenant", "since_ns"),
)

# Tables of batches that a consumer could not use; the envelope is the tenant's blob `blob`.
poison = Table(
    "poison",
    metadata,
    key_column("tenant"),
    key_column("consumer"),
    key_column("agent"),
    key_column("boot"),
    Column("sequence", BigInteger, primary_key=True),
    key_column("table_name"),
    text_column("workload"),
    text_column("reason"),
    text_column("blob"),
    Column("size", BigInteger, nullable=False),
    ns_column("at_ns"),
    Index("poison_time", "tenant", "at_ns"),
)

"""Entry point of alembic: runs the revisions over the connection that `database.migrate` gives."""

from __future__ import annotations

from alembic import context

from hauberk.store import tables, tables_fleet

# Importing it adds its tables.
_ = tables_fleet
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,
    # Our transactions are real ones: the driver opens none by itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

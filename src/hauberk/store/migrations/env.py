"""Entry point of alembic: runs the revisions over the connection that `database.migrate` gives."""

from __future__ import annotations

from alembic import context

from hauberk.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    # Our transactions are real ones: the driver opens none by itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""When a subclass was last seen whole on a workload."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("collection") as table:
        table.add_column(sa.Column("proved_ns", sa.BigInteger(), nullable=True))

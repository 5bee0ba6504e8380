"""A source can be bound to a topic of its own."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE hr_sources ADD COLUMN topic text UNIQUE")


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

"""How many people a tenant's changes of profiles and mapping have made this service evaluate anew on its last day with such a change."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE tenants ADD COLUMN reevaluations_on date, ADD COLUMN reevaluations bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

"""The numbers of each pool as the action log has last written them: `from` of the entry that changes them next."""

from alembic import op

from shared.database.tenancy import protect

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE pool_numbers (
            tenant_id text NOT NULL, module text NOT NULL, licences int, next_period int, policies text, PRIMARY KEY (tenant_id, module)
        )
    """)
    protect(op, "pool_numbers")

"""Let people sign in again whose accounts at an identity provider earlier releases left bound to the person they were before a link."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENT = """
DELETE FROM identities USING people
WHERE people.tenant_id = identities.tenant_id AND people.user_id = identities.user_id AND people.status = 'expected'
AND NOT EXISTS (SELECT 1 FROM timelines WHERE timelines.tenant_id = people.tenant_id AND timelines.user_id = people.user_id)
"""


def upgrade() -> None:
    op.execute(STATEMENT)


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

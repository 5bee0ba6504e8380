"""Let a job look at people whom no source employs on any day: earlier releases listed them nowhere, and never erased them.

It also finds those who belong to somebody else since an administrator linked other people: earlier releases left their timelines behind.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENT = """
UPDATE people SET reconsider_on = created_at::date
WHERE status = 'expected' AND reconsider_on IS NULL AND erased_at IS NULL
AND EXISTS (SELECT 1 FROM timelines WHERE timelines.tenant_id = people.tenant_id AND timelines.user_id = people.user_id)
"""


def upgrade() -> None:
    op.execute(STATEMENT)
    op.execute("CREATE INDEX people_expected ON people (tenant_id, source, external_id) WHERE status = 'expected'")


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

"""Let a job erase people who were linked with somebody whom earlier releases erased: other services know them by their own ids."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENT = """
UPDATE people SET reconsider_on = created_at::date
WHERE status = 'expected' AND reconsider_on IS NULL AND erased_at IS NULL
AND NOT EXISTS (SELECT 1 FROM timelines WHERE timelines.tenant_id = people.tenant_id AND timelines.user_id = people.user_id)
AND EXISTS (
    SELECT 1 FROM erased_timelines WHERE erased_timelines.tenant_id = people.tenant_id
    AND erased_timelines.key_hash = sha256(convert_to(concat(people.source, chr(31), people.external_id), 'UTF8'))
)
"""


def upgrade() -> None:
    op.execute(STATEMENT)


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

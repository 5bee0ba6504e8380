"""Let the link of an invitation end because the person has another e-mail address."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE invitation_tokens DROP CONSTRAINT invitation_tokens_ended_check")
    op.execute("ALTER TABLE invitation_tokens ADD CHECK (ended IN ('accepted', 'expired', 'replaced', 'readdressed'))")


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

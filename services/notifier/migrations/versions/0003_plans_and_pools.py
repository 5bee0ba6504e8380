"""What e-mails say of buying: the plans, the plan of each subscription, and the pools that are open."""

from alembic import op

from shared.database.tenancy import protect

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("CREATE TABLE plans (plan text PRIMARY KEY, version int NOT NULL, facts jsonb NOT NULL)")
    op.execute("CREATE TABLE subscriptions (tenant_id text PRIMARY KEY, plan text NOT NULL, term text NOT NULL)")
    op.execute("CREATE TABLE open_pools (tenant_id text, module text, base boolean NOT NULL, PRIMARY KEY (tenant_id, module))")
    for table in ("subscriptions", "open_pools"):
        protect(op, table)

"""Recipients, notices, mails and the action log."""

from alembic import op

from shared.database import tables
from shared.database.tenancy import protect

revision = "0001"
down_revision = None

TENANT_TABLES = ("tenants", "tenant_clocks", "people", "quotes", "notices", "mails", "actions", "action_log_tenants", "rejected_commands")

RECIPIENTS = """
CREATE TABLE tenants (
    tenant_id text PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    locale text NOT NULL,
    clock text NOT NULL,
    contact_email text NOT NULL,
    support_contact text NOT NULL,
    read_to bigint NOT NULL  -- offset of the event that said so: an older one changes nothing
);

-- What seats said of a tenant's time; apart from `tenants`, for either can be read first.
CREATE TABLE tenant_clocks (tenant_id text PRIMARY KEY, clock text NOT NULL, at timestamptz NOT NULL);

CREATE TABLE people (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    administrator boolean NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

CREATE INDEX people_administrators ON people (tenant_id) WHERE administrator;

CREATE TABLE modules (module text PRIMARY KEY, name text NOT NULL);

CREATE TABLE quotes (
    tenant_id text NOT NULL,
    quote_id text NOT NULL,
    terms jsonb NOT NULL,
    PRIMARY KEY (tenant_id, quote_id)
);
"""

MAILS = """
CREATE TABLE notices (
    tenant_id text NOT NULL,
    key text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    audience text NOT NULL,
    stream text NOT NULL,
    kind text NOT NULL,
    user_id text,
    module text,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    noticed_at timestamptz NOT NULL,  -- wall time: what gathering goes by
    state text NOT NULL DEFAULT 'gathering' CHECK (state IN ('gathering', 'waiting', 'mailed', 'dropped')),
    waiting_since timestamptz,  -- the tenant's time
    PRIMARY KEY (tenant_id, key)
);

CREATE INDEX notices_gathering ON notices (tenant_id, audience, stream, user_id) WHERE state = 'gathering';

CREATE INDEX notices_waiting ON notices (tenant_id, user_id) WHERE state = 'waiting';

CREATE TABLE mails (
    tenant_id text NOT NULL,
    mail_id text NOT NULL,  -- made of the notices' keys and the recipient, so that nothing is queued twice
    seq bigint GENERATED ALWAYS AS IDENTITY,
    stream text NOT NULL,
    user_id text,
    recipient text NOT NULL,
    recipient_name text NOT NULL,
    subject text NOT NULL,
    body_text text NOT NULL,
    body_html text NOT NULL,
    invoices jsonb NOT NULL,  -- whose PDFs are attached when it is sent: [{"invoice": ..., "number": ...}]
    notices int NOT NULL,
    at timestamptz NOT NULL,  -- the tenant's time
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    error text,
    queued_at timestamptz NOT NULL,
    sent_at timestamptz,
    PRIMARY KEY (tenant_id, mail_id)
);

CREATE INDEX mails_due ON mails (next_attempt_at) WHERE state IN ('queued', 'sending');

CREATE INDEX mails_listed ON mails (tenant_id, seq);

-- The first start: nothing older is mailed, and nothing is mailed before users was asked to tell tenants and people again.
CREATE TABLE starts (one boolean PRIMARY KEY DEFAULT true CHECK (one), mark_at timestamptz NOT NULL, republished_at timestamptz);
"""

ACTIONS = """
CREATE TABLE actions (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    event_id text NOT NULL,
    part int NOT NULL,
    at timestamptz NOT NULL,  -- the tenant's time
    recorded_at timestamptz NOT NULL DEFAULT now(),
    actor_kind text,  -- none: whoever began the chain of `correlation`
    actor_id text,
    type text NOT NULL,
    event_type text NOT NULL,
    user_id text,
    module text,
    subject text,
    old text,
    new text,
    changes jsonb NOT NULL,  -- [[field, old, new], ...]
    reason text NOT NULL,
    details jsonb NOT NULL,
    position_partition int,
    position_offset bigint,
    correlation text NOT NULL,
    UNIQUE (tenant_id, event_id, part)
);

-- The tenants of which the log has read that they were created or opened.
CREATE TABLE action_log_tenants (tenant_id text PRIMARY KEY);

CREATE INDEX actions_listed ON actions (tenant_id, at, seq);

CREATE INDEX actions_of_person ON actions (tenant_id, user_id, at, seq) WHERE user_id IS NOT NULL;

CREATE INDEX actions_of_subject ON actions (tenant_id, subject, seq) WHERE subject IS NOT NULL;

CREATE INDEX actions_of_chain ON actions (tenant_id, correlation) WHERE actor_id IS NOT NULL AND position_offset IS NULL;

CREATE INDEX actions_counted ON actions (tenant_id, type, user_id, module) WHERE type IN ('seat_flagged', 'seat_refused', 'seat_revoked');

-- The log is for ever as it was written, whoever is connected.
CREATE FUNCTION actions_are_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the action log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER actions_append_only BEFORE UPDATE OR DELETE ON actions FOR EACH ROW EXECUTE FUNCTION actions_are_for_ever();

CREATE TRIGGER actions_no_truncate BEFORE TRUNCATE ON actions FOR EACH STATEMENT EXECUTE FUNCTION actions_are_for_ever();

-- Commands that seats answered with a rejection or a failure, for the operator's list.
CREATE TABLE rejected_commands (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id text PRIMARY KEY,
    tenant_id text NOT NULL,  -- empty: the command's tenant could not be told
    type text NOT NULL,
    command text NOT NULL,
    partition int NOT NULL,
    command_offset bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    tables.create(op)
    for script in (RECIPIENTS, MAILS, ACTIONS):
        for statement in script.split("\n\n"):  # the driver takes one statement at a time
            op.execute(statement)
    for table in TENANT_TABLES:
        protect(op, table)

"""Recipients, notifications, e-mails and the action log."""

from alembic import op

from shared.database import tables
from shared.database.tenancy import protect

revision = "0001"
down_revision = None

TENANT_TABLES = (
    "tenants", "tenant_clocks", "people", "quotes", "subscriptions", "open_pools", "expansion_limits", "notifications", "emails", "actions",
    "action_log_tenants", "pool_numbers", "rejected_commands",
)  # fmt: skip

RECIPIENTS = """
CREATE TABLE tenants (
    tenant_id text PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    locale text NOT NULL,
    clock text NOT NULL,
    contact_email text NOT NULL,
    support_contact text NOT NULL,
    read_to bigint NOT NULL
);

CREATE TABLE tenant_clocks (tenant_id text PRIMARY KEY, clock text NOT NULL, at timestamptz NOT NULL);

CREATE TABLE people (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    rights text[] NOT NULL,
    departments text[],  -- those whose people this person sees; null: all
    department text,
    may_sign_in boolean NOT NULL,
    digests boolean NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL,
    login text NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

CREATE INDEX people_rights ON people (tenant_id) WHERE cardinality(rights) > 0;
"""

CATALOGUE = """
CREATE TABLE modules (module text PRIMARY KEY, name text NOT NULL);

CREATE TABLE plans (
    plan text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    allows_extra_licences boolean NOT NULL,
    prices jsonb NOT NULL,
    PRIMARY KEY (plan, version)
);

CREATE TABLE subscriptions (
    tenant_id text PRIMARY KEY, plan text NOT NULL, plan_version bigint NOT NULL, term text NOT NULL
);

CREATE TABLE open_pools (tenant_id text NOT NULL, module text NOT NULL, base boolean NOT NULL, PRIMARY KEY (tenant_id, module));

CREATE TABLE expansion_limits (
    tenant_id text NOT NULL, module text NOT NULL, limited_by text NOT NULL, PRIMARY KEY (tenant_id, module)
);

CREATE TABLE quotes (
    tenant_id text NOT NULL,
    quote text NOT NULL,
    currency text NOT NULL,
    net_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    gross_minor bigint NOT NULL,
    charge text NOT NULL,
    credit_net_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, quote)
);
"""

EMAILS = """
CREATE TABLE notifications (
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
    received_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'collecting' CHECK (state IN ('collecting', 'waiting', 'emailed', 'dropped')),
    waiting_since timestamptz,  -- the tenant's time
    PRIMARY KEY (tenant_id, key)
);

CREATE INDEX notifications_collecting ON notifications (tenant_id, audience, stream, user_id) WHERE state = 'collecting';

CREATE INDEX notifications_waiting ON notifications (tenant_id, user_id) WHERE state = 'waiting';

CREATE TABLE emails (
    tenant_id text NOT NULL,
    email_id text NOT NULL,  -- made of the notifications' keys and the recipient, so that nothing is queued twice
    seq bigint GENERATED ALWAYS AS IDENTITY,
    stream text NOT NULL,
    user_id text,
    recipient text NOT NULL,
    recipient_name text NOT NULL,
    subject text NOT NULL,
    body_text text NOT NULL,
    body_html text NOT NULL,
    sealed_link text,  -- a link that the texts name as a placeholder: nobody can use it who reads them here
    invoices jsonb NOT NULL,  -- [{"invoice": ..., "number": ...}]
    invitation text,
    notifications bigint NOT NULL,
    at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
    attempts bigint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    error text,
    queued_at timestamptz NOT NULL,
    sent_at timestamptz,
    PRIMARY KEY (tenant_id, email_id)
);

CREATE INDEX emails_due ON emails (tenant_id, next_attempt_at, seq) WHERE state IN ('queued', 'sending');

CREATE INDEX emails_listed ON emails (tenant_id, seq);

CREATE INDEX emails_failed ON emails (tenant_id, queued_at) WHERE state = 'failed';

CREATE INDEX emails_sent_to ON emails (tenant_id, coalesce(user_id, recipient), seq) WHERE state = 'sent';

CREATE TABLE first_start (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    started_at timestamptz NOT NULL,
    republished_at timestamptz
);
"""

ACTIONS = """
CREATE TABLE actions (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    event_id text NOT NULL,
    part bigint NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    actor_kind text,
    actor_id text,
    type text NOT NULL,
    event_type text NOT NULL,
    user_id text,
    module text,
    subject text,
    old text,
    new text,
    changes jsonb NOT NULL,
    reason text NOT NULL,
    details jsonb NOT NULL,
    position_partition bigint,
    position_offset bigint,
    correlation text NOT NULL,
    UNIQUE (tenant_id, event_id, part)
);

CREATE INDEX actions_listed ON actions (tenant_id, at, seq);

CREATE INDEX actions_of_type ON actions (tenant_id, type, at, seq);

CREATE INDEX actions_of_person ON actions (tenant_id, user_id, at, seq) WHERE user_id IS NOT NULL;

CREATE INDEX actions_of_subject ON actions (tenant_id, subject, seq) WHERE subject IS NOT NULL;

CREATE INDEX actions_of_chain ON actions (tenant_id, correlation) WHERE actor_id IS NOT NULL AND position_offset IS NULL;

CREATE INDEX actions_counted ON actions (tenant_id, type, user_id, module) WHERE type IN ('seat_flagged', 'seat_refused', 'seat_revoked');

-- The log is append-only for every role. Only entries about a person who is erased lose their values.
CREATE FUNCTION refuse_change_of_action_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' THEN
        IF OLD.user_id = current_setting('seatpool.erasing', true)
            AND to_jsonb(NEW) - 'changes' - 'details' = to_jsonb(OLD) - 'changes' - 'details' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the action log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER actions_append_only BEFORE UPDATE OR DELETE ON actions FOR EACH ROW EXECUTE FUNCTION refuse_change_of_action_log();

CREATE TRIGGER actions_no_truncate BEFORE TRUNCATE ON actions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_action_log();

CREATE TABLE action_log_tenants (tenant_id text PRIMARY KEY);

CREATE TABLE pool_numbers (
    tenant_id text NOT NULL,
    module text NOT NULL,
    licences bigint,
    next_period bigint,
    policies text,
    PRIMARY KEY (tenant_id, module)
);

CREATE TABLE rejected_commands (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    type text NOT NULL,
    command text NOT NULL,
    partition bigint NOT NULL,
    command_offset bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    discarded_at timestamptz,
    discarded_by text,
    discard_reason text
);
"""


def upgrade() -> None:
    tables.create(op)
    for script in (RECIPIENTS, CATALOGUE, EMAILS, ACTIONS):
        for statement in script.split("\n\n"):  # the driver takes one statement at a time
            op.execute(statement)
    for table in TENANT_TABLES:
        protect(op, table)

"""Catalogue, tenants, subscriptions, quotes, orders, the journal of facts, charges, invoices."""

from alembic import op

from shared.database import tables
from shared.database.tenancy import protect

revision = "0001"
down_revision = None

VENDOR = """
CREATE TABLE modules (
    module text PRIMARY KEY, name text NOT NULL, base boolean NOT NULL, requires text[] NOT NULL
);
CREATE TABLE plans (
    plan text NOT NULL, version integer NOT NULL, current boolean NOT NULL, payload text NOT NULL,
    PRIMARY KEY (plan, version)
);
-- One price list of a plan is in force.
CREATE UNIQUE INDEX plans_current ON plans (plan) WHERE current;
-- One row for each series; drawing a number locks it until the invoice is committed, so that no number is lost or drawn twice.
CREATE TABLE number_series (series text PRIMARY KEY, last bigint NOT NULL CHECK (last >= 0));
"""

TENANTS = """
CREATE TABLE tenants (
    tenant_id text PRIMARY KEY,
    name text, time_zone text, locale text NOT NULL DEFAULT 'en', clock text, support_contact text NOT NULL DEFAULT '',
    opened boolean NOT NULL DEFAULT false,     -- seats answered open_tenant
    test_time timestamptz,                     -- of a test clock: as seats settled it last
    advancing_to timestamptz,                  -- users is advancing the clock: writes are refused
    period text,                               -- as seats names the period in force
    last_number bigint NOT NULL DEFAULT 0,     -- of the commands to seats
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE billing_details (
    tenant_id text NOT NULL, version text NOT NULL, number integer NOT NULL,
    company text NOT NULL, street text NOT NULL, postcode text NOT NULL, city text NOT NULL, country text NOT NULL,
    vat_id text, organisation_number text, email text NOT NULL, copy_to_administrators boolean NOT NULL,
    document_format text NOT NULL, buyer_reference text NOT NULL, purchase_order text NOT NULL, electronic_address text NOT NULL,
    tax_category text NOT NULL, tax_rate_percent text NOT NULL, rate_country text, tax_rule text NOT NULL, tax_reason text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version), UNIQUE (tenant_id, number)
);
CREATE TABLE subscriptions (
    tenant_id text PRIMARY KEY, subscription text NOT NULL, status text NOT NULL, reason text NOT NULL DEFAULT '',
    payload text NOT NULL,                     -- SubscriptionStarted, with the terms that hold now
    changes integer NOT NULL DEFAULT 0,        -- of these terms so far
    period_start date NOT NULL, period_end date NOT NULL, billed_until date NOT NULL,
    open_day date,                             -- the first local day with changes that are not charged yet
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subscriptions_open_day ON subscriptions (open_day) WHERE open_day IS NOT NULL;
-- The end of a subscription that is ordered or has come.
CREATE TABLE endings (
    tenant_id text PRIMARY KEY, subscription text NOT NULL, ends_on date NOT NULL, at_once boolean NOT NULL, reason text NOT NULL,
    ordered_by text NOT NULL, ordered_at timestamptz NOT NULL, kept_by text,
    ended boolean NOT NULL DEFAULT false
);
CREATE TABLE subscription_modules (
    tenant_id text NOT NULL, module text NOT NULL, base boolean NOT NULL, licences integer NOT NULL, policies text NOT NULL,
    opened boolean NOT NULL DEFAULT false, sent_cap integer, limited_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, module)
);
-- As seats last reported it; a row reflects one decision and older ones are dropped.
CREATE TABLE pools (
    tenant_id text NOT NULL, module text NOT NULL,
    licences integer NOT NULL, next_period integer NOT NULL,
    former_next_period integer,                -- only while the pool ends with the subscription
    partition integer NOT NULL, command_offset bigint NOT NULL, n integer NOT NULL,
    PRIMARY KEY (tenant_id, module)
);
-- The licences and the use of each module by local day; a day without a row is like the end of the last one that has a row.
CREATE TABLE pool_days (
    tenant_id text NOT NULL, module text NOT NULL, day date NOT NULL,
    licences integer NOT NULL, in_use integer NOT NULL, highest integer NOT NULL,
    command_offset bigint NOT NULL, n integer NOT NULL,
    PRIMARY KEY (tenant_id, module, day)
);
-- The last forecast of the next renewal that the administrators got.
CREATE TABLE renewal_forecasts (
    tenant_id text NOT NULL, module text NOT NULL, would_flag integer NOT NULL, would_cancel integer NOT NULL,
    days integer NOT NULL, at_most integer,
    PRIMARY KEY (tenant_id, module)
);
-- The price lists that were announced to a running subscription, with the day from which a renewal may take each.
CREATE TABLE announced_price_lists (
    tenant_id text NOT NULL, plan text NOT NULL, version integer NOT NULL, taken_from date NOT NULL, modules text NOT NULL,
    PRIMARY KEY (tenant_id, plan, version)
);
-- What has to be done at an instant of the tenant's time.
CREATE TABLE due_actions (
    tenant_id text NOT NULL, kind text NOT NULL, reference text NOT NULL, due_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, kind, reference)
);
CREATE INDEX due_actions_due ON due_actions (due_at);
-- What was sent to seats and how it was answered.
CREATE TABLE commands (
    tenant_id text NOT NULL, command text NOT NULL, kind text NOT NULL, reference text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now(), answer text, answered_at timestamptz,
    PRIMARY KEY (tenant_id, command)
);
CREATE INDEX commands_open ON commands (tenant_id, sent_at) WHERE answer IS NULL;
-- A quote from its offer to the decision of seats about its order. An open quote is expired when its time has passed.
CREATE TABLE quotes (
    tenant_id text NOT NULL, quote text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (state IN (
        'open', 'waiting_for_approval', 'replaced', 'approved', 'activated', 'refused', 'expired', 'withdrawn'
    )),
    payload text NOT NULL, expected text NOT NULL, expires_at timestamptz NOT NULL,
    approvals text NOT NULL DEFAULT '[]',      -- of those who approved it, while a second approver is waited for
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, quote)
);
CREATE UNIQUE INDEX quotes_place ON quotes (tenant_id, place);
-- What happened to a quote after it was made.
CREATE TABLE quote_steps (
    tenant_id text NOT NULL, quote text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL, at timestamptz NOT NULL, actor text NOT NULL, detail text NOT NULL,
    PRIMARY KEY (tenant_id, quote, place)
);
CREATE TABLE orders (
    tenant_id text NOT NULL, "order" text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    quote text NOT NULL, status text NOT NULL, reason text NOT NULL DEFAULT '', detail text NOT NULL DEFAULT '{}',
    approved_at timestamptz NOT NULL, approved_by text NOT NULL, decided_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, "order"),
    UNIQUE (tenant_id, quote)                  -- a quote is approved once
);
CREATE UNIQUE INDEX orders_place ON orders (tenant_id, place);
CREATE INDEX orders_pending ON orders (tenant_id, created_at) WHERE status = 'pending';
-- What a tenant decided about its purchases.
CREATE TABLE purchase_settings (
    tenant_id text PRIMARY KEY,
    second_approver text NOT NULL CHECK (second_approver IN ('none', 'above_budget', 'always')),
    ordering text CHECK (ordering IN ('self_service', 'by_request')),  -- NULL: as the plan says
    monthly_budget_minor bigint                -- what purchases and expansions of a month may add to the recurring amount
);
-- What they have added.
CREATE TABLE budget_uses (
    tenant_id text NOT NULL, month date NOT NULL, source text NOT NULL, net_minor bigint NOT NULL,
    PRIMARY KEY (tenant_id, source)
);
CREATE INDEX budget_uses_month ON budget_uses (tenant_id, month);
-- Requests, and the vendor's estimates. The contact data are nowhere else.
CREATE TABLE purchase_requests (
    tenant_id text NOT NULL, request text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (state IN ('requested', 'estimated', 'approved', 'declined', 'withdrawn', 'expired')),
    company text NOT NULL, contact_name text NOT NULL, contact_email text NOT NULL, contact_phone text NOT NULL, message text NOT NULL,
    items text NOT NULL, note text NOT NULL DEFAULT '', valid_until date,
    outcome text NOT NULL DEFAULT '{}', discounts text NOT NULL DEFAULT '[]', history text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, request)
);
CREATE UNIQUE INDEX purchase_requests_place ON purchase_requests (tenant_id, place);
CREATE INDEX purchase_requests_of_all ON purchase_requests (state, place);
-- Reductions from their offer to the answers of seats; `commands_left` counts the commands that are not answered yet.
CREATE TABLE reductions (
    tenant_id text NOT NULL, reduction text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    status text NOT NULL CHECK (status IN ('offered', 'pending', 'completed', 'refused')),
    offer text NOT NULL, expected text NOT NULL, priced_for date NOT NULL, expires_at timestamptz NOT NULL,
    reason text NOT NULL DEFAULT '', detail text NOT NULL DEFAULT '{}', commands_left integer NOT NULL DEFAULT 0,
    approved_at timestamptz, decided_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, reduction)
);
CREATE UNIQUE INDEX reductions_place ON reductions (tenant_id, place);
-- Changes of policies and of the plan; `commands_left` counts the commands to seats that are not answered yet.
CREATE TABLE contract_changes (
    tenant_id text NOT NULL, change text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL,
    status text NOT NULL CHECK (status IN ('offered', 'pending', 'scheduled', 'completed', 'refused', 'withdrawn')),
    terms text NOT NULL, actor text NOT NULL, priced_for date, expires_at timestamptz,
    reason text NOT NULL DEFAULT '', detail text NOT NULL DEFAULT '{}', commands_left integer NOT NULL DEFAULT 0,
    approved_at timestamptz, decided_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, change)
);
CREATE UNIQUE INDEX contract_changes_place ON contract_changes (tenant_id, place);
CREATE TABLE discounts (
    tenant_id text NOT NULL, discount text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY, subscription text NOT NULL,
    currency text NOT NULL, terms text NOT NULL, granted_at timestamptz NOT NULL, granted_by text NOT NULL,
    withdrawn_at timestamptz, withdrawn_by text,
    PRIMARY KEY (tenant_id, discount)
);
CREATE UNIQUE INDEX discounts_place ON discounts (tenant_id, place);
-- The events that money is made of, as sent and as read: all that the account is computed from.
CREATE TABLE facts (
    tenant_id text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY, id text NOT NULL, type text NOT NULL, payload text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE charges (
    tenant_id text NOT NULL, charge text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY, "order" text, payload text NOT NULL,
    PRIMARY KEY (tenant_id, charge)
);
CREATE TABLE invoices (
    tenant_id text NOT NULL, invoice text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    series text NOT NULL, sequence bigint NOT NULL, number text NOT NULL UNIQUE,
    currency text NOT NULL, net_minor bigint NOT NULL, tax_minor bigint NOT NULL, gross_minor bigint NOT NULL,
    payload text NOT NULL, document text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, invoice),          -- named after the decision that calls for it: it cannot be issued twice
    UNIQUE (series, sequence)
);
-- A charge is on one document; a credit that several charges use up is on several.
CREATE TABLE invoice_charges (
    tenant_id text NOT NULL, charge text NOT NULL, invoice text NOT NULL,
    PRIMARY KEY (tenant_id, charge, invoice),
    FOREIGN KEY (tenant_id, charge) REFERENCES charges, FOREIGN KEY (tenant_id, invoice) REFERENCES invoices
);
CREATE TABLE invoice_pdfs (
    tenant_id text NOT NULL, invoice text NOT NULL, pdf bytea NOT NULL, sha256 text NOT NULL,
    xml bytea,                                 -- NULL: EN 16931 cannot express the document
    xml_apart boolean NOT NULL,                -- the XML is a file of its own, and not in the PDF
    rendered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, invoice),
    FOREIGN KEY (tenant_id, invoice) REFERENCES invoices
);
-- Invoices whose PDF is not made yet: to look for them among all invoices takes longer with every year.
CREATE TABLE pdfs_to_make (
    tenant_id text NOT NULL, invoice text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, invoice),
    FOREIGN KEY (tenant_id, invoice) REFERENCES invoices
);
-- What is open of each document, as payments and set-offs leave it.
CREATE TABLE receivables (
    tenant_id text NOT NULL, invoice text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL, number text NOT NULL, currency text NOT NULL, issued_on date NOT NULL, due_on date NOT NULL,
    gross_minor bigint NOT NULL, open_minor bigint NOT NULL CHECK (open_minor BETWEEN 0 AND gross_minor),
    corrects text[] NOT NULL, kept boolean NOT NULL DEFAULT false,
    reminders integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, invoice),
    FOREIGN KEY (tenant_id, invoice) REFERENCES invoices
);
CREATE INDEX receivables_issued ON receivables (issued_on, tenant_id, invoice);
CREATE INDEX receivables_open ON receivables (tenant_id, place) WHERE open_minor > 0;
CREATE INDEX receivables_due ON receivables (due_on, tenant_id, invoice) WHERE open_minor > 0 AND kind = 'invoice';
-- What the last reminder of an overdue invoice leads to, and whether purchases are refused because of it.
CREATE TABLE overdue (
    tenant_id text PRIMARY KEY,
    action text NOT NULL CHECK (action IN ('none', 'no_purchases', 'operator_decides')), blocked boolean NOT NULL
);
CREATE TABLE payments (
    tenant_id text NOT NULL, payment text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
    invoice text NOT NULL, direction text NOT NULL CHECK (direction IN ('received', 'paid_out')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0), currency text NOT NULL, paid_on date NOT NULL, reference text NOT NULL,
    recorded_at timestamptz NOT NULL, recorded_by text NOT NULL,
    taken_back_at timestamptz, taken_back_by text, taken_back_because text,
    PRIMARY KEY (tenant_id, payment),
    FOREIGN KEY (tenant_id, invoice) REFERENCES receivables
);
CREATE UNIQUE INDEX payments_place ON payments (tenant_id, place);
CREATE TABLE set_offs (
    tenant_id text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY, credit_note text NOT NULL, invoice text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0), currency text NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, place),
    FOREIGN KEY (tenant_id, invoice) REFERENCES receivables, FOREIGN KEY (tenant_id, credit_note) REFERENCES receivables
);
"""

PROTECTED = (
    "tenants",
    "billing_details",
    "subscriptions",
    "endings",
    "subscription_modules",
    "pools",
    "pool_days",
    "renewal_forecasts",
    "announced_price_lists",
    "due_actions",
    "commands",
    "quotes",
    "quote_steps",
    "purchase_settings",
    "budget_uses",
    "purchase_requests",
    "orders",
    "reductions",
    "contract_changes",
    "discounts",
    "facts",
    "charges",
    "invoices",
    "invoice_charges",
    "invoice_pdfs",
    "pdfs_to_make",
    "receivables",
    "overdue",
    "payments",
    "set_offs",
)

# The service has no statement that changes these tables; this trigger also stops everybody else.
FROZEN = ("facts", "charges", "invoices", "invoice_charges", "invoice_pdfs", "billing_details")
FREEZE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed: what was issued stands, a correction is a new document', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    tables.create(op)
    for statement in (VENDOR + TENANTS).split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(FREEZE)
    for table in FROZEN:
        op.execute(f"CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()")
        op.execute(f"CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")
    for table in PROTECTED:
        protect(op, table)

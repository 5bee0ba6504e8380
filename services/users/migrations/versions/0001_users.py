"""Tenants, people, facts, the projection of seats' decisions, and what messaging needs."""

from alembic import op

from shared.database import tables
from shared.database.tenancy import protect

revision = "0001"
down_revision = None

# `config_version` rises with each change of what decides people's needs. The row is locked shared by whoever works out a need and
# exclusively by whoever changes the configuration, starts or ends an advance of the clock.
_TENANTS = """
CREATE TABLE tenants (
    tenant_id text PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL,
    locale text NOT NULL,
    clock text NOT NULL CHECK (clock IN ('real', 'test')),
    contact_email text NOT NULL,
    support_contact text NOT NULL,
    release_on_expiry boolean NOT NULL DEFAULT false,
    config_version bigint NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    advancing_to timestamptz,
    created_at timestamptz NOT NULL,
    CHECK (advancing_to IS NULL OR clock = 'test')
)"""

# Apart from `tenants`, because decisions of seats write it while others hold the tenant's row shared. `last_number` is the last number
# drawn for a command of this tenant, `at` a test clock's time; the rest is where the present advance stands (clock.py).
_CLOCKS = """
CREATE TABLE tenant_clocks (
    tenant_id text PRIMARY KEY,
    status text NOT NULL DEFAULT 'opening' CHECK (status IN ('opening', 'open')),
    at timestamptz,
    last_number bigint NOT NULL DEFAULT 0,
    sent_to timestamptz,
    step integer NOT NULL DEFAULT 0,
    ready_sent boolean NOT NULL DEFAULT false
)"""

_PROFILES = """
CREATE TABLE profiles (
    tenant_id text NOT NULL,
    profile text NOT NULL,
    name text NOT NULL,
    modules text[] NOT NULL,
    partial boolean NOT NULL,
    version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, profile)
)"""

_MAPPING = """
CREATE TABLE department_mapping (
    tenant_id text NOT NULL,
    department text NOT NULL,
    profile text,
    PRIMARY KEY (tenant_id, department)
)"""

# `need` and `partial` are what the person needs now, `sent` what `assign_seats` said last, `revision` the last one drawn (under this
# row's lock), `answered` the last one that seats answered. `reconsider_on`: the next local day on which time alone changes the person.
# `arrival`: the order in which people are listed, and in which many at once ask for seats.
_PEOPLE = """
CREATE TABLE people (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    source text NOT NULL,
    external_id text NOT NULL,
    employed boolean NOT NULL DEFAULT false,
    login text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    name text NOT NULL DEFAULT '',
    job_title text NOT NULL DEFAULT '',
    department text,
    kind text NOT NULL DEFAULT 'employee',
    valid_to date,
    given_profile text,
    administrator boolean NOT NULL DEFAULT false,
    may_log_in boolean NOT NULL DEFAULT true,
    priority integer NOT NULL DEFAULT 0,
    hold_until timestamptz,
    deactivated boolean NOT NULL DEFAULT false,
    profile text,
    status text NOT NULL DEFAULT 'expected' CHECK (status IN ('expected', 'active', 'inactive', 'deactivated', 'left')),
    notes jsonb NOT NULL DEFAULT '[]',
    need text[] NOT NULL DEFAULT '{}',
    reconsider_on date,
    created_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    answered bigint NOT NULL DEFAULT 0,
    sent jsonb,
    sent_at timestamptz,
    command_id text,
    PRIMARY KEY (tenant_id, user_id)
) WITH (fillfactor = 70)"""

_FACTS = """
CREATE TABLE facts (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    fact_id text NOT NULL,
    source text NOT NULL,
    type text NOT NULL CHECK (type IN ('hired', 'changed', 'left')),
    effective_date date NOT NULL,
    sequence bigint NOT NULL,
    given jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, fact_id)
)"""

# What seats decided, per person and module, with the position of the decision that it reflects: an older one changes nothing. Rows of
# modules that are no longer needed stay ('released'), or an old decision that is handled again would bring them back.
_SEATS = """
CREATE TABLE person_modules (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    module text NOT NULL,
    state text NOT NULL,
    deadline timestamptz,
    reason text,
    revoked boolean NOT NULL,
    refused boolean NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    n integer NOT NULL,
    PRIMARY KEY (tenant_id, user_id, module)
) WITH (fillfactor = 70)"""

# Work over many people that a change of a profile, of the mapping, of a tenant or an opened pool asks for: done in chunks by arrival, each
# chunk with its own transaction, so that a crash resumes and nobody waits for 100,000 row locks.
_REVIEWS = """
CREATE TABLE reviews (
    review_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('settings', 'pool_opened', 'republish')),
    module text,
    after_arrival bigint NOT NULL DEFAULT 0,
    cause jsonb NOT NULL,
    created_at timestamptz NOT NULL
)"""

_SOURCES = """
CREATE TABLE hr_sources (
    source text PRIMARY KEY,
    tenants text[] NOT NULL
)"""


def upgrade() -> None:
    tables.create(op)
    for statement in (_TENANTS, _CLOCKS, _PROFILES, _MAPPING, _PEOPLE, _FACTS, _SEATS, _REVIEWS, _SOURCES):
        op.execute(statement)
    op.execute("CREATE INDEX people_external_id ON people (tenant_id, external_id)")
    op.execute("CREATE INDEX people_reconsider ON people (tenant_id, reconsider_on) WHERE reconsider_on IS NOT NULL")
    op.execute("CREATE UNIQUE INDEX people_arrival ON people (tenant_id, arrival)")
    op.execute("CREATE INDEX person_modules_notable ON person_modules (tenant_id, state) WHERE state NOT IN ('active', 'released')")
    op.execute("CREATE INDEX reviews_tenant ON reviews (tenant_id, review_id)")
    for table in ("tenants", "tenant_clocks", "profiles", "department_mapping", "people", "facts", "person_modules", "reviews"):
        protect(op, table)


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

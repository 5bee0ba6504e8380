"""Tenants, people, facts, the projection of seats' decisions, and the tables of messaging."""

from alembic import op

from shared.database import tables
from shared.database.tenancy import protect

revision = "0001"
down_revision = None

# `config_version` rises with each change of a setting that decides which modules people require. A transaction that computes required
# modules locks the row shared; one that changes the configuration, or starts or ends an advance of the clock, locks it exclusively.
# `subscribed` are the subscribed modules, each with the modules that it requires.
# `reevaluations` is the number of people evaluated again, because profiles or the mapping changed, on the day `reevaluations_on`.
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
    erase_after_months integer NOT NULL DEFAULT 0,
    config_version bigint NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    advancing_to timestamptz,
    created_at timestamptz NOT NULL,
    subscribed jsonb NOT NULL DEFAULT '{}',
    reevaluations_on date,
    reevaluations bigint NOT NULL DEFAULT 0,
    CHECK (advancing_to IS NULL OR clock = 'test')
)"""

# A table of its own, because decisions of seats write it while other transactions hold the tenant's row shared. `last_number` is the last
# number drawn for a command of this tenant, `at` the time of a test clock; the rest is the state of the present advance (jobs/test_clock).
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

# Roles of the tenant's own; the built-in ones are in domain/roles.
_ROLES = """
CREATE TABLE roles (
    tenant_id text NOT NULL,
    role text NOT NULL,
    name text NOT NULL,
    rights text[] NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (tenant_id, role)
)"""

# API clients of tenants. `secrets` has the hashes of at most two secrets.
_API_CLIENTS = """
CREATE TABLE api_clients (
    tenant_id text NOT NULL,
    client text PRIMARY KEY,
    name text NOT NULL,
    rights text[] NOT NULL,
    secrets jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    version integer NOT NULL
)"""

# `required_modules` are those that the person requires now, `not_subscribed` the other modules of the profile, `sent` is the content of the
# last `assign_seats`, `revision` the last one drawn
# (under this row's lock), `answered` the last one that seats answered. `reconsider_on` is the next local day on which the person changes
# because time passes. `roles` were given by REST, `group_roles` by groups of sources; `rights` are those of both; `own_department` or
# `departments` is the viewset. `arrival` is the order in which people are listed, and in which many at once request seats.
# `login_key` is the login as it is compared (domain/logins). `texts` is what a list is searched for, in the form in which it is compared: a
# search computes nothing for each person. The columns by which a list is filtered come first: PostgreSQL reads a row up to the last column
# that a condition needs, which takes longer than the condition. `name_order` and `department_order` are what the list is sorted by, without
# accents and in lower case; an index has room for 100 characters of any language. Without a name, what is shown instead counts.
# `login_key` and `email_key` are the login and the e-mail address as they are compared (domain/logins). `conflict` says why the person may
# be one of `conflict_people`; `separated` are people who are not meant, as an administrator has decided. `confirmed_login` and
# `confirmed_email` count for sign-in instead of the others, which nobody has confirmed, and what counts does so for `confirmed_rights`
# (domain/confirmation).
_PEOPLE = """
CREATE TABLE people (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    employed boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'expected',
    login_key text NOT NULL DEFAULT '',
    texts text COLLATE "C" GENERATED ALWAYS AS (
        lower(
            normalize(name || chr(10) || login || chr(10) || email || chr(10) || job_title || chr(10) || external_id) COLLATE "pg_c_utf8"
        )
    ) STORED,
    name_order text COLLATE "C" GENERATED ALWAYS AS (
        left(
            regexp_replace(
                lower(normalize(coalesce(nullif(name, ''), nullif(login, ''), nullif(email, ''), external_id), NFKD) COLLATE "pg_c_utf8"),
                '[\\u0300-\\u036f]', '', 'g'
            ),
            100
        )
    ) STORED,
    department_order text COLLATE "C" GENERATED ALWAYS AS (
        left(regexp_replace(lower(normalize(coalesce(department, ''), NFKD) COLLATE "pg_c_utf8"), '[\\u0300-\\u036f]', '', 'g'), 100)
    ) STORED,
    kind text NOT NULL DEFAULT 'employee',
    department text,
    profile text,
    roles text[] NOT NULL DEFAULT '{}',
    group_roles text[] NOT NULL DEFAULT '{}',
    required_modules text[] NOT NULL DEFAULT '{}',
    not_subscribed text[] NOT NULL DEFAULT '{}',
    source text NOT NULL,
    external_id text NOT NULL,
    login text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    name text NOT NULL DEFAULT '',
    job_title text NOT NULL DEFAULT '',
    valid_to date,
    login_allowed boolean NOT NULL DEFAULT true,
    employee_number text NOT NULL DEFAULT '',
    given_profile text,
    group_profiles text[] NOT NULL DEFAULT '{}',
    own_department boolean NOT NULL DEFAULT false,
    departments text[],
    digests boolean NOT NULL DEFAULT true,
    rights text[] NOT NULL DEFAULT '{}',
    may_log_in boolean NOT NULL DEFAULT true,
    priority integer NOT NULL DEFAULT 0,
    hold_until timestamptz,
    seat_status text NOT NULL DEFAULT 'granted',
    invitation text NOT NULL DEFAULT 'none',
    invited_until timestamptz,
    invited_by text,
    notes jsonb NOT NULL DEFAULT '[]',
    reconsider_on date,
    created_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    answered bigint NOT NULL DEFAULT 0,
    sent jsonb,
    sent_at timestamptz,
    command_id text,
    overrides jsonb NOT NULL DEFAULT '{}',
    conflict jsonb,
    conflict_people text[] NOT NULL DEFAULT '{}',
    separated text[] NOT NULL DEFAULT '{}',
    email_key text NOT NULL DEFAULT '',
    left_on date,
    erased_at timestamptz,
    confirmed_login text,
    confirmed_email text,
    confirmed_rights text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, user_id)
) WITH (fillfactor = 70)"""

# Timelines of people whose data were erased: what their sources repeat about them does not bring the data back. Only hashes are kept.
_ERASED_TIMELINES = """
CREATE TABLE erased_timelines (
    tenant_id text NOT NULL,
    key_hash bytea NOT NULL,
    user_id text NOT NULL,
    left_on date NOT NULL,
    PRIMARY KEY (tenant_id, key_hash)
)"""

# What people own in the vendor's product, as it states, and who takes it over.
_OWNED_ITEMS = """
CREATE TABLE owned_items (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    kind text NOT NULL,
    count integer NOT NULL CHECK (count > 0),
    labels text[] NOT NULL,
    PRIMARY KEY (tenant_id, user_id, kind)
)"""
_HEIRS = """
CREATE TABLE heirs (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    heir text NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
)"""

# The links that were sent to invited people. Only hashes of the tokens are kept. A new invitation, or its acceptance, deletes them.
_INVITATION_TOKENS = """
CREATE TABLE invitation_tokens (
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    token_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    ended text CHECK (ended IN ('accepted', 'expired', 'replaced')),
    PRIMARY KEY (token_hash)
)"""

_EXPANSION_LIMITS = """
CREATE TABLE expansion_limits (
    tenant_id text NOT NULL, module text NOT NULL, limited_by text NOT NULL, PRIMARY KEY (tenant_id, module)
)"""

# The pools as seats opened and closed them, and their counts, each with the decision that it reflects: an older one changes nothing.
_POOLS = """
CREATE TABLE pools (
    tenant_id text NOT NULL,
    module text NOT NULL,
    base boolean NOT NULL,
    open boolean NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    n integer NOT NULL,
    licences bigint NOT NULL DEFAULT 0,
    active bigint NOT NULL DEFAULT 0,
    flagged bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,
    available bigint NOT NULL DEFAULT 0,
    counted_offset bigint NOT NULL DEFAULT -1,
    counted_n bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, module)
)"""

# Decision ids, from which it follows whether the pools count as open (domain/subscription), and the contract's plan and term.
_SUBSCRIPTIONS = """
CREATE TABLE subscriptions (
    tenant_id text PRIMARY KEY,
    since text,
    seen text,
    activated text,
    plan text,
    plan_version bigint,
    term text
)"""

# The vendor's catalogue, as invoicing publishes it: which modules each module requires.
_CATALOGUE = """
CREATE TABLE catalogue_modules (
    module text PRIMARY KEY,
    name text NOT NULL,
    requires text[] NOT NULL
)"""
_PLANS = """
CREATE TABLE catalogue_plans (
    plan text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    allows_extra_licences boolean NOT NULL,
    prices jsonb NOT NULL,
    PRIMARY KEY (plan, version)
)"""

# The sources of a tenant. People are described by the source of the lowest `position` first, and of equal ones by the first `arrival`.
_SOURCES_OF_TENANT = """
CREATE TABLE sources (
    tenant_id text NOT NULL,
    source text NOT NULL,
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('hr', 'scim', 'rest')),
    position bigint NOT NULL,
    match_by text[] NOT NULL,
    duplicates text NOT NULL CHECK (duplicates IN ('hold', 'allow')),
    guard_people bigint NOT NULL,
    guard_percent bigint NOT NULL,
    duplicates_held boolean NOT NULL,
    duplicates_confirmed bigint NOT NULL,
    PRIMARY KEY (tenant_id, source)
)"""

# A timeline is all that one source states about one person: the last report (`version` 0: there is none), and facts. `digest` is that of
# `report`. A person has one or several timelines.
_TIMELINES = """
CREATE TABLE timelines (
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    user_id text NOT NULL,
    version bigint NOT NULL,
    digest text NOT NULL,
    report jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, external_id)
)"""

# Facts of a timeline that were stated one by one since its last report. Facts of one day and sequence hold in order of `arrival`.
_FACTS = """
CREATE TABLE facts (
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    fact_id text NOT NULL,
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL CHECK (type IN ('hired', 'changed', 'left')),
    effective_date date NOT NULL,
    sequence bigint NOT NULL,
    given jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, external_id, fact_id)
)"""

# An import is staged, checked as a whole and applied in chunks. `version` is that of its reports, `report` that of the last check;
# `begun_at` tells the facts that arrived since its beginning, which its reports do not replace.
_IMPORTS = """
CREATE TABLE imports (
    tenant_id text NOT NULL,
    import_id text NOT NULL,
    source text NOT NULL,
    version bigint NOT NULL,
    complete boolean NOT NULL,
    absent text NOT NULL CHECK (absent IN ('list', 'leave')),
    begun_at bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('collecting', 'checked', 'applying', 'applied', 'failed')),
    actor jsonb NOT NULL,
    report jsonb,
    total bigint NOT NULL,
    done bigint NOT NULL,
    failure text,
    created_at timestamptz NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, import_id)
)"""

# `kind` and what follows it are set by the check; `done` says that the person is applied.
_IMPORT_PEOPLE = """
CREATE TABLE import_people (
    tenant_id text NOT NULL,
    import_id text NOT NULL,
    position bigint NOT NULL,
    external_id text NOT NULL,
    user_id text NOT NULL,
    digest text NOT NULL,
    report jsonb,
    errors jsonb NOT NULL,
    kind text,
    ends boolean NOT NULL,
    releases boolean NOT NULL,
    change jsonb,
    done boolean NOT NULL,
    PRIMARY KEY (tenant_id, import_id, position)
)"""

# Statements of a source wait here while the guard looks at them, and while they wait for a confirmation; see use_cases/held_statements.py.
_HELD_SOURCES = """
CREATE TABLE held_sources (
    tenant_id text NOT NULL,
    source text NOT NULL,
    status text NOT NULL CHECK (status IN ('collecting', 'stopped', 'releasing')),
    would_end bigint NOT NULL,
    ended_before bigint NOT NULL,
    guard_limit bigint NOT NULL,
    release_to bigint NOT NULL,
    since timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    evaluated_at timestamptz,
    PRIMARY KEY (tenant_id, source)
)"""
_HELD_STATEMENTS = """
CREATE TABLE held_statements (
    tenant_id text NOT NULL,
    source text NOT NULL,
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    user_id text NOT NULL,
    external_id text NOT NULL,
    type text NOT NULL,
    body jsonb NOT NULL,
    envelope jsonb NOT NULL,
    PRIMARY KEY (tenant_id, source, arrival)
)"""

# The people whose access a source has ended within the last hour of the tenant's time; see use_cases/guard.py.
_GUARD_ENDINGS = """
CREATE TABLE guard_endings (
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, external_id)
)"""

# The state of a module of a person, with the id of the decision that it reflects: an older decision changes nothing. Rows of modules that
# are no longer required stay ('released'), or an old decision that is handled again would bring them back.
_MODULE_STATES = """
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
    remind_at timestamptz,
    PRIMARY KEY (tenant_id, user_id, module)
) WITH (fillfactor = 70)"""

# Bulk re-evaluations, which follow a change of a profile, of the mapping, of a tenant or of the subscribed modules. A background job does
# them in chunks, each in a transaction of its own, so that it resumes after a crash and no request waits for 100,000 row locks. The oldest
# person comes first; the chunk begins after the person with `after_created` and `after_arrival`. If it has not `begun`, the subscribed
# modules are computed first. `until` is the last one by position in the log, for people in order of their refusals. Finished ones stay a
# week.
_REEVALUATIONS = """
CREATE TABLE reevaluations (
    reevaluation_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    kind text NOT NULL CHECK (
        kind IN (
            'settings', 'pool_opened', 'pool_closed', 'catalogue', 'role_changed', 'sources', 'groups', 'refused', 'republish',
            'scim_removed'
        )
    ),
    module text,
    begun boolean NOT NULL,
    after_created timestamptz NOT NULL,
    after_arrival bigint NOT NULL,
    until bigint NOT NULL,
    total bigint NOT NULL,
    done bigint NOT NULL,
    cause jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz
)"""

# `topic` is the part after `hr.events.v1.` of the name of the bound topic; a source without it uses the shared topic.
_SOURCES = """
CREATE TABLE hr_sources (
    source text PRIMARY KEY,
    tenants text[] NOT NULL,
    topic text UNIQUE
)"""

# A SCIM connection makes statements as the source scim/<connection>.
_SCIM_CONNECTIONS = """
CREATE TABLE scim_connections (
    tenant_id text NOT NULL,
    connection text NOT NULL,
    on_full text NOT NULL CHECK (on_full IN ('create', 'refuse')),
    deactivation text NOT NULL CHECK (deactivation IN ('suspends', 'leaves')),
    user_types jsonb NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection)
)"""
# `warned` is the number of days before the end of which the last warning was sent; 0: none.
_SCIM_TOKENS = """
CREATE TABLE scim_tokens (
    token_hash text PRIMARY KEY,
    tenant_id text NOT NULL,
    token_id text NOT NULL,
    connection text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    warned integer NOT NULL
)"""

# A resource is a timeline of its connection: its external id there is `resource_id`. `document` is what the client sent, `user_name_key`
# the name as logins are compared, `display_name_key` the name that is shown as texts are compared, `emails` the addresses in lower case.
# `attempt`: seats has not decided yet, and the connection refuses
# users without a licence. Of a deleted one only the id is kept, as no id is given twice.
_SCIM_USERS = """
CREATE TABLE scim_users (
    tenant_id text NOT NULL,
    connection text NOT NULL,
    resource_id text NOT NULL,
    user_name_key text NOT NULL,
    deleted_at timestamptz,
    display_name_key text COLLATE "C" GENERATED ALWAYS AS (lower(normalize(document ->> 'displayName') COLLATE "pg_c_utf8")) STORED,
    external_id text,
    emails text[] NOT NULL,
    active boolean NOT NULL,
    document jsonb NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    attempt boolean NOT NULL,
    copied text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, connection, resource_id)
)"""
# `members` is their number. People in a group with a profile or a role get it.
_SCIM_GROUPS = """
CREATE TABLE scim_groups (
    tenant_id text NOT NULL,
    connection text NOT NULL,
    group_id text NOT NULL,
    display_name text NOT NULL,
    external_id text,
    members bigint NOT NULL,
    profile text,
    role text,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection, group_id)
)"""
_SCIM_MEMBERS = """
CREATE TABLE scim_members (
    tenant_id text NOT NULL,
    connection text NOT NULL,
    group_id text NOT NULL,
    resource_id text NOT NULL,
    PRIMARY KEY (tenant_id, connection, group_id, resource_id)
)"""

# The users whose access a connection would have ended when the guard stopped it.
_SCIM_ACTIVITY = """
CREATE TABLE scim_activity (
    tenant_id text NOT NULL,
    connection text NOT NULL,
    last_request_at timestamptz NOT NULL,
    last_error_at timestamptz,
    last_error text,
    PRIMARY KEY (tenant_id, connection)
)"""
_SCIM_STOPPED = """
CREATE TABLE scim_stopped (
    tenant_id text NOT NULL,
    connection text NOT NULL,
    resource_id text NOT NULL,
    at timestamptz NOT NULL,
    confirmed boolean NOT NULL,
    PRIMARY KEY (tenant_id, connection, resource_id)
)"""
_SCIM_INDEXES = (
    "CREATE INDEX scim_tokens_connection ON scim_tokens (tenant_id, connection)",
    "CREATE UNIQUE INDEX scim_users_name ON scim_users (tenant_id, connection, user_name_key) WHERE deleted_at IS NULL",
    "CREATE INDEX scim_users_external_id ON scim_users (tenant_id, connection, external_id)",
    "CREATE INDEX people_counted ON people (tenant_id) WHERE employed AND login_key <> ''",
    "CREATE INDEX people_without_login ON people (tenant_id, arrival) WHERE NOT employed OR login_key = ''",
    "CREATE INDEX scim_members_member ON scim_members (tenant_id, connection, resource_id)",
)
# Sessions of people at the console. Only a hash of a session's secret is stored; a session that ended is deleted.
# Operators have the tenant '-'.
_SESSIONS = """
CREATE TABLE sessions (
    tenant_id text NOT NULL,
    session_id text NOT NULL,
    user_id text NOT NULL,
    secret_hash bytea NOT NULL UNIQUE,
    method text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, session_id)
)"""

# Operators are people of the vendor, and belong to no tenant. `identity` is the account at the vendor's identity provider with which the
# operator has signed in.
_OPERATORS = """
CREATE TABLE operators (
    operator_id text PRIMARY KEY,
    email text NOT NULL,
    email_key text NOT NULL UNIQUE,
    name text NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL,
    identity text UNIQUE
)"""

# A link is for an e-mail address, and the people who have it can be of several tenants, so these two tables have no tenant. Only hashes are
# stored of the secret of a link and of the ticket that its use gives. Links are deleted soon after they expire.
_SIGN_IN_REQUESTS = """
CREATE TABLE sign_in_requests (
    request_id text PRIMARY KEY,
    email text NOT NULL,
    requested_at timestamptz NOT NULL
)"""
_SIGN_IN_LINKS = """
CREATE TABLE sign_in_links (
    link_id text PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    email_key text NOT NULL,
    people jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    ticket_hash bytea UNIQUE,
    ticket_expires_at timestamptz
)"""

# The identity provider of a tenant: `draft` until the person who entered it has signed in with it, then `effective`. The secret of Seatpool
# at the provider is sealed (shared/sealed).
_IDENTITY_PROVIDERS = """
CREATE TABLE identity_providers (
    tenant_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('draft', 'effective')),
    issuer text NOT NULL,
    client_id text NOT NULL,
    sealed_secret text,
    match_claims text[] NOT NULL,
    trust_email boolean NOT NULL,
    required boolean NOT NULL,
    emergency_links boolean NOT NULL,
    entered_by text NOT NULL,
    version text NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, state)
)"""

# A person at an identity provider, from the first sign-in on. Neither a login nor an e-mail address moves it to another person.
_IDENTITIES = """
CREATE TABLE identities (
    tenant_id text NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id text NOT NULL,
    bound_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, issuer, subject),
    UNIQUE (tenant_id, user_id, issuer)
)"""

# Sign-ins that have begun. `flow_hash` is that of the secret which only the browser has; nonce and PKCE verifier are derived from it.
_SIGN_IN_FLOWS = """
CREATE TABLE sign_in_flows (
    tenant_id text NOT NULL,
    state_hash bytea PRIMARY KEY,
    flow_hash bytea NOT NULL,
    provider_state text NOT NULL,
    provider_version text NOT NULL,
    redirect_uri text NOT NULL,
    expires_at timestamptz NOT NULL
)"""

_OF_A_TENANT = (
    "tenants",
    "tenant_clocks",
    "profiles",
    "roles",
    "api_clients",
    "pools",
    "expansion_limits",
    "subscriptions",
    "department_mapping",
    "people",
    "sources",
    "timelines",
    "invitation_tokens",
    "owned_items",
    "heirs",
    "erased_timelines",
    "facts",
    "imports",
    "import_people",
    "held_sources",
    "held_statements",
    "guard_endings",
    "person_modules",
    "reevaluations",
    "scim_connections",
    "scim_tokens",
    "scim_users",
    "scim_groups",
    "scim_members",
    "scim_stopped",
    "scim_activity",
    "sessions",
    "identity_providers",
    "identities",
    "sign_in_flows",
)


def upgrade() -> None:
    tables.create(op)
    people = (
        _ROLES,
        _API_CLIENTS,
        _PEOPLE,
        _SOURCES_OF_TENANT,
        _TIMELINES,
        _INVITATION_TOKENS,
        _OWNED_ITEMS,
        _HEIRS,
        _ERASED_TIMELINES,
        _FACTS,
        _IMPORTS,
        _IMPORT_PEOPLE,
        _HELD_SOURCES,
        _HELD_STATEMENTS,
        _GUARD_ENDINGS,
        _MODULE_STATES,
        _REEVALUATIONS,
    )
    scim = (_SCIM_CONNECTIONS, _SCIM_TOKENS, _SCIM_USERS, _SCIM_GROUPS, _SCIM_MEMBERS, _SCIM_STOPPED, _SCIM_ACTIVITY)
    sign_in = (_SESSIONS, _OPERATORS, _SIGN_IN_REQUESTS, _SIGN_IN_LINKS, _IDENTITY_PROVIDERS, _IDENTITIES, _SIGN_IN_FLOWS)
    settings = (_PROFILES, _MAPPING, _EXPANSION_LIMITS, _POOLS, _SUBSCRIPTIONS, _CATALOGUE, _PLANS)
    for statement in (_TENANTS, _CLOCKS, *settings, *people, *scim, _SOURCES, *sign_in):
        op.execute(statement)
    op.execute("CREATE UNIQUE INDEX imports_running ON imports (tenant_id, source) WHERE status NOT IN ('applied', 'failed')")
    op.execute("CREATE INDEX import_people_external_id ON import_people (tenant_id, import_id, external_id)")
    op.execute("CREATE INDEX timelines_user ON timelines (tenant_id, user_id)")
    op.execute("CREATE INDEX timelines_external_id ON timelines (tenant_id, external_id)")
    op.execute("CREATE INDEX people_login ON people (tenant_id, login_key, arrival)")
    op.execute("CREATE INDEX people_confirmed_login ON people (tenant_id, confirmed_login) WHERE confirmed_login IS NOT NULL")
    op.execute("CREATE INDEX people_confirmed_email ON people (tenant_id, lower(confirmed_email)) WHERE confirmed_email IS NOT NULL")
    op.execute("CREATE INDEX people_email_key ON people (tenant_id, email_key) WHERE employed")
    op.execute("CREATE INDEX people_employee_number ON people (tenant_id, employee_number) WHERE employed AND employee_number <> ''")
    op.execute("CREATE INDEX people_conflict ON people USING gin (conflict_people) WHERE conflict IS NOT NULL")
    op.execute("CREATE INDEX people_reconsider ON people (tenant_id, reconsider_on) WHERE reconsider_on IS NOT NULL")
    op.execute("CREATE INDEX people_leavers ON people (tenant_id, left_on) WHERE left_on IS NOT NULL AND erased_at IS NULL")
    op.execute("CREATE INDEX people_invited ON people (tenant_id, invited_until) WHERE invitation = 'open'")
    op.execute("CREATE INDEX invitation_tokens_user ON invitation_tokens (tenant_id, user_id)")
    op.execute("CREATE INDEX api_clients_tenant ON api_clients (tenant_id, client)")
    op.execute("CREATE INDEX people_roles ON people (tenant_id, arrival) WHERE cardinality(roles) + cardinality(group_roles) > 0")
    op.execute("CREATE UNIQUE INDEX people_arrival ON people (tenant_id, arrival)")
    op.execute("CREATE INDEX people_created ON people (tenant_id, created_at, arrival)")
    op.execute("CREATE INDEX people_name ON people (tenant_id, name_order, arrival)")
    op.execute("CREATE INDEX people_department ON people (tenant_id, department_order, arrival)")
    op.execute("CREATE INDEX person_modules_notable ON person_modules (tenant_id, state) WHERE state NOT IN ('active', 'released')")
    op.execute("CREATE INDEX person_modules_remind ON person_modules (tenant_id, remind_at) WHERE remind_at IS NOT NULL")
    op.execute("CREATE INDEX sessions_user ON sessions (tenant_id, user_id)")
    op.execute("CREATE INDEX sign_in_flows_tenant ON sign_in_flows (tenant_id, expires_at)")
    op.execute("CREATE INDEX sign_in_links_email_key ON sign_in_links (email_key)")
    op.execute("CREATE INDEX reevaluations_tenant ON reevaluations (tenant_id, reevaluation_id) WHERE finished_at IS NULL")
    for index in _SCIM_INDEXES:
        op.execute(index)
    for table in _OF_A_TENANT:
        protect(op, table)


def downgrade() -> None:
    raise NotImplementedError("migrations go forward only: restore a backup instead")

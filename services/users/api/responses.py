"""The bodies of responses."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.users.api.requests import TenantFields
from shared.schemas.base import Instant
from shared.web.rest import Page, PositionView


class TenantView(TenantFields):
    tenant: str
    clock: str
    now: Instant = Field(description="The present time of the tenant.")
    status: str = Field(description="open, or opening while seats has not answered")
    created_at: Instant
    version: int


class PoolView(BaseModel):
    """A pool as seats last reported it."""

    module: str
    licences: int
    in_use: int = Field(description="Active, flagged and reserved seats.")
    flagged: int
    waiting: int
    available: int = Field(description="So many people can still be added within the licences.")


class ModuleView(BaseModel):
    module: str
    state: str = Field(
        description="pending, active, flagged, held, waiting, refused, revoked (a base module), withdrawn (another module) or "
        "not_subscribed (of the profile, and not requested: it has no open pool, or a module that it requires is missing)"
    )
    deadline: Instant | None = Field(None, description="When a flagged seat is revoked, or a hold expires.")
    reason: str | None = None
    position: PositionView | None = Field(
        None, description="The position in seats.commands.v1 of the last decision that this state reflects."
    )
    pool: PoolView | None = Field(None, description="Of a refused module.")
    warning: str | None = Field(None, description="Of a refused module: its limit and use, and how to get more licences.")


class NoteView(BaseModel):
    type: str = Field(description="unknown_department, unknown_profile, command_rejected or command_failed")
    detail: str
    reason: str | None = Field(None, description="The reason that seats gave (command_rejected, command_failed).")
    position: PositionView | None = Field(None, description="The position of that command in seats.commands.v1.")


class InvitationView(BaseModel):
    state: str = Field(
        description="requested (seats has not reserved the licences yet), sent, refused (nothing could be reserved, so no e-mail was "
        "sent) or expired"
    )
    expires_at: Instant
    reserved: bool = Field(description="Licences are reserved until the invitation ends.")


class InvitationToken(BaseModel):
    token: str
    expires_at: Instant


class AcceptedInvitation(BaseModel):
    tenant: str
    user: str


class ConflictView(BaseModel):
    """The reason why a person takes no seat until somebody decides (`link`, `separate`, another login) or the cause ends."""

    reason: str = Field(
        description="login_in_use, several_people (more than one person is found), same_source (the person found is known to this "
        "source by another id), privileged (found by e-mail address only, and may manage people or purchases) or possible_duplicate"
    )
    by: str = Field(description="What the people were found by: login, employee_number or email.")
    people: list[str] = Field(description="The people who may be meant, of those whom you see.")
    hidden: int = Field(0, description="How many people may be meant whom your viewset hides.")


class OtherValue(BaseModel):
    source: str
    value: Any


class ValueView(BaseModel):
    value: Any
    source: str = Field(description="The source that states the value, or `override` if an administrator has set it.")
    hides: list[OtherValue] = Field(description="Other values, which other sources state.")


class TimelineView(BaseModel):
    source: str
    external_id: str


class OwnedItemsView(BaseModel):
    kind: str
    count: int
    labels: list[str]


class HandOverView(BaseModel):
    """What a person owns in the vendor's product, and who takes it over."""

    heir: str | None = Field(description="The id of the person who takes over; null: nobody is named.")
    items: list[OwnedItemsView]


class SignInView(BaseModel):
    """With what a person signs in."""

    login: str | None
    email: str


class PersonView(BaseModel):
    user: str
    external_id: str = Field(description="The id in the source that stated the person first.")
    source: str
    timelines: list[TimelineView] = Field(description="The sources that state anything about the person, in their order.")
    conflict: ConflictView | None = None
    in_conflict: list[str] = Field(description="People in conflict who may be this person, of those whom you see.")
    in_conflict_hidden: int = Field(0, description="How many people in conflict may be this person whom your viewset hides.")
    overrides: dict[str, Any] = Field(description="What an administrator has set instead of what the sources state, by field.")
    values: dict[str, ValueView] | None = Field(
        None, description="For each field that anybody states, where its value comes from. Only in the answer about one person."
    )
    login: str | None
    email: str
    sign_in: SignInView | None = Field(
        None,
        description="With what a person who holds a role signs in until the present login and e-mail address are confirmed; null: with "
        "these.",
    )
    name: str
    job_title: str
    department: str | None
    profile: str | None
    kind: str
    administrator: bool = Field(description="True if the roles have the right account:buy or users:manage.")
    roles: list[str]
    priority: int
    valid_to: date | None
    status: str = Field(
        description="invited (has not accepted the invitation), conflict (may be somebody whom the tenant has already), "
        "active, over_limit (a seat is flagged), waiting (in the queue for a base module), refused (no seat in a base module), "
        "not_subscribed (no module of the profile is subscribed), deactivated (a base module was revoked), inactive (the login is blocked "
        "or missing) or left"
    )
    may_log_in: bool = Field(description="True if the login is allowed and the person has a usable seat in each required base module.")
    modules: list[ModuleView]
    invitation: InvitationView | None = Field(None, description="Null if the person was not invited, or has accepted.")
    hand_over: HandOverView | None = Field(
        None, description="What somebody who has left, is inactive or deactivated still owns, and who takes it over; null: nothing."
    )
    pending: bool = Field(description="True while seats has not answered the last command.")
    notes: list[NoteView]
    created_at: Instant
    erased_at: Instant | None = Field(None, description="When the personal data of the person were erased.")
    version: int


class Digests(BaseModel):
    digests: bool


class RoleView(BaseModel):
    role: str
    name: str
    rights: list[str]
    built_in: bool
    version: int


class PersonRolesView(BaseModel):
    user: str
    roles: list[str] = Field(description="The roles that were given by REST.")
    group_roles: list[str] = Field(description="The roles of the groups in which a source reports the person.")
    rights: list[str] = Field(description="The rights of all these roles.")
    viewset: Literal["own"] | list[str] | None = Field(
        description="The departments whose people this person sees, or `own` for the present department; null: all people."
    )
    unknown_departments: list[str] = Field(description="Departments of the viewset that no longer exist.")
    may_sign_in: bool = Field(description="True if the person has a right, is employed, and is not blocked.")
    sign_in: SignInView = Field(description="With what the person signs in. Check it before you give a role.")
    version: int


class LicenceOfLeaver(BaseModel):
    module: str
    state: str = Field(
        description="free (you can reduce the module by one licence), given_up (`terminate_reduces_pool` reduces the module) or "
        "reallocated (a person who is over the limit or waits gets the licence)"
    )


class ReductionTotalView(BaseModel):
    module: str
    total: int


class ReadyReduction(BaseModel):
    items: list[ReductionTotalView]


class TerminationView(BaseModel):
    person: PersonView
    last_day: date
    licences: list[LicenceOfLeaver] | None = Field(
        description="What becomes of the licences of the person after the last day, as seats would decide now; null if it did not answer."
    )
    reduction: ReadyReduction | None = Field(
        description="The body of `POST …/reductions` (invoicing) that gives up each free licence; null if there is none."
    )


class PersonDataView(BaseModel):
    person: PersonView
    data: dict[str, list[dict[str, Any]]] = Field(
        description="The rows about the person, by table of users. Hashes of secrets are left out."
    )
    elsewhere: dict[str, str] = Field(description="Where other services list what they store about the person.")


class ReplacementView(BaseModel):
    replaced: PersonView
    replacement: PersonView


class ProgressView(BaseModel):
    """The progress of a background job that evaluates people again."""

    reevaluation: str
    kind: str
    status: str = Field(description="running or finished")
    done: int
    total: int = Field(description="People; 0 before they are counted.")
    created_at: Instant
    finished_at: Instant | None = None


class PeoplePage(Page[PersonView]):
    pools: list[PoolView] = Field(description="How many people can still be added, for each module with an open pool.")
    hidden: int | None = Field(
        None, description="The number of people with these statuses whom your viewset hides, on the first page; null without a viewset."
    )


class SecretView(BaseModel):
    secret_id: str
    created_at: Instant


class ApiClientView(BaseModel):
    client: str = Field(description="The `client_id` of token requests.")
    name: str
    rights: list[str]
    secrets: list[SecretView]
    created_at: Instant
    version: int


class NewApiClientView(ApiClientView):
    secret: str | None = Field(None, description="The `client_secret` of token requests. It is shown only once.")


class NewSecretView(BaseModel):
    secret_id: str
    secret: str


class TenantSourceView(BaseModel):
    source: str
    kind: str = Field(description="hr, scim (an identity system) or rest")
    position: int
    match_by: list[str]
    duplicates: str
    guard_people: int
    guard_percent: int
    duplicates_held: bool = Field(description="New people of the source who match nobody take no seats until somebody confirms them.")


class ProfileView(BaseModel):
    profile: str
    name: str
    modules: list[str]
    partial: bool
    version: int
    warnings: list[str] = Field(description="What keeps people with this profile from getting a module.")


class ScimTokenView(BaseModel):
    token: str = Field(description="The id of the token.")
    created_at: Instant
    expires_at: Instant


class NewScimTokenView(ScimTokenView):
    secret: str = Field(description="The token itself. It is shown only once.")


class ScimConnectionView(BaseModel):
    connection: str
    source: str = Field(description="The source of the people whom the connection reports.")
    on_full: str
    deactivation: str
    user_types: dict[str, str]
    tokens: list[ScimTokenView] = Field(description="The valid tokens, without their texts.")
    would_end: int = Field(description="The number of people who would lose access by requests that the guard has stopped.")
    version: int


class ScimGroupView(BaseModel):
    group: str = Field(description="The id of the group.")
    name: str
    members: int = Field(description="The number of members.")
    profile: str | None = Field(description="The profile that the members get.")
    role: str | None = Field(description="The role that the members get.")


class FieldProblem(BaseModel):
    field: str
    expected: str


class Rejected(BaseModel):
    index: int = Field(description="The index of the event in the request, from 0.")
    errors: list[FieldProblem]


class Taken(BaseModel):
    accepted: int
    rejected: list[Rejected]
    facts: list[str | None] = Field(
        description="For each event the id of its fact, with which `person_fact_withdrawn` takes it back; null for an event without one."
    )


class BoundTopic(BaseModel):
    topic: str
    source: str


class ClockView(BaseModel):
    clock: str
    now: Instant
    state: str = Field(description="ready, or advancing: changes for this tenant are refused")
    to: Instant | None = Field(None, description="The time to which the clock is advancing.")


class Token(BaseModel):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a word of RFC 6749
    expires_in: int = Field(description="Seconds until the token expires.")
    issued_token_type: str | None = Field(None, description="Of a token exchange: the type of the token (RFC 8693).")


class SessionView(BaseModel):
    session_id: str
    user: str
    method: str = Field(description="How the person signed in: link or identity_provider.")
    created_at: Instant
    expires_at: Instant


class SessionList(BaseModel):
    sessions: list[SessionView]


class IdentityProviderView(BaseModel):
    issuer: str
    client_id: str
    has_secret: bool
    match_claims: list[str]
    trust_email: bool
    required: bool
    emergency_links: bool
    entered_by: str
    entered_at: Instant


class IdentityProviderViews(BaseModel):
    draft: IdentityProviderView | None = Field(description="The configuration that is used after a test sign-in; null if there is none.")
    effective: IdentityProviderView | None = Field(description="The configuration in use; null if there is none.")


class StartedSignIn(BaseModel):
    authorization_url: str = Field(description="Send the browser there.")
    flow: str = Field(description="Keep it in a cookie of this browser (HttpOnly, Secure, SameSite=Lax), and send it at the end.")
    expires_at: Instant


class IdentityView(BaseModel):
    issuer: str
    subject: str
    bound_at: Instant


class IdentityList(BaseModel):
    identities: list[IdentityView]


class LinkRequested(BaseModel):
    detail: str


class OperatorView(BaseModel):
    operator: str
    email: str
    name: str
    added_by: str
    added_at: Instant


class ChoiceView(BaseModel):
    tenant: str | None = Field(description="null: as an operator of the vendor.")
    tenant_name: str
    user: str
    login: str
    name: str


class LinkUsed(BaseModel):
    ticket: str = Field(description="It is valid once, for five minutes, to choose one of `choices`.")
    expires_at: Instant
    choices: list[ChoiceView] = Field(description="Where and as whom the person may sign in. The list can be empty.")


class NewSessionView(SessionView):
    tenant: str | None = Field(description="null: of an operator of the vendor.")
    secret: str = Field(description="It is shown only here. Exchange it for access tokens with `POST /v1/token`.")


class AllowedView(BaseModel):
    source: str
    tenants: list[str]


class SourceView(AllowedView):
    topic: str = Field(description="The topic from which events of the source are accepted.")


class PublicKeys(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, Any]]


class ImportCounts(BaseModel):
    """Each person of the import is one of new, changed, unchanged and invalid; `leaving` and `absent` count people apart from that."""

    new: int
    changed: int
    unchanged: int
    invalid: int
    leaving: int = Field(description="People who would lose access, now or on a later day.")
    absent: int = Field(description="People of the source who are missing from a complete import.")


class AbsentPersonView(BaseModel):
    user: str
    external_id: str


class InvalidPersonView(BaseModel):
    index: int
    external_id: str
    errors: list[FieldProblem]


class ImportModuleView(BaseModel):
    module: str
    required_before: int = Field(description="People who require the module now.")
    required: int = Field(description="People who would require the module after the import.")
    licences: int | None = Field(None, description="Null if there is no pool, or seats did not answer.")
    available: int | None = None


class DecidedModuleView(BaseModel):
    module: str
    state: str
    deadline: str | None = None
    reason: str | None = None


class DecidedPersonView(BaseModel):
    user: str
    external_id: str
    status: str = Field("", description="The status that the person would have.")
    modules: list[DecidedModuleView]


class ExpansionView(BaseModel):
    module: str
    licences: int = Field(description="By so many licences the pool would expand according to its over-limit policy.")


class CostView(BaseModel):
    currency: str
    term: str
    net_minor: int = Field(description="The price of these licences for a whole period, without tax.")


class ImportDecisions(BaseModel):
    """What seats would decide about each person whose required modules change."""

    decided: bool
    detail: str
    people: list[DecidedPersonView]
    expansions: list[ExpansionView] = Field([], description="Known if `decided`.")
    cost: CostView | None = Field(None, description="Null if no licence would be added, or its price is not known.")


class GuardView(BaseModel):
    would_end: int
    limit: int
    needs_confirmation: bool


class GuardSettingView(BaseModel):
    people: int
    percent: int


class ImportReport(BaseModel):
    counts: ImportCounts
    absent: list[AbsentPersonView] = Field(description="The first 100 of them; `changes` has all.")
    invalid: list[InvalidPersonView] = Field(description="The first 100 of them; `changes` has all.")
    modules: list[ImportModuleView]
    seats: ImportDecisions
    guard: GuardView


class ImportView(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    import_: str = Field(alias="import", description="The id of the import.")
    source: str
    version: int
    complete: bool
    absent: str
    status: str = Field(description="collecting, checked, applying, applied or failed")
    people: int = Field(description="The people that were uploaded.")
    done: int = Field(description="The people that are changed so far.")
    total: int = Field(description="The people that the import changes, known after the check.")
    failure: str | None = Field(None, description="Why the import is failed, and what to do.")
    report: ImportReport | None = Field(None, description="The report of the last check.")
    created_at: Instant


class UploadedPeople(BaseModel):
    accepted: int
    invalid: list[Rejected]


class FirstMatch(BaseModel):
    """How a person is matched whom the source reports for the first time."""

    outcome: str = Field(description="linked (with a person whom other sources report), conflict, or new (nobody matches)")
    by: str | None = Field(None, description="What the person was found by: login, employee_number or email.")
    reason: str | None = Field(None, description="Why the person would be in conflict.")
    people: list[str] = []


class ImportChange(BaseModel):
    """The change of one person by the import, or the reason why there is none."""

    external_id: str
    user: str
    kind: str = Field(description="new, changed, invalid or absent")
    ends: bool = Field(description="The person would lose access.")
    before: dict[str, Any] | None = Field(None, description="Status, values and modules now, and what changes on later days (`upcoming`).")
    after: dict[str, Any] | None = None
    match: FirstMatch | None = Field(None, description="Of a person whom the source reports for the first time.")
    errors: list[FieldProblem] = []


class HeldEventsView(BaseModel):
    """HR events of one source that wait."""

    source: str
    status: str = Field(description="collecting (more may follow), stopped (waiting for a confirmation) or releasing (being applied)")
    events: int
    would_end: int = Field(description="People who would lose access. Known when the events are stopped.")
    ended_before: int = Field(description="People whose access the source ended within the hour before. They count as well.")
    limit: int = Field(description="So many people can lose access within an hour without a confirmation.")
    since: Instant


class HeldEventsDetail(HeldEventsView):
    external_ids: list[str] = Field(description="The first 100 people who would lose access.")


class PreviewedModule(DecidedModuleView):
    warning: str | None = Field(None, description="Of a refused module: its limit and use, and how to get more licences.")


class PreviewView(BaseModel):
    """What adding the person would lead to. Nothing was changed."""

    decided: bool = Field(description="False if seats did not answer: its decision may differ from what is shown.")
    status: str
    modules: list[PreviewedModule]
    not_subscribed: list[str] = Field(description="The other modules of the profile.")
    expansions: list[ExpansionView]
    cost: CostView | None = Field(None, description="Null if no licence would be added, or its price is not known.")

"""The bodies of responses."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

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
    reserved: bool = Field(
        description="Licences are to be reserved until the invitation ends. The state `held` in `modules` says of which they are."
    )


class InvitationToken(BaseModel):
    token: str
    expires_at: Instant


class InvitedModuleView(BaseModel):
    module: str
    name: str
    state: str | None = Field(description="After the acceptance: the state of the module, for example active, waiting or refused.")


class OpenedInvitation(BaseModel):
    """An invitation as its link shows it."""

    tenant: str
    tenant_name: str
    user: str
    name: str
    login: str | None
    state: str = Field(
        description="open, accepted, expired, replaced (by a later invitation), readdressed (the person has another e-mail address "
        "now) or withdrawn (the person may not log in)"
    )
    expires_at: Instant | None
    time_zone: str = Field(description="The time zone of the tenant.")
    test_time: Instant | None = Field(description="The time of the tenant's test clock, which its times are about; null: it has none.")
    invited_by: str | None = Field(description="The name of the person who sent the invitation, if it is somebody of the tenant.")
    reserved: bool = Field(description="Licences are reserved until the invitation ends.")
    modules: list[InvitedModuleView]
    pending: bool = Field(description="A change of the person is being decided.")
    may_sign_in: bool = Field(description="The person may sign in to the console.")


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
    heir_name: str | None = Field(
        None, description="The name or the login of that person; null: nobody is named, or your viewset hides the person."
    )
    items: list[OwnedItemsView]


class SignInView(BaseModel):
    """With what a person signs in."""

    login: str | None
    email: str


class ObstacleView(BaseModel):
    reason: str = Field(
        description="login_blocked (by a source), may_not_log_in (an administrator has blocked the login), no_login, login_ended, kind, "
        "invited, not_subscribed, no_profile, no_modules, or the reason of the conflict"
    )
    detail: str = Field(description="Everything that blocks the login, or why no modules are required, and what to do about it.")


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
    last_day: date | None = Field(
        None,
        description="The coming last day of the employment, as it is stated now; null: no end is stated, or the person is not employed. "
        "Only in the answer about one person.",
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
    obstacle: ObstacleView | None = Field(
        None,
        description="What keeps an employed person from logging in, or from requiring modules. Only in the answer about one person.",
    )
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


class ScimErrorView(BaseModel):
    at: Instant
    detail: str = Field(description="Status and type of the error, for example `409 uniqueness`.")


class ScimConnectionView(BaseModel):
    connection: str
    source: str = Field(description="The source of the people whom the connection reports.")
    on_full: str
    deactivation: str
    user_types: dict[str, str]
    tokens: list[ScimTokenView] = Field(description="The valid tokens, without their texts.")
    would_end: int = Field(description="The number of people who would lose access by requests that the guard has stopped.")
    people: int = Field(description="The people whom this connection reports.")
    last_request_at: Instant | None = Field(description="When the last request came, to half a minute; null: none yet.")
    last_error: ScimErrorView | None = Field(description="The last request that was refused; null: none yet.")
    version: int


class ExpansionView(BaseModel):
    module: str
    licences: int = Field(description="By so many licences the pool would expand according to its over-limit policy.")


class CostView(BaseModel):
    currency: str
    term: str
    net_minor: int = Field(description="The price of these licences for a whole period, without tax.")


class ReductionView(BaseModel):
    module: str
    licences: int = Field(description="The number of licences that leavers would give back because `terminate_reduces_pool` is true.")
    reduce_at: str = Field(description="`now`, or `period_end`: the next period has so many fewer.")


class CostPreviewView(BaseModel):
    """The licences that a change of many people adds and gives back. Nothing was changed."""

    decided: bool = Field(
        description="False if more than 100 people would change, if a SCIM connection reports more than 100, if events about more than "
        "250 people wait, or if seats did not answer: which pools would expand is not known then."
    )
    expansions: list[ExpansionView]
    cost: CostView | None = Field(description="Null if no licence would be added, or its price is not known.")
    reductions: list[ReductionView]
    saving: CostView | None = Field(description="What is no longer paid; null if no licence is given back, or its price is not known.")


class ScimRemovalView(BaseModel):
    """The answer to the removal of a SCIM connection: how many people and groups it concerns."""

    people: int = Field(description="The people whom the connection reports. Those of other sources stay as these report them.")
    groups: int = Field(description="The groups of the connection. What they give ends.")
    would_end: int = Field(description="People who lose access: those whom no other source employs.")
    would_begin: int = Field(description="People who can log in again, because only this connection blocks them.")
    limit: int = Field(description="So many people can lose access without a confirmation.")
    needs_confirmation: bool = Field(description="`confirm` must be `would_end`.")
    licences: CostPreviewView | None = Field(
        None, description="With `dry_run`: the licences that would be added and given back. Null without it."
    )


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


class NextDueView(BaseModel):
    now: Instant = Field(description="The present time of the tenant.")
    next_due: Instant | None = Field(description="When something falls due next; null: nothing is known to fall due.")


class AllowedView(BaseModel):
    source: str
    tenants: list[str]


class SourceView(AllowedView):
    topic: str = Field(description="The topic from which events of the source are accepted.")


class DecidedModuleView(BaseModel):
    module: str
    state: str
    deadline: str | None = None
    reason: str | None = None


class HeldEventsView(BaseModel):
    """HR events of one source that wait."""

    source: str
    status: str = Field(description="collecting (more may follow), stopped (waiting for a confirmation) or releasing (being applied)")
    events: int
    would_end: int = Field(description="People who would lose access. Known when the events are stopped.")
    ended_before: int = Field(description="People whose access the source ended within the hour before. They count as well.")
    limit: int = Field(description="So many people can lose access within an hour without a confirmation.")
    since: Instant


class StoppedScimView(BaseModel):
    """Requests of one SCIM connection that the guard stopped."""

    connection: str
    would_end: int = Field(description="People who would lose access. `POST …/scim-connections/{connection}/confirm` repeats the number.")
    people: list[str] = Field(description="The ids of the first 100 of them.")
    since: Instant


class HeldEventsDetail(HeldEventsView):
    external_ids: list[str] = Field(description="The first 100 people who would lose access.")
    would_begin: int = Field(description="People who would get access, now or on a later day.")
    beginning: list[str] = Field(description="The first 100 of them.")
    names: dict[str, str] = Field(description="The names of these people by external id, or their logins or e-mail addresses.")


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


class ModuleChange(BaseModel):
    module: str
    before: int = Field(description="People who require the module now.")
    after: int = Field(description="People who would require it.")
    licences: int | None = Field(description="Null if there is no pool, or seats did not answer.")
    available: int | None


class LaterModule(BaseModel):
    module: str
    people: int = Field(description="People who would get it in their profile, and require it when it is subscribed.")


class OutcomeView(BaseModel):
    module: str
    state: str = Field(description="active, flagged, waiting, refused or revoked")
    people: int = Field(description="People whose modules change and for whom seats would decide this.")


class SettingsPreviewView(BaseModel):
    """The consequences of a change of the settings. Nothing was changed."""

    examined: int = Field(description="The people who were examined.")
    complete: bool = Field(description="False if there are more people than are examined: the numbers are then those of the first ones.")
    changed: int = Field(description="The people who would require other modules.")
    modules: list[ModuleChange] = Field(description="The modules whose number of people would change.")
    not_subscribed: list[LaterModule] = Field(
        description="Modules that people would get in their profiles, but not require yet: the module, or one that it requires, is not "
        "subscribed."
    )
    decided: bool = Field(
        description="False if more than 100 people would require other modules, `complete` is false, or seats did not answer: compare "
        "`after` with `licences`."
    )
    outcomes: list[OutcomeView] = Field(description="What seats would decide, if `decided`.")
    expansions: list[ExpansionView]
    cost: CostView | None = Field(description="Null if no licence would be added, or its price is not known.")

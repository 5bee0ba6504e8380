"""The bodies of requests."""

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StrictBool, create_model

from services.users.domain.scim_connections import DAYS_DEFAULT, DAYS_MAX
from services.users.domain.sources import PEOPLE_DEFAULT, PERCENT_DEFAULT, Duplicates, MatchBy
from shared.schemas.base import ExternalId, Id, ModuleName, Text
from shared.schemas.rights import TENANT_RIGHTS
from shared.text import clear, plain, seen
from shared.web.rest import Day, Moment

PRIORITY_MAX = 1_000_000
MODULES_MAX = 200
DEPARTMENTS_MAX = 10_000
EVENTS_MAX = 1000
IMPORT_PEOPLE_MAX = 1000  # of one request
SOURCE_TENANTS_MAX = 10_000
ROLES_OF_PERSON_MAX = 20
VIEWSET_MAX = 100
VIEWSET_CHARACTERS_MAX = 3000


def _on_a_clock(value: datetime) -> datetime:
    """Refuse times near the ends of the calendar: their local day or next period would be no date."""
    if not 1970 <= value.year < 3000:
        raise ValueError("expected a time of the years 1970 to 2999")
    return value


TenantTime = Annotated[Moment, AfterValidator(_on_a_clock)]


class Body(BaseModel):
    """A body of a request. An unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


B = TypeVar("B", bound=Body)


def optional_fields(model: type[B]) -> type[B]:
    """Decorate a model so that a request may leave out each of its fields."""
    fields: dict[str, Any] = {
        name: (Annotated[(field.annotation, Field(description=field.description), *field.metadata)] | None, None)
        for name, field in model.model_fields.items()
    }
    return cast("type[B]", create_model(model.__name__, __base__=Body, __doc__=model.__doc__, __module__=model.__module__, **fields))


@cache
def _zones() -> frozenset[str]:
    """Return the zones of the package tzdata. A machine can have others (`localtime`), which another machine does not know."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


def _zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("expected a time zone of the IANA database, such as Europe/Copenhagen")
    return value


TimeZone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(min_length=1, max_length=500)]


SeenName = Annotated[Name, AfterValidator(seen)]  # of a request; what was stored before may have others
PersonName = Annotated[Text, AfterValidator(seen)]
PlainText = Annotated[Text, AfterValidator(plain)]
Login = Annotated[Text, Field(min_length=1), AfterValidator(clear)]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", max_length=35)]


_CONTACT: Any = Field(description="The person or team of the vendor to ask. Refusals and e-mails name it.")
SupportContact = Annotated[SeenName, _CONTACT]


class TenantFields(BaseModel):
    """The fields of a tenant that requests set and responses show."""

    name: Name
    time_zone: TimeZone
    locale: Locale = "en"
    contact_email: EmailStr = Field(
        description="The address of the tenant's administration. It gets the e-mails that cannot be sent to a person."
    )
    support_contact: Annotated[Name, _CONTACT]
    release_on_expiry: StrictBool = Field(
        False, description="If true, the seats of a person are released when the login ends (`valid_to`)."
    )
    erase_after_months: Annotated[int, Field(ge=0, le=1200, strict=True)] = Field(
        0, description="The months after which the personal data of people who have left are erased; 0: they are kept."
    )


class FirstOwner(Body):
    name: SeenName
    email: EmailStr
    login: Login | None = Field(None, description="Default: the e-mail address.")


class NewTenant(Body, TenantFields):
    tenant: Id | None = Field(None, description="The id of the tenant; default: users creates one.")
    name: SeenName
    support_contact: SupportContact
    clock: Literal["real", "test"] = "real"
    at: TenantTime | None = Field(None, description="The start time of a test clock; default: now.")
    owner: FirstOwner | None = Field(None, description="The first owner, who gets an invitation by e-mail and takes no seat.")


@optional_fields
class TenantPatch(Body, TenantFields):
    """Only the fields that are sent change."""

    name: SeenName
    support_contact: SupportContact


class Allowed(Body):
    tenants: Annotated[list[Id], Field(max_length=SOURCE_TENANTS_MAX)] = Field(
        description="The tenants for which this source may send facts. The list may be empty: then the source may send none."
    )


KindName = Literal["employee", "external", "service"]
StatusName = Literal[
    "invited", "active", "over_limit", "waiting", "refused", "not_subscribed", "deactivated", "conflict", "inactive", "left", "all"
]


INVITATION_DAYS_MAX = 90


class InvitationBody(Body):
    """An invitation by e-mail."""

    days: Annotated[int, Field(ge=1, le=INVITATION_DAYS_MAX, strict=True)] = Field(
        7, description="The days until the invitation, its link and its reservation end."
    )
    reserve: StrictBool = Field(
        True,
        description="If true, a licence of each required module is reserved until the invitation ends; a full pool refuses the invitation. "
        "If false, the licences are requested when the invitation is accepted.",
    )


class OwnedItemsBody(Body):
    count: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = Field(description="How many items of this kind; 0: none.")
    labels: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=20)] = Field(
        [], description="The names of some of them, for the people who hand over."
    )


class HeirBody(Body):
    heir: Id | None = Field(description="The id of the person who takes over; null: nobody yet.")


class AcceptInvitation(Body):
    token: Annotated[str, Field(min_length=1, max_length=200, description="The token of the link in the e-mail.")]


class NewInvitationToken(Body):
    email: Annotated[str, Field(max_length=320)] | None = Field(
        None,
        description="The address to which the link is sent. If the person has another one now, the request is refused (409). Null: it is "
        "not compared.",
    )


class NewPerson(Body):
    login: Login | None = Field(
        None, description="Unique among employed people. The case of letters is ignored. A person without a login takes no seat."
    )
    email: EmailStr | None = Field(
        None, description="Notifications for a person without an e-mail address go to the administrators. Such a person cannot be invited."
    )
    name: PersonName = ""
    job_title: PlainText = ""
    external_id: Annotated[ExternalId, AfterValidator(plain)] | None = Field(
        None, description="Your own id of this person, any text; default: users creates one."
    )
    department: PlainText | None = None
    profile: Id | None = Field(None, description="The profile of this person, instead of that of the department.")
    kind: KindName = Field("employee", description="People of the kinds external and service take no seat.")
    administrator: StrictBool = Field(
        False, description="True gives the roles licence-manager and people-manager. It needs the right roles:manage."
    )
    priority: Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, strict=True)] = Field(
        0, description="People with a higher priority leave the queue first."
    )
    valid_to: Day | None = Field(None, description="The last day, in the time zone of the tenant, on which the person may log in.")
    may_log_in: StrictBool = Field(True, description="If false, the login is blocked and the person takes no seat.")
    invitation: InvitationBody | None = Field(
        None, description="Invite the person by e-mail. The status is `invited` until the person accepts."
    )


class PersonPatch(Body):
    """Only the fields that are sent change; null removes login, email, department, profile or valid_to."""

    login: Login | None = None
    email: EmailStr | None = None
    name: PersonName | None = None
    job_title: PlainText | None = None
    department: PlainText | None = None
    profile: Id | None = None
    kind: KindName | None = None
    administrator: StrictBool | None = Field(
        None,
        description="True gives the roles licence-manager and people-manager to a person without the rights account:buy and users:manage. "
        "False takes away each role with one of these rights. A change needs the right roles:manage.",
    )
    priority: Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, strict=True)] | None = None
    valid_to: Day | None = None
    may_log_in: StrictBool | None = None
    status: Literal["left"] | None = Field(None, description="`left` if the person has left the company.")


class Replacement(Body):
    to: Id = Field(description="The id of the person who gets the seats. The login of this person is allowed, if it was blocked.")
    afterwards: Literal["left", "blocked"] = Field(
        "left", description="What becomes of the person who is replaced: `left` (has left the company) or `blocked` (may not log in)."
    )


class TerminationBody(Body):
    last_day: Day = Field(
        description="The last working day, in the time zone of the tenant, in the past or in the future. The person leaves after this day."
    )


class Reactivation(Body):
    modules: Annotated[list[ModuleName], Field(max_length=200)] | None = Field(
        None, description="The modules to reactivate; default: all that the person requires."
    )


class LinkPeople(Body):
    to: Id = Field(description="The person who stays, with roles, seats and account.")


class SeparatePerson(Body):
    """Without a source, the person is separated from the people of the conflict."""

    source: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    external_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="The id in the source; what it states belongs to a person of its own then."
    )


class PossibleDuplicatesBody(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="The source whose new people wait, for example hr/acme."
    )


class SourceSettings(Body):
    position: Annotated[int, Field(ge=0, le=1000, strict=True)] | None = Field(
        None, description="Sources with a lower position go first. Default: 10 for HR systems, 20 for identity systems, 30 for REST."
    )
    match_by: Annotated[list[MatchBy], Field(max_length=3)] = Field(
        list(MatchBy),
        description="What new people are recognised by whom another source knows, in this order. An empty list switches matching off.",
    )
    duplicates: Duplicates = Field(
        Duplicates.HOLD,
        description="`hold`: if many new people match nobody, they take no seats until somebody confirms them. `allow`: new people "
        "take seats; those who wait already wait until somebody confirms them.",
    )
    guard_people: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = Field(
        PEOPLE_DEFAULT, description="So many people can lose access at once without a confirmation."
    )
    guard_percent: Annotated[int, Field(ge=0, le=100, strict=True)] = Field(
        PERCENT_DEFAULT, description="The same as a part of the employed people of the tenant. The greater number counts."
    )


class ProfileBody(Body):
    name: SeenName
    modules: Annotated[list[ModuleName], Field(max_length=MODULES_MAX)] = Field(
        description="The modules that the profile requires. The list may be empty: then the person takes no seat."
    )
    partial: StrictBool = Field(False, description="If true, the person gets the available modules; if false, all modules or none.")


Department = Annotated[Text, Field(min_length=1)]  # one that exists
RightName = Literal["account:read", "account:buy", "users:read", "users:manage", "log:read", "settings:manage", "roles:manage"]
RoleRights = Annotated[list[RightName], Field(min_length=1, max_length=len(TENANT_RIGHTS))]


class DigestsBody(Body):
    digests: StrictBool = Field(description="False: the person gets only e-mails about deadlines, and those about own seats.")


class OperatorAccess(Body):
    reason: SeenName = Field(description="Why the tenant is opened. The tenant's action log shows it.")


class NewRole(Body):
    role: Id | None = Field(None, description="The id of the role; default: users creates one.")
    name: SeenName
    rights: RoleRights


class RolePatch(Body):
    """Only the fields that are sent change."""

    name: SeenName | None = None
    rights: RoleRights | None = None


class NewApiClient(Body):
    name: SeenName = Field(description="What the client is for. Lists and the action log show it.")
    rights: RoleRights


class ApiClientPatch(Body):
    """Only the fields that are sent change."""

    name: SeenName | None = None
    rights: RoleRights | None = None


def _fits_a_token(departments: list[str]) -> list[str]:
    if sum(map(len, departments)) > VIEWSET_CHARACTERS_MAX:
        raise ValueError(f"expected names with at most {VIEWSET_CHARACTERS_MAX} characters together, because access tokens carry them")
    return departments


Viewset = Annotated[list[Department], Field(max_length=VIEWSET_MAX), AfterValidator(_fits_a_token)]


class PersonRoles(Body):
    roles: Annotated[list[Id], Field(max_length=ROLES_OF_PERSON_MAX)] = Field(
        description="The ids of all roles that the person shall have. The list may be empty."
    )
    viewset: Literal["own"] | Viewset | None = Field(
        None,
        description="The departments whose people this person sees, or `own` for the department in which the person is now; null: all "
        "people. An owner has none.",
    )


class HrEvents(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="The name of the source on the allow-list, for example hr/acme."
    )
    events: Annotated[list[dict[str, Any]], Field(max_length=EVENTS_MAX)] = Field(
        description="Each event has `type` (person_hired, person_changed, person_left, person_reported or person_fact_withdrawn), "
        "`external_id` and the data of its type."
    )


class NewImport(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="The name of the source on the allow-list, for example hr/acme."
    )
    complete: StrictBool = Field(False, description="If true, the import contains all people of the source, so that others are absent.")
    absent: Literal["list", "leave"] = Field(
        "list", description="What becomes of absent people of a complete import: `list` only names them, with `leave` they leave today."
    )


class ImportPeople(Body):
    people: Annotated[list[dict[str, Any]], Field(max_length=IMPORT_PEOPLE_MAX)] = Field(
        description="Each person has `external_id`, `employment` and `attributes`, as in `person_reported`."
    )


class ApplyImport(Body):
    confirm: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        None, description="The number of people who would lose access, if the guard asks for it (`guard` of the check)."
    )


class HeldEvents(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(description="The source whose events wait, for example hr/acme.")


class ConfirmHeldEvents(HeldEvents):
    confirm: Annotated[int, Field(ge=0, strict=True)] = Field(description="The number of people who would lose access.")


class GuardSetting(Body):
    people: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = Field(
        PEOPLE_DEFAULT, description="So many people can lose access at once without a confirmation."
    )
    percent: Annotated[int, Field(ge=0, le=100, strict=True)] = Field(
        PERCENT_DEFAULT, description="The same as a part of the employed people of the tenant. The greater number counts."
    )


UserType = Annotated[str, Field(min_length=1, max_length=100)]


class ScimConnectionBody(Body):
    on_full: Literal["create", "refuse"] = Field(
        "create",
        description="What happens to a new user whom seats refuses or lets wait, because no licence is free: create the user without a "
        "licence, or refuse it. A user whom the policy `over_limit` of the pool lets in over the limit, or adds a licence for, is created.",
    )
    deactivation: Literal["suspends", "leaves"] = Field(
        "suspends", description="What `active: false` means: the login is blocked, or the person has left."
    )
    user_types: Annotated[dict[UserType, KindName], Field(max_length=100)] = Field(
        {}, description="The kind of the people with this `userType`; default: employee."
    )


class NewScimToken(Body):
    expires_in_days: Annotated[int, Field(ge=1, le=DAYS_MAX, strict=True)] = Field(
        DAYS_DEFAULT, description="How long the token is valid. E-mails 30 and 7 days before its end remind the administrators."
    )


class GroupMapping(Body):
    profile: Id | None = Field(
        None, description="The profile that the members get. In several groups, a person gets the modules of all their profiles."
    )
    role: Id | None = Field(None, description="The role that the members get, beside those that they have. It cannot be `owner`.")


class ConfirmStopped(Body):
    confirm: Annotated[int, Field(ge=1, strict=True)] = Field(description="The number of people who would lose access.")


class BindTopic(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="The `ce_source` of the events of the source, for example hr/acme."
    )


class Advance(Body):
    to: TenantTime = Field(description="A time after the present time of the tenant, at most ten years later.")


class Republish(Body):
    tenant: Id | None = None

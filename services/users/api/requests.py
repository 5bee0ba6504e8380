"""The bodies of requests."""

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field

from services.users.sign_in.tokens import TTL_MAX_S
from shared.schemas.base import Id, ModuleName, Text
from shared.web.rest import Day, Flag, Moment

PRIORITY_MAX = 1_000_000
MODULES_MAX = 200
DEPARTMENTS_MAX = 10_000
EVENTS_MAX = 1000


def _on_a_clock(value: datetime) -> datetime:
    """Far from the ends of the calendar, where a local day or the next period is no date any more, for whoever reads this time later."""
    if not 1970 <= value.year < 3000:
        raise ValueError("expected a time of the years 1970 to 2999")
    return value


TenantTime = Annotated[Moment, AfterValidator(_on_a_clock)]


class Body(BaseModel):
    """What callers send: a field that nobody knows is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


@cache
def _zones() -> frozenset[str]:
    """Of the package tzdata. The machine may have others (`localtime`), which mean something else, or nothing, on the next one."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


def _zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("a time zone of the IANA database expected, as Europe/Copenhagen")
    return value


TimeZone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", max_length=35)]


class NewTenant(Body):
    tenant: Id | None = Field(None, description="Its id; default: made here.")
    name: Name
    time_zone: TimeZone
    locale: Locale = "en"
    clock: Literal["real", "test"] = "real"
    at: TenantTime | None = Field(None, description="A test clock's first time; default: now.")
    contact_email: EmailStr = Field(description="Of the tenant's administration: gets what no person can get.")
    support_contact: Name = Field(description="Of the vendor; every refusal names it.")
    release_on_expiry: Flag = Field(False, description="A login that ended (`valid_to`) frees the person's seats.")


class TenantPatch(Body):
    name: Name | None = None
    time_zone: TimeZone | None = None
    locale: Locale | None = None
    contact_email: EmailStr | None = None
    support_contact: Name | None = None
    release_on_expiry: Flag | None = None


class Allowed(Body):
    tenants: Annotated[list[Id], Field(max_length=10_000)] = Field(description="Whom this source may speak of; empty: nobody.")


Login = Annotated[str, Field(min_length=1, max_length=500)]
KindName = Literal["employee", "external", "service"]


class NewPerson(Body):
    login: Login
    email: EmailStr
    name: Text = ""
    job_title: Text = ""
    external_id: Id | None = Field(None, description="The caller's own id for this person; default: made here.")
    department: Text | None = None
    profile: Id | None = Field(None, description="Goes before the department's.")
    kind: KindName = Field("employee", description="external and service people take no seat.")
    administrator: Flag = False
    priority: Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, strict=True)] = Field(
        0, description="Higher is served first from a queue."
    )
    valid_to: Day | None = Field(None, description="Last day (local) on which the login works.")


class PersonPatch(Body):
    """What is given changes; null takes department, profile or valid_to away."""

    login: Login | None = None
    email: EmailStr | None = None
    name: Text | None = None
    job_title: Text | None = None
    department: Text | None = None
    profile: Id | None = None
    kind: KindName | None = None
    administrator: Flag | None = None
    priority: Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, strict=True)] | None = None
    valid_to: Day | None = None
    may_log_in: Flag | None = None
    status: Literal["left"] | None = Field(None, description="left: the person is terminated.")


class Reactivation(Body):
    modules: Annotated[list[ModuleName], Field(max_length=200)] | None = Field(
        None, description="Whose revocations to end; default: all that the person needs."
    )


class ProfileBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=500)]
    modules: Annotated[list[ModuleName], Field(max_length=MODULES_MAX)] = Field(description="May be empty: then it takes no seat.")
    partial: Flag = Field(False, description="Each module by itself, instead of all or none.")


Department = Annotated[Text, Field(min_length=1)]


class HrEvents(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(description="As on the allow-list, hr/acme say.")
    events: Annotated[list[dict[str, Any]], Field(max_length=EVENTS_MAX)] = Field(
        description="Each with `type` (person_hired, person_changed, person_left), `external_id`, `effective_date` and what it says."
    )


class BindTopic(Body):
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(description="The `ce_source` of its events, for example hr/acme.")


class Advance(Body):
    to: TenantTime = Field(description="A time after the tenant's own, by ten years at most.")


class Republish(Body):
    tenant: Id | None = None


class TokenForm(Body):
    """`application/x-www-form-urlencoded`, as RFC 6749, section 4.4 has it."""

    grant_type: Annotated[str, Field(pattern="^client_credentials$")]
    client_id: Annotated[str, Field(min_length=1, max_length=100)]
    client_secret: Annotated[str, Field(min_length=1, max_length=500)]
    tenant: Id | None = Field(
        None, description="Valid for this tenant only. Missing: for all tenants, which only the scope `operator` allows. Blank is refused."
    )
    subject: Id | None = Field(None, description="In whose name; default: the client's.")
    scope: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="Rights, separated by spaces. Missing or blank: 400 `invalid_scope`. A service asks for `operator`."
    )
    ttl_seconds: Annotated[int, Field(ge=1, le=TTL_MAX_S)] | None = None

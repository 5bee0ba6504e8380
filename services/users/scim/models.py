"""The resources that this service offers by SCIM. Only attributes that are stored and returned are declared."""

from datetime import datetime
from typing import Annotated, Any, Final, Self, cast

from pydantic import Field, model_validator
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Extension,
    Filter,
    Mutability,
    Pagination,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
    default_comparison_key,
)
from scim2_models.resources.resource import AnyExtension
from scim2_models.urn import URN

from services.users.domain.logins import login_key
from services.users.domain.scim_connections import ENTERPRISE
from shared.web.input_limits import BODY_MAX

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
SEATS: Final = "urn:ietf:params:scim:schemas:extension:seatpool:2.0:Seats"
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 200
BULK_MAX: Final = 100


class Name(ComplexAttribute):
    formatted: str | None = None
    family_name: str | None = None
    given_name: str | None = None
    middle_name: str | None = None
    honorific_prefix: str | None = None
    honorific_suffix: str | None = None


class Email(ComplexAttribute):
    value: str | None = None
    display: str | None = None
    type: str | None = None
    primary: bool | None = None


class PhoneNumber(ComplexAttribute):
    value: str | None = None
    display: str | None = None
    type: str | None = None
    primary: bool | None = None


class Address(ComplexAttribute):
    formatted: str | None = None
    street_address: str | None = None
    locality: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    type: str | None = None
    primary: bool | None = None


class Membership(ComplexAttribute):
    """A group of the user."""

    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[Reference["Group"] | None, Mutability.read_only] = Field(None, serialization_alias="$ref", validation_alias="$ref")
    display: Annotated[str | None, Mutability.read_only] = None


class User(Resource[AnyExtension]):
    """A user, with the attributes that are stored."""

    __schema__ = URN(USER)

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: str | None = None
    nick_name: str | None = None
    title: str | None = None
    user_type: str | None = None
    preferred_language: str | None = None
    locale: str | None = None
    timezone: str | None = None
    active: bool | None = None
    emails: list[Email] | None = None
    phone_numbers: list[PhoneNumber] | None = None
    addresses: list[Address] | None = None
    groups: Annotated[list[Membership] | None, Mutability.read_only] = None

    @model_validator(mode="after")
    def _validate_comparison_forms(self) -> Self:
        """Check nothing: any text can be compared (`_comparison_key`). The library would look for texts in each attribute by its path,
        which takes longer than all other checks of a user together."""
        return self


class Manager(ComplexAttribute):
    value: Annotated[str | None, CaseExact.true] = None

    @model_validator(mode="before")
    @classmethod
    def _named_by_id(cls, value: Any) -> Any:
        """Accept the id of the manager alone, or a list with one manager, as Entra sends them. The address and the name of the manager,
        which RFC 7643 knows, are not stored."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            return {name: given for name, given in value.items() if name.lower() not in ("$ref", "displayname")}
        return {"value": value} if isinstance(value, str) else value


class EnterpriseUser(Extension):
    __schema__ = URN(ENTERPRISE)

    employee_number: str | None = None
    cost_center: str | None = None
    organization: str | None = None
    division: str | None = None
    department: str | None = None
    manager: Manager | None = None


class ModuleSeat(ComplexAttribute):
    """The state of one module of the user."""

    value: Annotated[str | None, Mutability.read_only] = None
    state: Annotated[str | None, Mutability.read_only] = None
    reason: Annotated[str | None, Mutability.read_only] = None
    deadline: Annotated[datetime | None, Mutability.read_only] = None


class Seats(Extension):
    """The status of the user in Seatpool: one without a licence exists all the same, and here is the reason."""

    __schema__ = URN(SEATS)

    status: Annotated[str | None, Mutability.read_only] = None
    modules: Annotated[list[ModuleSeat] | None, Mutability.read_only] = None


class Member(ComplexAttribute):
    """A member has only its id: a group may have 100,000."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None


class Group(Resource[Any]):
    __schema__ = URN(GROUP)

    display_name: Annotated[str | None, Required.true] = None
    members: list[Member] | None = None


def _comparison_key(binding: Any, value: str) -> str:
    """Compare names of users as logins are compared everywhere else."""
    return login_key(value) if binding.field_name == "user_name" else default_comparison_key(binding, value)


# Identity providers send more than is stored (Okta sends a password): unknown attributes of a body are dropped. Entra names the members
# to remove in the value, and expects that a PATCH of `emails[type eq "work"].value` adds the entry.
POLICY: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    comparison_key=_comparison_key,
)

CONFIG: Final = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=True, max_operations=BULK_MAX, max_payload_size=BODY_MAX),
    filter=Filter(supported=True, max_results=PAGE_MAX),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=True),
    pagination=Pagination(cursor=False, index=True, default_page_size=PAGE_DEFAULT, max_page_size=PAGE_MAX),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="The token of the SCIM connection, which `seatpool scim token` prints.",
            primary=True,
        )
    ],
)

_FULL_USER: Final[Any] = User[EnterpriseUser | Seats]
PROVIDER: Final = ScimProvider(
    models=cast(Any, [User, EnterpriseUser, Seats, Group]),
    resource_types=[ResourceType.from_resource(_FULL_USER), ResourceType.from_resource(Group)],
    config=CONFIG,
    policy=POLICY,
)

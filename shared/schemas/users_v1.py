"""Events of users (`users.events.v1`, kept 30 days): tenants, people, profiles. Only this topic contains names and addresses."""

from pydantic import EmailStr

from shared.schemas.base import Actor, Change, ExternalId, Id, Instant, Items, ModuleName, OptionalEmail, Payload, Text


class UsersEvent(Payload):
    at: Instant  # the tenant's time
    actor: Actor
    reason: Text = ""
    changes: Items[Change] = ()


class TenantState(UsersEvent):
    name: Text
    time_zone: str  # IANA
    locale: str = "en"
    clock: str  # real | test
    contact_email: EmailStr  # of the tenant's administration: gets what no person can get
    support_contact: Text  # of the vendor; every refusal names it (A13)
    erase_after_months: int = 0  # personal data of leavers; 0: they are kept


class TenantCreated(TenantState):
    pass


class TenantChanged(TenantState):
    pass


class TenantRepublished(TenantState):
    """The present state again, for a reader that was rebuilt. It causes no e-mail."""


class PersonState(UsersEvent):
    """The whole person as they are now, so that a reader needs no other event."""

    user: Id
    external_id: ExternalId
    login: Text
    email: OptionalEmail  # empty: there is none
    name: Text
    job_title: Text
    department: Text | None = None
    profile: Id | None = None
    kind: str  # employee | external | service
    administrator: bool
    # invited (has not accepted the invitation) |
    # active | over_limit (a seat is flagged) | waiting | refused | not_subscribed | deactivated (revoked in a base module) | inactive (may
    # not log in) | left | expected (the start was postponed or cancelled); an open enum
    status: str
    modules: Items[ModuleName]  # the need
    roles: Items[Text] = ()
    rights: Items[Text] = ()  # of the roles
    departments: tuple[Text, ...] | None = None  # those whose people this person sees; null: all
    may_sign_in: bool = False  # to the console
    digests: bool = True  # the person wants e-mails that are no deadlines
    # E-mails go to this address instead of `email`, which nobody has confirmed yet; empty: to none; null: to `email`.
    confirmed_email: OptionalEmail | None = None
    version: int  # rises with each change of this person; readers drop what is older


class PersonAdded(PersonState):
    pass


class PersonChanged(PersonState):
    pass


class PersonLeft(PersonState):
    pass


class PersonRepublished(PersonState):
    """The present state again, for a reader that was rebuilt. It causes no e-mail."""


class PersonErased(UsersEvent):
    """The personal data of a person who has left were erased. Readers erase what they hold. The id stays: logs refer to it."""

    user: Id


class PersonInvited(UsersEvent):
    """The person is to get an e-mail with a link that accepts the invitation. The token in the link is not part of any event."""

    user: Id
    expires_at: Instant
    reserved: bool  # licences are reserved until then


class InvitationExpired(UsersEvent):
    """The person did not accept the invitation in time. What was reserved is free again."""

    user: Id
    expires_at: Instant


class PersonLinked(UsersEvent):
    """A timeline of a source belongs to this person from now on."""

    user: Id
    source: Text
    external_id: ExternalId
    by: str = ""  # login | employee_number | email | administrator: how the person was recognised; an open enum


class PersonSeparated(UsersEvent):
    """A timeline of a source was taken from one person: it describes a person of its own from now on."""

    user: Id
    source: Text
    external_id: ExternalId
    from_user: Id


class OwnedItems(Payload):
    """Items of one kind that a person owns in the vendor's product."""

    kind: Text
    count: int
    labels: Items[Text] = ()


class HandOverDue(UsersEvent):
    """Somebody who left or was deactivated owns items that another person has to take over (A22)."""

    user: Id
    heir: Id | None = None  # none is named yet
    items: Items[OwnedItems]


class GraceEnding(UsersEvent):
    """A reminder: the person's seat is over the limit and is revoked at the deadline, unless a licence is free by then."""

    user: Id
    module: ModuleName
    deadline: Instant


class ConflictFound(UsersEvent):
    """A person may be somebody whom the tenant has already: the person takes no seat until somebody decides or the cause ends. It is
    published again when the reason changes, or somebody else may be meant too."""

    user: Id
    # login_in_use | several_people | same_source | privileged; an open enum
    conflict: str
    by: str = ""  # login | employee_number | email
    people: Items[Id] = ()  # those who may be meant


class PossibleDuplicates(UsersEvent):
    """A source adds many people whom no other source knows, while another source has as many: they take no seats until it is confirmed."""

    source: Text
    people: int
    other_source: Text
    other_people: int


class ProfileDefined(UsersEvent):
    profile: Id
    name: Text
    modules: Items[ModuleName]
    partial: bool


class RoleDefined(UsersEvent):
    """A role of the tenant's own was added or changed."""

    role: Id
    name: Text
    rights: Items[Text]


class RoleDeleted(UsersEvent):
    role: Id


class LastOwnerLost(UsersEvent):
    """A source ended the access of the last owner who could sign in. The operator appoints another one."""

    user: Id


class TenantOpenedByOperator(UsersEvent):
    """Somebody of the vendor got a token that reads this tenant; `reason` says why. `operator` is the name of the person, if it was one."""

    until: Instant
    operator: Text | None = None


class ScimEvent(UsersEvent):
    """The fields of all events about SCIM connections."""

    connection: Id


class ScimTokenEnding(ScimEvent):
    """A reminder: a token of a SCIM connection ends in `days` days."""

    token: Id
    expires_at: Instant
    days: int


class ApiClientChanged(UsersEvent):
    """An API client was added (`added`), changed, or has other secrets."""

    client: Id
    name: Text
    rights: Items[Text]
    added: bool


class ScimConnectionChanged(ScimEvent):
    """A SCIM connection was added (`added`) or changed."""

    added: bool


class ScimConnectionRemoved(ScimEvent):
    """A SCIM connection was removed: its tokens and groups have ended, and a background job ends what it states about people."""

    people: int
    groups: int


class ScimTokenChanged(ScimEvent):
    """A token of a SCIM connection was made, or revoked."""

    token: Id
    what: str  # issued | revoked; an open enum
    expires_at: Instant | None = None  # of an issued one


class ScimGroupMapped(ScimEvent):
    """The members of a SCIM group get another profile or another role."""

    group: Text


class ApiClientRevoked(UsersEvent):
    client: Id
    name: Text


class DepartmentMapped(UsersEvent):
    department: Text
    profile: Id | None


class LicencesFree(UsersEvent):
    """Licences of a module became available while people are refused in it. They do not get them by themselves."""

    module: ModuleName
    available: int
    refused: int  # people


class ChangesStopped(UsersEvent):
    """The guard stopped changes of a source that would end the access of many people, before they changed anybody."""

    source: Text
    would_end: int
    limit: int
    import_id: Id | None = None  # null: they came by topic or as HR events, and wait
    ended: int = 0  # people whose access the source has ended within the hour before; they count as well


class SignInLinkRequested(UsersEvent):
    """Somebody requested a sign-in link for the e-mail address of a person who may sign in. Only notifier can unseal the link."""

    user: Id
    email: EmailStr
    sealed_link: str
    expires_at: Instant  # real time


class OperatorLinkRequested(UsersEvent):
    """An operator of the vendor requested a sign-in link. The event belongs to no tenant. Only notifier can unseal the link."""

    operator: Id
    email: EmailStr
    sealed_link: str
    expires_at: Instant


class IdentityProviderChanged(UsersEvent):
    """The identity provider with which the people of the tenant sign in."""

    what: str  # entered (not in use before a test sign-in) | effective | removed; an open enum
    issuer: Text


class SignInUnconfirmed(UsersEvent):
    """Somebody without the rights of a person who holds a role has changed that person's login or e-mail address. The person signs in as
    before until it is confirmed. Null: unchanged."""

    user: Id
    email: EmailStr | None  # the address before, to which sign-in links go; null: there was none
    new_login: Text | None
    new_email: EmailStr | None


class SignInConfirmed(UsersEvent):
    """The person signs in with the present login and e-mail address from now on."""

    user: Id


class EmergencyLinkUsed(UsersEvent):
    """An owner signed in by an e-mail link, although the tenant requires its identity provider. All owners get an e-mail."""

    user: Id
    name: Text
    owners: Items[EmailStr]


class ClockAdvancing(UsersEvent):
    """A test clock advances: writes for this tenant are answered with 409 from now to `ClockReady`."""

    to: Instant


class ClockReady(UsersEvent):
    pass

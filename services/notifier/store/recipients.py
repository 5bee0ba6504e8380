"""Tenants, their time, and people, as users and seats last reported them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, false, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, names_of, one, recordset, replacing, table_of
from shared.errors import NotFound
from shared.schemas import users_v1
from shared.schemas.rights import ACCOUNT_BUY, USERS_MANAGE

LEFT, INACTIVE = "left", "inactive"  # statuses of people who were terminated, or may not log in
DEACTIVATED = "deactivated"  # status of a person who was revoked in a base module
NAMED_MAX = 10_000  # people who are read for one e-mail; it shows fewer


@dataclass(frozen=True, slots=True)
class TenantRow:
    tenant_id: str
    name: str
    time_zone: str
    locale: str
    clock: str
    contact_email: str
    support_contact: str
    read_to: int  # offset of the event with this state: an older event changes nothing


@dataclass(frozen=True, slots=True)
class ClockRow:
    """A tenant's time as seats reported it; apart from the tenant, since either can be read first."""

    tenant_id: str
    clock: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PersonRow:
    tenant_id: str
    user_id: str
    email: str
    name: str
    rights: tuple[str, ...]
    departments: tuple[str, ...] | None  # those whose people this person sees; None: all
    department: str | None
    may_sign_in: bool
    digests: bool
    status: str
    version: int
    login: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The people whom a reader with a viewset sees: those of the departments, and the reader."""

    departments: tuple[str, ...]
    reader: str


TENANTS = table_of("tenants", TenantRow)
CLOCKS = table_of("tenant_clocks", ClockRow)
PEOPLE = table_of("people", PersonRow)

_OF_TENANT = bindparam("tenant", type_=Text)
_INSERT_TENANT = insert(TENANTS)
_SAVE_TENANT = replacing(_INSERT_TENANT, TenantRow, "tenant_id", where=TENANTS.c.read_to < _INSERT_TENANT.excluded.read_to)
_INSERT_CLOCK = insert(CLOCKS)
_SAVE_CLOCK = _INSERT_CLOCK.on_conflict_do_update(
    index_elements=["tenant_id"], set_={"at": func.greatest(CLOCKS.c.at, _INSERT_CLOCK.excluded.at)}
)
# A batch may hold a person twice: the newest version is stored, unless an even newer one is stored already.
_GIVEN = recordset(PersonRow)
_INSERT_PEOPLE = insert(PEOPLE).from_select(
    names_of(PersonRow),
    select(*columns_of(PersonRow, _GIVEN))
    .ext(distinct_on(_GIVEN.c.tenant_id, _GIVEN.c.user_id))
    .order_by(_GIVEN.c.tenant_id, _GIVEN.c.user_id, _GIVEN.c.version.desc()),
)
_IS_NEWER = PEOPLE.c.version <= _INSERT_PEOPLE.excluded.version
SAVE_PERSON = replacing(_INSERT_PEOPLE, PersonRow, "tenant_id", "user_id", where=_IS_NEWER)
_TENANT = select(*columns_of(TenantRow, TENANTS)).where(TENANTS.c.tenant_id == _OF_TENANT)
_PERSON = select(*columns_of(PersonRow, PEOPLE)).where(PEOPLE.c.tenant_id == _OF_TENANT, PEOPLE.c.user_id == bindparam("user"))
_HOLDERS = (
    select(*columns_of(PersonRow, PEOPLE))
    .where(PEOPLE.c.tenant_id == _OF_TENANT, func.cardinality(PEOPLE.c.rights) > 0, PEOPLE.c.status != LEFT, PEOPLE.c.email != "")
    .order_by(PEOPLE.c.name, PEOPLE.c.user_id)
)
_SHOWN = func.coalesce(
    func.nullif(PEOPLE.c.name, ""), func.nullif(PEOPLE.c.email, ""), func.nullif(PEOPLE.c.login, ""), PEOPLE.c.user_id
).label("shown")
_NAMES = select(PEOPLE.c.user_id, _SHOWN).where(
    PEOPLE.c.tenant_id == _OF_TENANT, PEOPLE.c.user_id == any_(bindparam("users", type_=ARRAY(Text)))
)
_DEACTIVATED = (
    select(_SHOWN)
    .where(PEOPLE.c.tenant_id == _OF_TENANT, PEOPLE.c.status == DEACTIVATED)
    .order_by("shown", PEOPLE.c.user_id)
    .limit(NAMED_MAX)
)
_DEPARTMENTS = select(PEOPLE.c.user_id, PEOPLE.c.department).where(
    PEOPLE.c.tenant_id == _OF_TENANT, PEOPLE.c.user_id == any_(bindparam("users", type_=ARRAY(Text)))
)
_NAMED = select(func.unnest(bindparam("users", type_=ARRAY(Text))).label("user_id")).subquery("named")
_ONE = select(_OF_TENANT.label("tenant_id")).subquery("one")
_TIME = select(func.coalesce(TENANTS.c.clock, CLOCKS.c.clock), CLOCKS.c.at).select_from(
    _ONE.outerjoin(TENANTS, TENANTS.c.tenant_id == _ONE.c.tenant_id).outerjoin(CLOCKS, CLOCKS.c.tenant_id == _ONE.c.tenant_id)
)


def visible_to_reader(tenant_id: ColumnElement[str], user_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a row concerns nobody, the reader, or a person whom the reader's viewset has (`departments`, `reader`)."""
    department = select(PEOPLE.c.department).where(PEOPLE.c.tenant_id == tenant_id, PEOPLE.c.user_id == user_id).scalar_subquery()
    seen = func.coalesce(department == any_(bindparam("departments", type_=ARRAY(Text))), false())
    return user_id.is_(None) | (user_id == bindparam("reader", type_=Text)) | seen


_VISIBLE = select(_NAMED.c.user_id).where(visible_to_reader(_OF_TENANT, _NAMED.c.user_id))


def person_row(tenant_id: str, person: users_v1.PersonState) -> PersonRow:
    """Return the person as a recipient. E-mails have links and say what only the person may know, so they go to the address that counts
    for sign-in. An event from before there were roles tells only that somebody is an administrator."""
    is_old = person.administrator and not person.rights
    return PersonRow(
        tenant_id=tenant_id,
        user_id=person.user,
        email=person.email if person.confirmed_email is None else person.confirmed_email,
        name=person.name,
        rights=(ACCOUNT_BUY, USERS_MANAGE) if is_old else person.rights,
        departments=person.departments,
        department=person.department,
        may_sign_in=person.may_sign_in or (is_old and person.status not in (LEFT, INACTIVE)),
        digests=person.digests,
        status=person.status,
        version=person.version,
        login=person.login,
    )


async def save_tenant(connection: AsyncConnection, tenant_id: str, state: users_v1.TenantState, read_to: int) -> None:
    """`read_to` is the event's offset: a dead letter that is retried later does not bring an older state back."""
    given = state.model_dump(mode="json", include=set(names_of(TenantRow)))
    await connection.execute(_SAVE_TENANT, given | {"tenant_id": tenant_id, "read_to": read_to})


async def save_clock(connection: AsyncConnection, tenant_id: str, clock: str, at: datetime) -> None:
    await connection.execute(_SAVE_CLOCK, asdict(ClockRow(tenant_id, clock, at)))


async def tenant(connection: AsyncConnection, tenant_id: str) -> TenantRow | None:
    return await one(connection, _TENANT, TenantRow, tenant=tenant_id)


async def person(connection: AsyncConnection, tenant_id: str, user_id: str | None) -> PersonRow | None:
    """Return None for a person who is not known yet."""
    return await one(connection, _PERSON, PersonRow, tenant=tenant_id, user=user_id)


async def holders(connection: AsyncConnection, tenant_id: str) -> Sequence[PersonRow]:
    """Return the people with rights who have not left and have an e-mail address."""
    return await many(connection, _HOLDERS, PersonRow, tenant=tenant_id)


async def administrators(connection: AsyncConnection, tenant_id: str) -> Sequence[PersonRow]:
    """Return those whom other people can ask: who may buy or manage people, and can sign in, if there are any."""
    found = [row for row in await holders(connection, tenant_id) if not {ACCOUNT_BUY, USERS_MANAGE}.isdisjoint(row.rights)]
    return [row for row in found if row.may_sign_in] or found


async def departments(connection: AsyncConnection, tenant_id: str, users: Collection[str]) -> dict[str, str | None]:
    """Return the departments of these people, as far as they are known."""
    if not users:
        return {}
    found = await connection.execute(_DEPARTMENTS, {"tenant": tenant_id, "users": list(users)})
    return {row.user_id: row.department for row in found}


async def visible(connection: AsyncConnection, tenant_id: str, users: Collection[str], view: View) -> set[str]:
    """Return those of these people whom the reader sees."""
    if not users:
        return set()
    values = {"tenant": tenant_id, "users": list(users), "departments": view.departments, "reader": view.reader}
    return set((await connection.execute(_VISIBLE, values)).scalars())


async def names(connection: AsyncConnection, tenant_id: str, users: Collection[str]) -> dict[str, str]:
    """Return the names of these people; for a person without a name the e-mail address, else the login, else the id."""
    if not users:
        return {}
    return {row.user_id: row.shown for row in await connection.execute(_NAMES, {"tenant": tenant_id, "users": list(users)})}


async def deactivated(connection: AsyncConnection, tenant_id: str) -> Sequence[str]:
    """Return the names of the people who are deactivated, as `names` does."""
    return list((await connection.execute(_DEACTIVATED, {"tenant": tenant_id})).scalars())


async def time_of(connection: AsyncConnection, tenant_id: str) -> tuple[str, datetime | None]:
    """Return the kind of the tenant's clock (real or test), and the time that seats last reported of it. Raises NotFound until users or
    seats has reported the tenant."""
    clock, at = (await connection.execute(_TIME, {"tenant": tenant_id})).one()
    if clock is None:
        raise NotFound("tenant")
    return clock, at


async def check_tenant(connection: AsyncConnection, tenant_id: str) -> None:
    """Raise NotFound for an unknown tenant, for reads that would otherwise answer it with nothing."""
    await time_of(connection, tenant_id)

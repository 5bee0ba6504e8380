"""Staged imports: their people, what they would change, and how far they are applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Interval,
    Text,
    and_,
    any_,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.people import PEOPLE
from services.users.store.timelines import FACTS, TIMELINES
from shared.database.row_classes import columns_of, json_rows, many, names_of, one, recordset, table_of

EXPIRES_AFTER: Final = timedelta(hours=1)
KEPT_FOR: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ImportRow:
    import_id: str
    source: str
    version: int
    complete: bool
    absent: str  # list | leave
    begun_at: int  # the arrival of the last fact of the source when the import began
    status: str  # collecting | checked | applying | applied | failed
    actor: Mapping[str, str]
    report: Mapping[str, Any] | None
    total: int
    done: int
    failure: str | None  # why it is failed
    created_at: datetime
    touched_at: datetime


@dataclass(frozen=True, slots=True)
class StagedPerson:
    """`report` is None for a person who cannot be read; `errors` says why. `kind` and `change` are known after the check."""

    position: int
    external_id: str
    user_id: str
    digest: str
    report: Mapping[str, Any] | None
    errors: Sequence[Mapping[str, str]]
    kind: str | None = None
    ends: bool = False
    releases: bool = False
    change: Mapping[str, Any] | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class CheckedPerson:
    """A staged person after the check: what applying the import would change."""

    position: int
    user_id: str
    kind: str
    ends: bool
    releases: bool
    change: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Count:
    kind: str
    people: int
    ends: int


@dataclass(frozen=True, slots=True)
class StagedKey:
    position: int
    external_id: str
    digest: str
    readable: bool


@dataclass(frozen=True, slots=True)
class KnownPerson:
    user_id: str
    external_id: str


IMPORTS: Final = table_of("imports", ImportRow, tenant_id=str)
STAGED: Final = table_of("import_people", StagedPerson, tenant_id=str, import_id=str)

_I: Final = IMPORTS.c
_S: Final = STAGED.c
_P: Final = PEOPLE.c
_R: Final = TIMELINES.c
_F: Final = FACTS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_IMPORT: Final = bindparam("of_import", type_=Text)
_SOURCE: Final = bindparam("of_source", type_=Text)
_VERSION: Final = bindparam("of_version", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=BigInteger)
_AFTER: Final = bindparam("after", type_=BigInteger)
_COLUMNS: Final = columns_of(ImportRow, IMPORTS)
_OF_IMPORT: Final = and_(_I.tenant_id == _TENANT, _I.import_id == _IMPORT)
_STAGED_OF_IMPORT: Final = and_(_S.tenant_id == _TENANT, _S.import_id == _IMPORT)

_ENDED: Final = ("applied", "failed")
_EXPIRE: Final = delete(IMPORTS).where(
    _I.tenant_id == _TENANT,
    _I.source == _SOURCE,
    _I.status.in_(("collecting", "checked")),
    _I.touched_at < func.now() - bindparam("expires_after", EXPIRES_AFTER, type_=Interval),
)
_OLD: Final = and_(_I.status != "applying", _I.touched_at < func.now() - bindparam("kept_for", KEPT_FOR, type_=Interval))
_WITH_OLD: Final = select(_I.tenant_id).where(_OLD).distinct()
_FORGET: Final = delete(IMPORTS).where(_I.tenant_id == _TENANT, _OLD).returning(_I.import_id)
_FORGET_PEOPLE: Final = delete(STAGED).where(
    _S.tenant_id == _TENANT,
    ~exists(
        select(_I.import_id).where(_I.tenant_id == _TENANT, _I.import_id == _S.import_id, (_I.source != _SOURCE) | _I.status.not_in(_ENDED))
    ),
)
_RUNNING: Final = select(*_COLUMNS).where(_I.tenant_id == _TENANT, _I.source == _SOURCE, _I.status.not_in(_ENDED))
_LAST_VERSION: Final = select(
    func.greatest(
        select(func.coalesce(func.max(_R.version), 0)).where(_R.tenant_id == _TENANT, _R.source == _SOURCE).scalar_subquery(),
        select(func.coalesce(func.max(_I.version), 0)).where(_I.tenant_id == _TENANT, _I.source == _SOURCE).scalar_subquery(),
    )
)
_LAST_ARRIVAL: Final = select(func.coalesce(func.max(_F.arrival), 0)).where(_F.tenant_id == _TENANT, _F.source == _SOURCE).scalar_subquery()
_NEW: Final = ("import_id", "source", "version", "complete", "absent", "actor")
_INSERT: Final = insert(IMPORTS).values(
    {
        "tenant_id": _TENANT,
        "begun_at": _LAST_ARRIVAL,
        "status": "collecting",
        "total": 0,
        "done": 0,
        "created_at": func.now(),
        "touched_at": func.now(),
    }
    | {name: bindparam(f"new_{name}", type_=_I[name].type) for name in _NEW}
)
_GET: Final = select(*_COLUMNS).where(_OF_IMPORT)
_LOCK: Final = _GET.with_for_update()
_SET: Final = (
    update(IMPORTS)
    .where(_OF_IMPORT)
    .values(
        status=bindparam("new_status", type_=Text),
        report=bindparam("new_report", type_=_I.report.type),
        total=bindparam("new_total", type_=BigInteger),
        done=bindparam("new_done", type_=BigInteger),
        failure=bindparam("new_failure", type_=Text),
        touched_at=func.now(),
    )
)
_DELETE: Final = delete(IMPORTS).where(_OF_IMPORT)
_DELETE_STAGED: Final = delete(STAGED).where(_STAGED_OF_IMPORT)
_DELETE_RANGE: Final = _DELETE_STAGED.where(
    _S.position >= bindparam("first", type_=BigInteger), _S.position < bindparam("last", type_=BigInteger)
)
_GIVEN: Final = recordset(StagedPerson)
_ADD: Final = insert(STAGED).from_select(
    ["tenant_id", "import_id", *names_of(StagedPerson)], select(_TENANT, _IMPORT, *columns_of(StagedPerson, _GIVEN))
)
_CLEAR_CHECK: Final = (
    update(STAGED)
    .where(_STAGED_OF_IMPORT, _S.kind.is_not(None) | _S.report.is_(None))
    .values(kind=case((_S.report.is_(None), "invalid")), ends=False, releases=False, change=null())
)
_DELETE_ABSENT: Final = _DELETE_STAGED.where(_S.kind == "absent")
# Sets of people are compared in Python: without statistics, which tables that were just filled do not have yet, joins of them take minutes.
_POSITIONS: Final = any_(bindparam("positions", type_=ARRAY(BigInteger)))
_KEYS: Final = select(_S.position, _S.external_id, _S.digest, _S.report.is_not(None)).where(_STAGED_OF_IMPORT)
_DIGESTS: Final = select(_R.external_id, _R.digest).where(_R.tenant_id == _TENANT, _R.source == _SOURCE, _R.version > 0)
_WITH_FACTS: Final = select(_F.external_id).where(_F.tenant_id == _TENANT, _F.source == _SOURCE).distinct()
_EMPLOYED_OF: Final = (
    select(_R.user_id, _R.external_id)
    .select_from(PEOPLE.join(TIMELINES, (_R.tenant_id == _P.tenant_id) & (_R.user_id == _P.user_id)))
    .where(_P.tenant_id == _TENANT, _R.source == _SOURCE, _P.employed)
    .order_by(_P.arrival, _R.external_id)
)
_MARK_TWICE: Final = (
    update(STAGED)
    .where(_STAGED_OF_IMPORT, _S.position == _POSITIONS)
    .values(kind="invalid", errors=bindparam("new_errors", type_=_S.errors.type))
)
_MARK_UNCHANGED: Final = update(STAGED).where(_STAGED_OF_IMPORT, _S.position == _POSITIONS).values(kind="unchanged")
_KINDS: Final = any_(bindparam("kinds", type_=ARRAY(Text)))
_UNCHECKED: Final = (
    select(*columns_of(StagedPerson, STAGED))
    .where(_STAGED_OF_IMPORT, _S.kind.is_(None) | (_S.kind == _KINDS), _S.position > _AFTER)
    .order_by(_S.position)
    .limit(_LIMIT)
)
_CHECKED: Final = recordset(CheckedPerson)
_SAVE_CHECKED: Final = (
    update(STAGED)
    .where(_STAGED_OF_IMPORT, _S.position == _CHECKED.c.position)
    .values({name: _CHECKED.c[name] for name in names_of(CheckedPerson, but=("position",))})
)
_COUNTS: Final = (
    select(_S.kind, func.count(), func.count().filter(_S.ends)).where(_STAGED_OF_IMPORT, _S.kind.is_not(None)).group_by(_S.kind)
)
_SIZE: Final = select(func.count()).where(_STAGED_OF_IMPORT, _S.kind.is_distinct_from("absent"))
_UNCHANGED_WITHOUT_PROFILE: Final = (
    select(_P.department, func.count())
    .select_from(
        STAGED.join(TIMELINES, (_R.tenant_id == _S.tenant_id) & (_R.source == _SOURCE) & (_R.external_id == _S.external_id)).join(
            PEOPLE, (_P.tenant_id == _R.tenant_id) & (_P.user_id == _R.user_id)
        )
    )
    .where(_STAGED_OF_IMPORT, _S.kind == "unchanged", _P.employed, _P.kind == "employee", _P.profile.is_(None))
    .group_by(_P.department)
)
# People who are not employed today, and whose record changes on a later day.
_UNCHANGED_STARTERS: Final = (
    select(_P.user_id)
    .select_from(
        STAGED.join(TIMELINES, (_R.tenant_id == _S.tenant_id) & (_R.source == _SOURCE) & (_R.external_id == _S.external_id)).join(
            PEOPLE, (_P.tenant_id == _R.tenant_id) & (_P.user_id == _R.user_id)
        )
    )
    .where(_STAGED_OF_IMPORT, _S.kind == "unchanged", ~_P.employed, _P.reconsider_on.is_not(None))
)
_CHANGES: Final = (
    select(*columns_of(StagedPerson, STAGED))
    .where(_STAGED_OF_IMPORT, _S.kind == _KINDS, _S.position > _AFTER)
    .order_by(_S.position)
    .limit(_LIMIT)
)
# People who give up a module come first: their licences are free for those who are new in it.
_NEXT: Final = (
    select(*columns_of(StagedPerson, STAGED))
    .where(_STAGED_OF_IMPORT, ~_S.done, _S.kind == _KINDS)
    .order_by(_S.releases.desc(), _S.position)
    .limit(_LIMIT)
)
_HOLDERS: Final = (
    select(_R.external_id)
    .select_from(PEOPLE.join(TIMELINES, (_R.tenant_id == _P.tenant_id) & (_R.user_id == _P.user_id)))
    .where(_P.tenant_id == _TENANT, _P.employed, _P.login_key == any_(bindparam("logins", type_=ARRAY(Text))), _R.source == _SOURCE)
)
_NEXT_OF: Final = (
    select(*columns_of(StagedPerson, STAGED))
    .where(_STAGED_OF_IMPORT, ~_S.done, _S.kind == _KINDS, _S.external_id == any_(bindparam("external_ids", type_=ARRAY(Text))))
    .order_by(_S.position)
)
_READABLE: Final = select(*columns_of(StagedPerson, STAGED)).where(
    _STAGED_OF_IMPORT,
    _S.report.is_not(None),
    _S.kind.is_distinct_from("invalid"),
    _S.external_id == any_(bindparam("external_ids", type_=ARRAY(Text))),
)
_SET_DONE: Final = (
    update(STAGED).where(_STAGED_OF_IMPORT, _S.position == any_(bindparam("positions", type_=ARRAY(BigInteger)))).values(done=True)
)
_UNCHANGED: Final = select(_S.external_id).where(_STAGED_OF_IMPORT, _S.kind == "unchanged")
_RAISE_VERSIONS: Final = (
    update(TIMELINES)
    .where(
        _R.tenant_id == _TENANT,
        _R.source == _SOURCE,
        _R.version < _VERSION,
        _R.external_id == any_(bindparam("external_ids", type_=ARRAY(Text))),
    )
    .values(version=_VERSION, reported_at=func.now())
)
_UNFINISHED: Final = select(
    exists(
        select(_I.import_id).where(
            _I.tenant_id == _TENANT,
            _I.status.not_in(_ENDED),
            (_I.status == "applying") | (_I.touched_at >= func.now() - bindparam("expires_after", EXPIRES_AFTER, type_=Interval)),
        )
    )
)
_WITH_APPLYING: Final = select(_I.tenant_id).where(_I.status == "applying").group_by(_I.tenant_id).order_by(func.min(_I.touched_at))
_TAKE: Final = (
    select(*_COLUMNS)
    .where(_I.status == "applying", _I.tenant_id == _TENANT)
    .order_by(_I.touched_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_APPLYING: Final = select(func.count()).where(_I.tenant_id == _TENANT, _I.status == "applying")
_REQUIRED: Final = (
    func.unnest(_P.required_modules.op("||")(_P.not_subscribed)).table_valued(column("module", Text()), name="required").render_derived()
)
_REQUIRED_COUNTS: Final = (
    select(_REQUIRED.c.module, func.count().label("number"))
    .select_from(PEOPLE.join(_REQUIRED, true()))
    .where(_P.tenant_id == _TENANT)
    .group_by(_REQUIRED.c.module)
)
_EMPLOYED: Final = select(func.count()).where(_P.tenant_id == _TENANT, _P.employed)


async def expire(connection: AsyncConnection, tenant_id: str, source: str) -> None:
    """Delete imports of the source to which nothing was uploaded for an hour, and what is left of imports that are applied."""
    given = {"tenant": tenant_id, "of_source": source}
    await connection.execute(_EXPIRE, given)
    await connection.execute(_FORGET_PEOPLE, given)


async def with_old(connection: AsyncConnection) -> list[str]:
    """Return the tenants with imports that nobody has used for 30 days."""
    return list((await connection.execute(_WITH_OLD)).scalars())


async def forget_old(connection: AsyncConnection, tenant_id: str) -> None:
    """Delete the imports of the tenant that nobody has used for 30 days, applied or not, with their people."""
    for import_id in (await connection.execute(_FORGET, {"tenant": tenant_id})).scalars().all():
        await connection.execute(_DELETE_STAGED, {"tenant": tenant_id, "of_import": import_id})


async def running(connection: AsyncConnection, tenant_id: str, source: str) -> ImportRow | None:
    """Return the import of this source that has not ended."""
    return await one(connection, _RUNNING, ImportRow, tenant=tenant_id, of_source=source)


async def last_version(connection: AsyncConnection, tenant_id: str, source: str) -> int:
    """Return the highest version that the source has used."""
    version: int = (await connection.execute(_LAST_VERSION, {"tenant": tenant_id, "of_source": source})).scalar_one()
    return version


async def add(connection: AsyncConnection, tenant_id: str, row: Mapping[str, Any]) -> None:
    await connection.execute(_INSERT, {"tenant": tenant_id, "of_source": row["source"]} | {f"new_{name}": row[name] for name in _NEW})


async def get(connection: AsyncConnection, tenant_id: str, import_id: str, *, for_update: bool = False) -> ImportRow | None:
    return await one(connection, _LOCK if for_update else _GET, ImportRow, tenant=tenant_id, of_import=import_id)


async def save(connection: AsyncConnection, tenant_id: str, row: ImportRow) -> None:
    """Save status, report, progress and failure. Call under the import's lock."""
    given = {f"new_{name}": getattr(row, name) for name in ("status", "report", "total", "done", "failure")}
    await connection.execute(_SET, {"tenant": tenant_id, "of_import": row.import_id} | given)


async def remove(connection: AsyncConnection, tenant_id: str, import_id: str) -> None:
    await connection.execute(_DELETE_STAGED, {"tenant": tenant_id, "of_import": import_id})
    await connection.execute(_DELETE, {"tenant": tenant_id, "of_import": import_id})


async def put_people(connection: AsyncConnection, tenant_id: str, import_id: str, people: Sequence[StagedPerson]) -> None:
    """Replace the people at these positions, which follow each other."""
    given = {"tenant": tenant_id, "of_import": import_id}
    if people:
        await connection.execute(_DELETE_RANGE, given | {"first": people[0].position, "last": people[-1].position + 1})
        await connection.execute(_ADD, given | {"rows": json_rows(people)})


async def clear_check(connection: AsyncConnection, tenant_id: str, import_id: str) -> None:
    """Forget an earlier check."""
    await connection.execute(_DELETE_ABSENT, {"tenant": tenant_id, "of_import": import_id})
    await connection.execute(_CLEAR_CHECK, {"tenant": tenant_id, "of_import": import_id})


async def keys(connection: AsyncConnection, tenant_id: str, import_id: str) -> list[StagedKey]:
    return await many(connection, _KEYS, StagedKey, tenant=tenant_id, of_import=import_id)


async def unchanged_digests(connection: AsyncConnection, tenant_id: str, source: str) -> dict[str, str]:
    """Return the digest of the last report by external id; people about whom the source has stated facts since then are left out."""
    given = {"tenant": tenant_id, "of_source": source}
    with_facts = set((await connection.execute(_WITH_FACTS, given)).scalars())
    return {row.external_id: row.digest for row in await connection.execute(_DIGESTS, given) if row.external_id not in with_facts}


async def mark_twice(
    connection: AsyncConnection, tenant_id: str, import_id: str, positions: Sequence[int], errors: Sequence[object]
) -> None:
    """Mark people who are in the import twice."""
    given = {"tenant": tenant_id, "of_import": import_id, "positions": list(positions), "new_errors": list(errors)}
    await connection.execute(_MARK_TWICE, given)


async def mark_unchanged(connection: AsyncConnection, tenant_id: str, import_id: str, positions: Sequence[int]) -> None:
    await connection.execute(_MARK_UNCHANGED, {"tenant": tenant_id, "of_import": import_id, "positions": list(positions)})


async def unchecked(
    connection: AsyncConnection, tenant_id: str, import_id: str, kinds: Sequence[str], after: int, limit: int
) -> list[StagedPerson]:
    """Return the next people whom the check has not looked at, and those of these kinds, by position."""
    given = {"tenant": tenant_id, "of_import": import_id, "kinds": list(kinds), "after": after, "limit": limit}
    return await many(connection, _UNCHECKED, StagedPerson, **given)


async def save_checked(connection: AsyncConnection, tenant_id: str, import_id: str, people: Sequence[CheckedPerson]) -> None:
    if people:
        await connection.execute(_SAVE_CHECKED, {"tenant": tenant_id, "of_import": import_id, "rows": json_rows(people)})


async def add_absent(connection: AsyncConnection, tenant_id: str, import_id: str, people: Sequence[StagedPerson]) -> None:
    if people:
        await connection.execute(_ADD, {"tenant": tenant_id, "of_import": import_id, "rows": json_rows(people)})


async def employed_of(connection: AsyncConnection, tenant_id: str, source: str) -> list[KnownPerson]:
    """Return the employed people of whom the source has a timeline, in order of arrival."""
    return await many(connection, _EMPLOYED_OF, KnownPerson, tenant=tenant_id, of_source=source)


async def counts(connection: AsyncConnection, tenant_id: str, import_id: str) -> dict[str, Count]:
    """Return the number of checked people by kind."""
    found = await many(connection, _COUNTS, Count, tenant=tenant_id, of_import=import_id)
    return {count.kind: count for count in found}


async def unchanged_without_profile(connection: AsyncConnection, tenant_id: str, row: ImportRow) -> list[tuple[str | None, int]]:
    """Return how many of the unchanged people are employees without a profile, by department."""
    given = {"tenant": tenant_id, "of_import": row.import_id, "of_source": row.source}
    return [(department, people) for department, people in await connection.execute(_UNCHANGED_WITHOUT_PROFILE, given)]


async def unchanged_starters(connection: AsyncConnection, tenant_id: str, row: ImportRow) -> list[str]:
    """Return the unchanged people who are not employed today, and may be on a later day."""
    given = {"tenant": tenant_id, "of_import": row.import_id, "of_source": row.source}
    return list((await connection.execute(_UNCHANGED_STARTERS, given)).scalars())


async def size(connection: AsyncConnection, tenant_id: str, import_id: str) -> int:
    """Return the number of people that were uploaded."""
    number: int = (await connection.execute(_SIZE, {"tenant": tenant_id, "of_import": import_id})).scalar_one()
    return number


async def page(
    connection: AsyncConnection, tenant_id: str, import_id: str, kinds: Sequence[str], after: int, limit: int
) -> list[StagedPerson]:
    """Return the next people of these kinds, by position."""
    given = {"tenant": tenant_id, "of_import": import_id, "kinds": list(kinds), "after": after, "limit": limit}
    return await many(connection, _CHANGES, StagedPerson, **given)


async def next_to_apply(
    connection: AsyncConnection, tenant_id: str, import_id: str, kinds: Sequence[str], limit: int
) -> list[StagedPerson]:
    given = {"tenant": tenant_id, "of_import": import_id, "kinds": list(kinds), "limit": limit}
    return await many(connection, _NEXT, StagedPerson, **given)


async def holders(connection: AsyncConnection, tenant_id: str, source: str, logins: Sequence[str]) -> set[str]:
    """Return the external ids, in the source, of the employed people who have one of these logins now."""
    found = await connection.execute(_HOLDERS, {"tenant": tenant_id, "of_source": source, "logins": list(logins)})
    return set(found.scalars())


async def readable(connection: AsyncConnection, tenant_id: str, import_id: str, external_ids: Sequence[str]) -> dict[str, StagedPerson]:
    """Return by external id those of these people whom the import can change."""
    found = await many(connection, _READABLE, StagedPerson, tenant=tenant_id, of_import=import_id, external_ids=list(external_ids))
    return {each.external_id: each for each in found}


async def to_apply(
    connection: AsyncConnection, tenant_id: str, import_id: str, kinds: Sequence[str], external_ids: Sequence[str]
) -> list[StagedPerson]:
    """Return those of these people whom the import changes and who are not applied yet."""
    given = {"tenant": tenant_id, "of_import": import_id, "kinds": list(kinds), "external_ids": list(external_ids)}
    return await many(connection, _NEXT_OF, StagedPerson, **given)


async def set_done(connection: AsyncConnection, tenant_id: str, import_id: str, positions: Sequence[int]) -> None:
    await connection.execute(_SET_DONE, {"tenant": tenant_id, "of_import": import_id, "positions": list(positions)})


async def raise_versions(connection: AsyncConnection, tenant_id: str, row: ImportRow) -> None:
    """Give the reports of unchanged people the version of the import."""
    unchanged = list((await connection.execute(_UNCHANGED, {"tenant": tenant_id, "of_import": row.import_id})).scalars())
    given = {"tenant": tenant_id, "of_source": row.source, "of_version": row.version, "external_ids": unchanged}
    await connection.execute(_RAISE_VERSIONS, given)


async def with_applying(connection: AsyncConnection) -> list[str]:
    """Return the tenants with an import to apply, those that wait longest first."""
    return list((await connection.execute(_WITH_APPLYING)).scalars())


async def take(connection: AsyncConnection, tenant_id: str) -> ImportRow | None:
    """Return the tenant's next import to apply, locked: two processes never apply the same people."""
    return await one(connection, _TAKE, ImportRow, tenant=tenant_id)


async def unfinished(connection: AsyncConnection, tenant_id: str) -> bool:
    """Return whether the tenant has an import that is neither ended nor expired."""
    return bool((await connection.execute(_UNFINISHED, {"tenant": tenant_id})).scalar_one())


async def applying(connection: AsyncConnection, tenant_id: str) -> int:
    number: int = (await connection.execute(_APPLYING, {"tenant": tenant_id})).scalar_one()
    return number


async def required_counts(connection: AsyncConnection, tenant_id: str) -> dict[str, int]:
    """Return the number of people who require each module now, or will when it is subscribed."""
    return {row.module: row.number for row in await connection.execute(_REQUIRED_COUNTS, {"tenant": tenant_id})}


async def employed(connection: AsyncConnection, tenant_id: str) -> int:
    number: int = (await connection.execute(_EMPLOYED, {"tenant": tenant_id})).scalar_one()
    return number

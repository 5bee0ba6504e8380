"""Erase what is stored about a person, and remember which timelines were erased, without their ids."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Date,
    Integer,
    LargeBinary,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.erasure import Erased, key_hash
from services.users.domain.sources import Key
from services.users.store.guard_endings import GUARD_ENDINGS
from services.users.store.held_statements import HELD
from services.users.store.identity_providers import IDENTITIES
from services.users.store.imports import IMPORTS, STAGED
from services.users.store.invitation_tokens import TOKENS
from services.users.store.owned_items import HEIRS, ITEMS
from services.users.store.people import PEOPLE
from services.users.store.sessions import SESSIONS
from services.users.store.timelines import FACTS, TIMELINES
from shared.database.row_classes import table_of


@dataclass(frozen=True, slots=True)
class ErasedTimelineRow:
    tenant_id: str
    key_hash: bytes
    user_id: str
    left_on: date


ERASED: Final = table_of("erased_timelines", ErasedTimelineRow)

_E: Final = ERASED.c
_P: Final = PEOPLE.c
_S: Final = STAGED.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USER: Final = bindparam("user", type_=Text)
_SOURCE: Final = bindparam("of_source", type_=Text)
_EXTERNAL_ID: Final = bindparam("of_external_id", type_=Text)
_HASHES: Final = any_(bindparam("hashes", type_=ARRAY(LargeBinary)))
_REMEMBER: Final = insert(ERASED).on_conflict_do_nothing()
_FIND: Final = select(_E.key_hash, _E.user_id, _E.left_on).where(_E.tenant_id == _TENANT, _E.key_hash == _HASHES)
_FORGET: Final = delete(ERASED).where(_E.tenant_id == _TENANT, _E.key_hash == _HASHES)
_DELETE_FACTS: Final = delete(FACTS).where(FACTS.c.tenant_id == _TENANT, FACTS.c.source == _SOURCE, FACTS.c.external_id == _EXTERNAL_ID)
_DELETE_TIMELINES: Final = delete(TIMELINES).where(TIMELINES.c.tenant_id == _TENANT, TIMELINES.c.user_id == _USER)
_H: Final = HELD.c
_DELETE_HELD: Final = delete(HELD).where(_H.tenant_id == _TENANT, _H.source == _SOURCE, _H.external_id == _EXTERNAL_ID)
_G: Final = GUARD_ENDINGS.c
_DELETE_ENDINGS: Final = delete(GUARD_ENDINGS).where(_G.tenant_id == _TENANT, _G.source == _SOURCE, _G.external_id == _EXTERNAL_ID)
_DELETE_OF_PERSON: Final = tuple(
    delete(table).where(table.c.tenant_id == _TENANT, table.c.user_id == _USER) for table in (IDENTITIES, SESSIONS, TOKENS, ITEMS, HEIRS)
)
_OF_PERSON: Final = and_(
    _S.tenant_id == _TENANT, or_(_S.user_id == _USER, _S.external_id == any_(bindparam("external_ids", type_=ARRAY(Text))))
)
_NOTHING: Final[dict[str, Any]] = {"external_id": "", "digest": "", "report": None, "change": None, "errors": []}
_EMPTY_STAGED: Final = update(STAGED).where(_OF_PERSON).values(_NOTHING)
_NOBODY: Final = cast(literal([], JSONB), JSONB)
_WITHOUT_LISTS: Final = IMPORTS.c.report.op("||")(cast(literal({"absent": [], "invalid": []}, JSONB), JSONB))
_EMPTY_REPORTS: Final = (
    update(IMPORTS)
    .where(
        IMPORTS.c.tenant_id == _TENANT,
        IMPORTS.c.report.is_not(None),
        func.strpos(cast(IMPORTS.c.report, Text), bindparam("quoted", type_=Text)) > 0,
    )
    .values(report=func.jsonb_set(_WITHOUT_LISTS, literal(["seats", "people"], ARRAY(Text)), _NOBODY))
)
_KEY_HASH: Final = func.sha256(func.convert_to(func.concat(_SOURCE, "\x1f", _S.external_id), "UTF8"))
_EMPTY_ERASED: Final = (
    update(STAGED)
    .where(
        _S.tenant_id == _TENANT,
        _S.import_id == bindparam("of_import", type_=Text),
        any_(select(_E.key_hash).where(_E.tenant_id == _TENANT).scalar_subquery()) == _KEY_HASH,
    )
    .values(_NOTHING)
)
_HIDE_IDS: Final = update(PEOPLE).where(_P.tenant_id == _TENANT, _P.user_id == _USER).values(source="rest", external_id=_P.user_id)
_SHOW_IDS: Final = (
    update(PEOPLE)
    .where(_P.tenant_id == _TENANT, _P.user_id == _USER, _P.external_id == _P.user_id)
    .values(source=_SOURCE, external_id=_EXTERNAL_ID)
)
_MONTHS: Final = bindparam("months", type_=Integer)
_ERASE_ON: Final = cast(_P.left_on + func.make_interval(0, _MONTHS), Date)
_LEAVERS: Final = and_(_P.tenant_id == _TENANT, _P.left_on.is_not(None), _P.erased_at.is_(None))
_DUE: Final = (
    select(_P.user_id)
    .where(_LEAVERS, bindparam("today", type_=Date) >= _ERASE_ON)
    .order_by(_P.left_on, _P.user_id)
    .limit(bindparam("limit", type_=BigInteger))
)
_NEXT: Final = select(func.min(_ERASE_ON)).where(_LEAVERS)


async def erase(connection: AsyncConnection, tenant_id: str, user: str, keys: Collection[Key], hires_known_until: date) -> None:
    """Delete what is stated about the person, and what imports and held statements hold. Call under the person's lock."""
    own = {"tenant": tenant_id, "user": user}
    for key in keys:
        of_key = {"tenant": tenant_id, "of_source": key.source, "of_external_id": key.external_id}
        await connection.execute(_DELETE_FACTS, of_key)
        await connection.execute(_DELETE_HELD, of_key)
        await connection.execute(_DELETE_ENDINGS, of_key)
        await connection.execute(_EMPTY_REPORTS, {"tenant": tenant_id, "quoted": _quoted(key.external_id)})
        row = {"tenant_id": tenant_id, "key_hash": key_hash(key), "user_id": user, "left_on": hires_known_until}
        await connection.execute(_REMEMBER, row)
    await connection.execute(_DELETE_TIMELINES, own)
    for statement in _DELETE_OF_PERSON:
        await connection.execute(statement, own)
    await connection.execute(_EMPTY_STAGED, own | {"external_ids": [key.external_id for key in keys]})
    await connection.execute(_HIDE_IDS, own)


def _quoted(text: str) -> str:
    """Return the text as PostgreSQL writes it in JSON."""
    return json.dumps(text, ensure_ascii=False)


async def find(connection: AsyncConnection, tenant_id: str, keys: Collection[Key]) -> dict[Key, Erased]:
    """Return those of the timelines that were erased."""
    hashes = {key_hash(key): key for key in keys}
    found = await connection.execute(_FIND, {"tenant": tenant_id, "hashes": list(hashes)})
    return {hashes[bytes(row.key_hash)]: Erased(row.user_id, row.left_on) for row in found}


async def forget(connection: AsyncConnection, tenant_id: str, keys: Sequence[Key], users: Sequence[str]) -> None:
    """Take these timelines back into use: their people work here again."""
    await connection.execute(_FORGET, {"tenant": tenant_id, "hashes": [key_hash(key) for key in keys]})
    for key, user in zip(keys, users, strict=True):
        await connection.execute(_SHOW_IDS, {"tenant": tenant_id, "user": user, "of_source": key.source, "of_external_id": key.external_id})


async def empty_import(connection: AsyncConnection, tenant_id: str, import_id: str, source: str) -> None:
    """Remove erased people from an import that is applied."""
    await connection.execute(_EMPTY_ERASED, {"tenant": tenant_id, "of_import": import_id, "of_source": source})


async def due(connection: AsyncConnection, tenant_id: str, months: int, today: date, limit: int) -> list[str]:
    """Return people who left at least so many months ago."""
    given = {"tenant": tenant_id, "months": months, "today": today, "limit": limit}
    return list((await connection.execute(_DUE, given)).scalars())


async def next_day(connection: AsyncConnection, tenant_id: str, months: int) -> date | None:
    """Return the first local day on which somebody is to be erased."""
    day: date | None = (await connection.execute(_NEXT, {"tenant": tenant_id, "months": months})).scalar_one()
    return day

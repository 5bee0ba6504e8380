"""All rows about a person, for an export."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Select, TableClause, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.scim_connections import SOURCE_PREFIX
from services.users.store.guard_endings import GUARD_ENDINGS
from services.users.store.held_statements import HELD
from services.users.store.identity_providers import IDENTITIES
from services.users.store.imports import STAGED
from services.users.store.invitation_tokens import TOKENS
from services.users.store.module_states import MODULE_STATES
from services.users.store.owned_items import HEIRS, ITEMS
from services.users.store.people import PEOPLE
from services.users.store.scim_groups import MEMBERS
from services.users.store.scim_users import SCIM_USERS
from services.users.store.sessions import SESSIONS
from services.users.store.timelines import FACTS, TIMELINES

OF_PERSON: Final = (PEOPLE, TIMELINES, MODULE_STATES, HELD, STAGED, TOKENS, IDENTITIES, SESSIONS, ITEMS, HEIRS)  # with a column user_id
OF_TIMELINES: Final = (FACTS, SCIM_USERS, MEMBERS, GUARD_ENDINGS)
SECRET: Final = frozenset({"token_hash", "secret_hash"})

_TENANT: Final = bindparam("tenant", type_=Text)
_USER: Final = bindparam("user", type_=Text)
_T: Final = TIMELINES.c


def _rows(table: TableClause) -> Select[Any]:
    return select(func.to_jsonb(table.table_valued())).where(table.c.tenant_id == _TENANT, table.c.user_id == _USER)


def _rows_of_timelines(table: TableClause) -> Select[Any]:
    """Select the rows about what a source calls by an external id, in a table of all sources or of SCIM connections."""
    source, external_id = (
        (SOURCE_PREFIX + table.c.connection, table.c.resource_id) if "connection" in table.c else (table.c.source, table.c.external_id)
    )
    own = (_T.tenant_id == table.c.tenant_id) & (_T.source == source) & (_T.external_id == external_id)
    rows = select(func.to_jsonb(table.table_valued())).select_from(table.join(TIMELINES, own))
    return rows.where(_T.tenant_id == _TENANT, _T.user_id == _USER)


_SELECTS: Final[Mapping[str, Select[Any]]] = {table.name: _rows(table) for table in OF_PERSON} | {
    table.name: _rows_of_timelines(table) for table in OF_TIMELINES
}


async def rows_of(connection: AsyncConnection, tenant_id: str, user: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows about the person by table, without secrets."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, statement in _SELECTS.items():
        rows = (await connection.execute(statement, {"tenant": tenant_id, "user": user})).scalars()
        found[name] = [{column: value for column, value in row.items() if column not in SECRET} for row in rows]
    return found

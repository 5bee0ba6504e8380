"""Keep what sources repeat about people whose data were erased from bringing the data back."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from services.users.domain.erasure import is_new_statement
from services.users.domain.person import Tenant
from services.users.domain.sources import Key
from services.users.domain.timelines import Statement
from services.users.store import erasures as store
from shared.database import UnitOfWork


class OfSource(Protocol):
    """A statement, and whose it is."""

    @property
    def source(self) -> str: ...
    @property
    def external_id(self) -> str: ...
    @property
    def statement(self) -> Statement: ...


R = TypeVar("R", bound=OfSource)


async def without_erased(tenant: Tenant, uow: UnitOfWork, received: Sequence[R]) -> list[R]:
    """Return the statements without those that only repeat what a source said about people whose data were erased.

    A statement that somebody works here again is new: from then on, the source may state anything about the person.
    """
    keys = {Key(each.source, each.external_id) for each in received}
    erased = await store.find(uow.connection, tenant.tenant, keys)
    if not erased:
        return list(received)
    kept: list[R] = []
    back: dict[Key, str] = {}
    for each in received:
        key = Key(each.source, each.external_id)
        if key in erased and is_new_statement(each.statement, erased[key], tenant.today):
            back[key] = erased[key].user
        if key not in erased or key in back:
            kept.append(each)
    if back:
        await store.forget(uow.connection, tenant.tenant, list(back), list(back.values()))
    return kept


async def repeated(tenant: Tenant, uow: UnitOfWork, statements: Mapping[Key, Statement]) -> set[Key]:
    """Return the timelines about which the statements only repeat what was erased."""
    erased = await store.find(uow.connection, tenant.tenant, statements.keys())
    return {key for key, found in erased.items() if not is_new_statement(statements[key], found, tenant.today)}

"""Transactions that compare logins take their locks in one order, so that no two of them wait for each other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from services.users.api.dependencies import locked_person
from services.users.domain.facts import Fact, FactType
from services.users.domain.person import Cause, Person, Tenant, source_actor
from services.users.domain.required_modules import Settings
from services.users.domain.scim_connections import ScimConnection
from services.users.domain.sources import Key
from services.users.jobs.alarm import Alarm
from services.users.jobs.bulk_reevaluation import BulkReevaluation
from services.users.scim.anchors import Anchors
from services.users.scim.users import Asked, Users
from services.users.store import reevaluations
from services.users.store.people import CLAIMS
from services.users.store.reevaluations import ReevaluationKind
from services.users.use_cases import link_people, people
from services.users.use_cases.people import Received
from shared.database import UnitOfWork
from shared.web import Principal

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TENANT = Tenant("acme", ZoneInfo("UTC"), NOW, Settings({}, {}), 1)
CAUSE = Cause(source_actor("hr/acme"))
FACT = Fact("f", FactType.HIRED, NOW.date(), 0, {"login": "ann"}, "hr/acme")
CALLER = Principal("ann", "acme", frozenset(), "user")


class LockedError(Exception):
    """The first lock of a transaction; its argument is the name."""


class Uow:
    """A transaction that ends at its first lock, and that reads and locks nothing before it."""

    async def lock(self, *name: str) -> None:
        raise LockedError(name)

    @property
    def connection(self) -> Any:
        raise AssertionError("a statement before the lock of the logins")


def scim(uow: UnitOfWork) -> Users:
    return Users(TENANT, uow, ScimConnection("okta"), Anchors(), lambda: 0.0)


Transaction = Callable[[UnitOfWork], Awaitable[Any]]
TRANSACTIONS: dict[str, Transaction] = {
    "statements of sources": lambda uow: people.apply_statements(TENANT, uow, [Received("hr/acme", "1", FACT, CAUSE, None)]),
    "a new person": lambda uow: people.add_person(TENANT, uow, Person("u1", "rest", "1", NOW), FACT, CAUSE),
    "a change by REST": lambda uow: locked_person(TENANT, uow, "u1", CALLER),
    "two people linked": lambda uow: link_people.link(TENANT, uow, "u1", "u2", CAUSE),
    "two people separated": lambda uow: link_people.separate(TENANT, uow, "u1", CAUSE),
    "a timeline taken out": lambda uow: link_people.take_out(TENANT, uow, "u1", Key("hr/acme", "1"), CAUSE),
    "a SCIM user for a change": lambda uow: scim(uow).start("1"),
    "SCIM users created": lambda uow: scim(uow).create_all([]),
    "a SCIM user without a licence": lambda uow: scim(uow).end_attempt(Asked("1", cast(Any, None), is_new=True), take_back=True),
}


@pytest.mark.parametrize("what", TRANSACTIONS)
async def test_logins_are_locked_before_people(what: str) -> None:
    with pytest.raises(LockedError) as locked:
        await TRANSACTIONS[what](cast(UnitOfWork, Uow()))
    assert locked.value.args == ((CLAIMS, "acme"),)


async def test_logins_are_locked_before_people_whom_another_order_of_the_sources_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def next_work(*_: Any) -> Any:
        return SimpleNamespace(kind=ReevaluationKind.SOURCES, begun=True, total=1)

    async def load(*_: Any) -> Tenant:
        return TENANT

    @asynccontextmanager
    async def unit_of_work(_: str) -> AsyncIterator[Any]:
        yield SimpleNamespace(connection=None, lock=Uow().lock)

    monkeypatch.setattr(reevaluations, "lock_next", next_work)
    database, tenants = SimpleNamespace(unit_of_work=unit_of_work), SimpleNamespace(load=load)
    with pytest.raises(LockedError) as locked:
        await BulkReevaluation(cast(Any, database), cast(Any, tenants), Alarm()).run_chunk("acme")
    assert locked.value.args == ((CLAIMS, "acme"),)

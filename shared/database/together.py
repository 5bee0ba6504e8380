"""Work of several tenants in one transaction, step by step together: what they ask the database for at the same time is one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.errors import is_of_the_data
from shared.database.set_statements import Found, set_statement
from shared.database.unit_of_work import UnitOfWork

# The option of a statement about what belongs to no tenant: it does not need to name one.
OF_NO_TENANT = "of_no_tenant"
_TENANT = ("tenant", "tenant_id")  # the parameters that name it

Work = Callable[[UnitOfWork], Awaitable[None]]


class TenantsRefused(Exception):
    """The work of these tenants cannot be done, or one of them cannot; the transaction has to be rolled back."""

    def __init__(self, tenants: frozenset[str]) -> None:
        super().__init__(f"refused for {len(tenants)} tenants")
        self.tenants = tenants


class _Call(NamedTuple):
    tenant: str
    statement: Executable
    values: Mapping[str, Any]
    answer: asyncio.Future[Any]


class _Connection:
    """The connection as the work of one tenant sees it."""

    def __init__(self, together: "_Together", tenant: str) -> None:
        self._together, self._tenant = together, tenant

    async def execute(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:
        return await self._together.ask(self._tenant, statement, values or {})

    async def exec_driver_sql(self, statement: str, *_: object) -> Any:
        raise NotImplementedError(f"work that is done together has no scope, savepoint and lock of its own: {statement}")


async def work_together(uow: UnitOfWork, works: Mapping[str, Work]) -> None:
    """Do the work of each tenant, and collect what they publish, in the order of the tenants. Raises TenantsRefused.

    A statement of one tenant runs in its scope. A statement of several runs in the system's scope; each of its rows names the tenant whose
    work asks for it, which is checked here.
    """
    await _Together(uow).run(works)


class _Together:
    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._calls: list[_Call] = []
        self._busy = 0  # the number of tenants that wait for no answer
        self._all_wait = asyncio.Event()

    async def run(self, works: Mapping[str, Work]) -> None:
        units = {tenant: UnitOfWork(cast(AsyncConnection, _Connection(self, tenant)), scope=tenant) for tenant in works}
        self._busy = len(works)
        tasks = [asyncio.create_task(self._do(units[tenant], work)) for tenant, work in works.items()]
        try:
            while True:
                await self._all_wait.wait()
                self._all_wait.clear()
                if not self._calls:
                    break
                await self._answer()
            errors = [(tenant, error) for tenant, task in zip(works, tasks, strict=True) if (error := task.exception())]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for _, error in errors:
            if not isinstance(error, TenantsRefused):
                raise error
        if errors:
            raise TenantsRefused(frozenset(tenant for tenant, _ in errors))
        for unit in units.values():
            self._uow.take_over(unit)

    async def _do(self, uow: UnitOfWork, work: Work) -> None:
        try:
            await work(uow)
            await uow.run_gathered()
        finally:
            self._rest()

    def _rest(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._all_wait.set()

    async def ask(self, tenant: str, statement: Executable, values: Mapping[str, Any]) -> Any:
        call = _Call(tenant, statement, values, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        self._rest()
        return await call.answer

    async def _answer(self) -> None:
        calls, self._calls = self._calls, []
        alike: dict[tuple[Executable, frozenset[str]], list[_Call]] = {}
        for call in calls:
            alike.setdefault((call.statement, frozenset(call.values)), []).append(call)
        answers: list[tuple[_Call, Any]] = []
        for (statement, names), some in alike.items():
            try:
                answers += await self._execute(statement, names, some)
            except DBAPIError as error:
                if is_of_the_data(error):
                    raise TenantsRefused(frozenset(call.tenant for call in some)) from error
                raise
        self._busy = len(answers)
        for call, answer in answers:
            call.answer.set_result(answer)

    async def _execute(self, statement: Executable, names: frozenset[str], calls: list[_Call]) -> list[tuple[_Call, Any]]:
        c = self._uow.connection
        if statement.get_execution_options().get(OF_NO_TENANT):
            if statement.is_select:
                return await self._read_once(statement, calls)
            return [(call, await c.execute(statement, dict(call.values))) for call in calls]
        key = next((name for name in _TENANT if name in names), None)
        many = set_statement(statement, names) if len(calls) > 1 and key is not None else None
        if many is None:
            answers = []
            for call in calls:
                await self._uow.scope(call.tenant)
                answers.append((call, await c.execute(statement, dict(call.values))))
            return answers
        assert all(call.values[name] == call.tenant for name in _TENANT if name in names for call in calls), "each asks for its own rows"
        await self._uow.scope(None)
        return list(zip(calls, await many.execute(c, [call.values for call in calls]), strict=True))

    async def _read_once(self, statement: Executable, calls: list[_Call]) -> list[tuple[_Call, Any]]:
        """What belongs to no tenant is the same for all."""
        read: dict[str, Found] = {}
        for call in calls:
            key = repr(sorted(call.values.items()))
            if key not in read:
                read[key] = Found((await self._uow.connection.execute(statement, dict(call.values))).all())
        return [(call, read[repr(sorted(call.values.items()))]) for call in calls]

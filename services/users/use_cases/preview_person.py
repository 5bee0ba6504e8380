"""Preview a change of a person: the decision of seats, and the cost of the licences that it would add."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from services.users.domain.module_states import status_of_answer
from services.users.domain.person import Person, Tenant
from services.users.domain.status import Status
from services.users.store import catalogue, pools
from services.users.use_cases import licences, people
from services.users.use_cases.seats_questions import COMMANDS_MAX, Command, SeatsQuestions, states_in
from shared.database import UnitOfWork
from shared.schemas.registry import type_of
from shared.schemas.seats_v1 import PoolExpanded, PoolReduced, ReplaceUser, SeatState


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of added licences for a whole period, without tax."""

    currency: str
    term: str
    net_minor: int


@dataclass(frozen=True, slots=True)
class Preview:
    """`decided`: seats has answered. `added` are the licences by which pools would expand."""

    decided: bool
    status: Status
    modules: Sequence[Mapping[str, Any]] = ()
    added: Mapping[str, int] = field(default_factory=dict)
    cost: Cost | None = None


async def preview(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, changed: Person, commands: Sequence[Command]) -> Preview:
    """Return what seats would decide about a person who was added or changed in a transaction that was rolled back. `commands` were
    published in it, also about other people."""
    answer = await ask(tenant, seats, commands)
    if answer is None:
        return Preview(False, changed.standing.status)
    about = (events for command, events in zip(commands, answer, strict=True) if subject_of(command) == changed.user)
    known, states = await licences.load(tenant, uow), states_in(next(about, ()))
    modules = [{**each, "warning": _warning(tenant, known, **each)} for each in states]
    more = expansions_in(event for events in answer for event in events)
    status = changed.standing.status
    if states:
        status = status_after(tenant, changed, states, await pools.add_ons(uow.connection, tenant.tenant))
    return Preview(True, status, modules, more, await cost_of(tenant, uow, more))


async def ask(tenant: Tenant, seats: SeatsQuestions, commands: Sequence[Command]) -> Sequence[Sequence[Mapping[str, Any]]] | None:
    """Return the events of each command; None if seats cannot answer, or these are too many for one question."""
    if not commands:
        return ()
    return await seats.what_if(tenant.tenant, commands) if len(commands) <= COMMANDS_MAX else None


def subject_of(command: Command) -> str:
    """Return the person who gets the seats."""
    return command.to_user if isinstance(command, ReplaceUser) else command.user


def _warning(tenant: Tenant, known: licences.Licences, module: str, state: str, reason: str | None, **_: Any) -> str | None:
    return licences.warning(tenant.tenant, known, module, reason) if state == SeatState.REFUSED else None


def status_after(tenant: Tenant, person: Person, states: Sequence[Mapping[str, Any]], add_ons: Collection[str]) -> Status:
    """Return the status that the person would have after this answer of seats."""
    return people.with_seat_status(person, status_of_answer(states, add_ons), tenant).standing.status


async def licences_of(tenant: Tenant, uow: UnitOfWork, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return which licences these events add and give back, and the price of both, as REST shows them."""
    more, fewer = expansions_in(events), reductions_in(events)
    cost, saving = await cost_of(tenant, uow, more), await saving_of(tenant, uow, more, fewer)
    return {
        "expansions": [{"module": module, "licences": number} for module, number in more.items()],
        "cost": None if cost is None else asdict(cost),
        "reductions": [{"module": module, "licences": number, "reduce_at": at} for (module, at), number in fewer.items()],
        "saving": None if saving is None else asdict(saving),
    }


def expansions_in(events: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    """Return by how many licences each pool expands by these events."""
    more: Counter[str] = Counter()
    for event in events:
        if event["type"] == type_of(PoolExpanded):
            more[event["data"]["module"]] += event["data"]["by"]
    return more


def reductions_in(events: Iterable[Mapping[str, Any]]) -> Mapping[tuple[str, str], int]:
    """Return by how many licences leavers reduce each pool by these events (M9), by module and `reduce_at`."""
    fewer: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event["type"] == type_of(PoolReduced):
            fewer[event["data"]["module"], event["data"]["reduce_at"]] += event["data"]["by"]
    return fewer


async def saving_of(tenant: Tenant, uow: UnitOfWork, more: Mapping[str, int], fewer: Mapping[tuple[str, str], int]) -> Cost | None:
    """Return what is no longer paid for licences that are given back, where so many others are added; None if there are none, or a price
    is not known."""
    together = Counter(more)
    for (module, _), number in fewer.items():
        together[module] -= number
    total, added = await cost_of(tenant, uow, together) if fewer else None, await cost_of(tenant, uow, more)
    return None if total is None else replace(total, net_minor=(added.net_minor if added else 0) - total.net_minor)


async def cost_of(tenant: Tenant, uow: UnitOfWork, more: Mapping[str, int]) -> Cost | None:
    """Return the price of so many more licences; None if there are none, or a price is not known."""
    terms = await pools.terms(uow.connection, tenant.tenant)
    if not more or terms is None:
        return None
    plan, term = await catalogue.plan(uow.connection, terms.plan, terms.plan_version), terms.term
    prices = {price.module: price for price in plan.prices if price.term == term} if plan is not None else {}
    if plan is None or not set(more) <= set(prices):
        return None
    counts = await pools.counts(uow.connection, tenant.tenant)
    net_minor = 0
    for module, number in more.items():
        now, price = counts[module].licences if module in counts else 0, prices[module]
        net_minor += price.total_minor(now + number) - price.total_minor(now)
    return Cost(plan.currency, term, net_minor)

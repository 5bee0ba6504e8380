"""Reductions: what fewer licences save, and the commands to seats after the approval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import orjson

from services.invoicing import store
from services.invoicing.api.requests import ReductionBody, ReductionTotal
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.quote import Refusal, Situation, expected
from services.invoicing.domain.reduction import NOW, PERIOD_END, Reduction, SubscribedModule, Wanted, reduction_of
from services.invoicing.settings import Settings
from services.invoicing.store.reductions import NewReduction, StoredReduction
from services.invoicing.use_cases.expand_caps import REDUCE, follow_budget
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.publishing import publish_fact
from services.invoicing.use_cases.quotes import refuse, situation_of
from services.invoicing.use_cases.seats_commands import MakeCommand, send
from services.invoicing.use_cases.seats_questions import CONSEQUENCES, Forecast, Seats, consequences
from shared import ids
from shared.clock import Clock
from shared.database import Database, UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ReductionItem, ReductionOrdered, ReductionPrice
from shared.schemas.seats_v1 import ClosePool, Expected, LicenceCount, Reason, ReduceLicences, ReductionRefused, ScheduleReduction

CLOSE, SCHEDULE = "close_pool", "schedule_reduction"
KINDS: Final = (CLOSE, REDUCE, SCHEDULE)


@dataclass(frozen=True, slots=True)
class ReductionCommand:
    """A command of a reduction. `reference` names the reduction, and the module if its pool is closed."""

    kind: str
    reference: str
    make: MakeCommand


async def forecast(database: Database, seats: Seats, tenant_id: str, body: ReductionBody, *, clock: Clock) -> Forecast | None:
    """Ask seats who would be flagged, and whose reservations would end. It is asked outside of any transaction. None: seats cannot
    answer now. Raises Conflict."""
    async with database.unit_of_work(tenant_id) as uow:
        situation, found = await _price(uow, tenant_id, body, clock=clock)
    expects = expected(situation, [item.module for item in found.items])
    commands = _commands("what-if", found.takes_effect, found.items, expects)
    answers = [await seats.what_if(tenant_id, command.make(number=1)) for command in commands]
    if any(answer is None for answer in answers):
        return None
    known = [answer for answer in answers if answer is not None]
    for answer in known:
        if answer.refused is not None:
            raise below_use(answer.refused)
    would_flag, would_cancel = ([each for answer in known for each in getattr(answer, name)] for name in CONSEQUENCES)
    return Forecast(would_flag, would_cancel)


_REFUSALS: Final[Mapping[str, str]] = {
    Reason.EXPECTED_DIFFERS: "The licences have changed meanwhile.",
    Reason.ABOVE_LICENCES: "The module has fewer licences than this number.",
    Reason.TERMINATE_INSTEAD: "A module cannot be reduced to 0 licences at once, only at the end of the period.",
    Reason.LAST_BASE_MODULE: "People need a base module, so the last one cannot be reduced to 0 licences.",
    Reason.UNKNOWN_MODULE: "The module is not part of the subscription.",
}


def below_use(found: ReductionRefused) -> Conflict:
    """Return the refusal of a reduction that seats would refuse (B13)."""
    if found.must_free:
        seats = f"{found.must_free} seat{'s' if found.must_free > 1 else ''}"
        return Conflict(
            "reduction-below-use",
            f"More seats of {found.module} are in use than the reduction leaves. First free {seats}: deactivate people, or withdraw their "
            "login.",
            module=found.module,
            must_free=found.must_free,
        )
    why = _REFUSALS.get(found.reason, f"It would be refused ({found.reason}).")
    return Conflict("reduction-refused", f"{why} Read the subscription (GET …/subscription), and send a reduction that fits it.")


async def _price(uow: UnitOfWork, tenant_id: str, body: ReductionBody, *, clock: Clock) -> tuple[Situation, Reduction]:
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    situation = await situation_of(uow, tenant, at)
    return situation, await price_reduction(uow, tenant_id, situation, body)


async def price_reduction(uow: UnitOfWork, tenant_id: str, situation: Situation, body: ReductionBody) -> Reduction:
    """Return what a reduction changes. Raises Conflict if there can be no such reduction."""
    modules = {
        each.module: SubscribedModule(
            each.base, orjson.loads(each.policies).get("reduce_at") or PERIOD_END, tuple(situation.requires[each.module])
        )
        for each in await store.subscriptions.modules(uow.connection, tenant_id)
        if each.module in situation.pools
    }
    found = reduction_of(situation, modules, [Wanted(item.module, item.total) for item in body.items])
    if isinstance(found, Refusal):
        raise refuse(found)
    return found


async def offer_reduction(
    uow: UnitOfWork, tenant_id: str, body: ReductionBody, foreseen: Forecast | None, *, settings: Settings, clock: Clock
) -> str:
    """Save what the reduction would change, and return its id. Raises Conflict."""
    situation, found = await _price(uow, tenant_id, body, clock=clock)
    contract = situation.contract
    day = local_day(situation.at, contract.time_zone)
    expires_at = min(situation.at + timedelta(seconds=settings.quote_valid_seconds), start_of_day(add_days(day, 1), contract.time_zone))
    offer = _terms(contract.currency, found) | consequences(foreseen)
    expects = expected(situation, [item.module for item in found.items])
    reduction = ids.new_id()
    new = NewReduction(reduction, "offered", orjson.dumps(offer).decode(), expects.model_dump_json(), day, expires_at)
    await store.reductions.add(uow.connection, tenant_id, new)
    return reduction


def _terms(currency: str, found: Reduction) -> dict[str, Any]:
    return {
        "items": [item.model_dump() for item in found.items],
        "takes_effect": found.takes_effect,
        "currency": currency,
        "next_period_before": found.before.model_dump() if found.before else None,
        "next_period_after": found.after.model_dump() if found.after else None,
        "credit_net_minor": found.credit_net_minor,
        "unbilled_net_minor": found.unbilled_net_minor,
        "credit": found.credit,
    }


def _saved(terms: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what a reduction saves, and when: what an approval relies on, whatever happens to other modules."""
    before, after = terms["next_period_before"], terms["next_period_after"]
    of_next = None if before is None or after is None else before["net_minor"] - after["net_minor"]
    return terms["takes_effect"], terms["credit"], terms["credit_net_minor"], of_next


async def approve_reduction(uow: UnitOfWork, tenant_id: str, reduction: str, actor: Actor, *, clock: Clock) -> StoredReduction:
    """Send the reduction to seats. A second approval changes nothing. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await store.reductions.find(uow.connection, tenant_id, reduction)
    if found is None:
        raise NotFound("reduction")
    if found.status != "offered":
        return found
    situation = await situation_of(uow, tenant, at)
    day = local_day(at, situation.contract.time_zone)
    if at >= found.expires_at or day != found.priced_for:
        raise Conflict("quote-expired", f"The offer was made for {found.priced_for} and has expired. Request the reduction again.")
    items = [ReductionItem.model_validate(item) for item in found.terms["items"]]
    now = expected(situation, [item.module for item in items])
    if now != found.expects:
        raise Conflict(
            "quote-outdated",
            "The licences or the period have changed since the offer was made. Request the reduction again.",
            expected=found.expects.model_dump(mode="json"),
            actual=now.model_dump(mode="json"),
        )
    wanted = ReductionBody(items=[ReductionTotal(module=item.module, total=item.total) for item in items])
    again = _terms(situation.contract.currency, await price_reduction(uow, tenant_id, situation, wanted))
    if _saved(again) != _saved(found.terms):
        raise Conflict(
            "quote-outdated",
            "What the reduction saves has changed since the offer was made: the prices or the policies are others now. Request the "
            "reduction again.",
        )
    takes_effect = found.terms["takes_effect"]
    field = "licences" if takes_effect == NOW else "next_period"
    event = ReductionOrdered(
        at=at,
        actor=actor,
        reduction=reduction,
        subscription=situation.contract.subscription,
        takes_effect=takes_effect,
        items=tuple(items),
        approved_on=day,
        changes=tuple(Change(field=f"{item.module}.{field}", old=item.before, new=item.total) for item in items),
        price=ReductionPrice.model_validate({name: again[name] for name in ReductionPrice.model_fields}),
    )
    await publish_fact(uow, tenant_id, event, subject=reduction)
    if takes_effect == NOW:  # else seats could expand the pool by the licences that are given up
        await follow_budget(uow, tenant_id, at, totals={item.module: item.total for item in items})
    commands = _commands(reduction, takes_effect, items, found.expects)
    await store.reductions.approve(uow.connection, tenant_id, reduction, at, len(commands))
    for command in commands:
        await send(uow, tenant_id, command.make, kind=command.kind, reference=command.reference, time=at)
    approved = await store.reductions.find(uow.connection, tenant_id, reduction)
    assert approved is not None
    return approved


async def check_people(database: Database, seats: Seats, tenant_id: str, reduction: str, *, clock: Clock) -> None:
    """Raise Conflict if a reduction at once would flag more or other people than its offer says (T18), or seats cannot say any more. It is
    asked outside of any transaction. A reduction at the end of the period flags nobody now, and until then the administrators are told of
    it."""
    async with database.unit_of_work(tenant_id) as uow:
        found = await store.reductions.find(uow.connection, tenant_id, reduction)
    if found is None or found.status != "offered" or found.terms["takes_effect"] != NOW:
        return
    items = [ReductionTotal(module=item["module"], total=item["total"]) for item in found.terms["items"]]
    try:
        foreseen = await forecast(database, seats, tenant_id, ReductionBody(items=items), clock=clock)
    except Conflict:
        return  # the approval says what no longer fits, or seats does
    for name, now in consequences(foreseen).items():
        shown = found.terms[name]
        if shown is None:
            continue  # the offer says that it is not known
        if now is None:
            raise Conflict(
                "quote-outdated",
                "The service seats does not answer, so it is not known whom the reduction would put over the limit now. Request it again.",
            )
        if _is_worse(now, {each["module"]: each for each in shown}):
            raise Conflict(
                "quote-outdated",
                "The reduction would now put more or other people over the limit, or end other reservations, than its offer says. Request "
                "the reduction again.",
            )


def _is_worse(now: Sequence[Mapping[str, Any]], shown: Mapping[str, Mapping[str, Any]]) -> bool:
    nobody: Mapping[str, Any] = {"count": 0, "users": ()}
    for each in now:
        said = shown.get(each["module"], nobody)
        names_all = len(said["users"]) == said["count"]
        if each["count"] > said["count"] or (names_all and not set(each["users"]) <= set(said["users"])):
            return True
    return False


def _commands(reduction: str, takes_effect: str, items: Sequence[ReductionItem], expects: Expected) -> list[ReductionCommand]:
    """Return the commands of a reduction: one for the modules that keep licences, and one for each pool that is closed."""
    kept, found = [item for item in items if item.total > 0], list[ReductionCommand]()
    if kept and takes_effect == NOW:
        gone = tuple(LicenceCount(module=item.module, quantity=item.before - item.total) for item in kept)
        make: MakeCommand = partial(ReduceLicences, order=reduction, items=gone, expected=_of(expects, kept))
        found.append(ReductionCommand(REDUCE, reduction, make))
    elif kept:
        numbers = tuple(LicenceCount(module=item.module, quantity=item.total) for item in kept)
        found.append(ReductionCommand(SCHEDULE, reduction, partial(ScheduleReduction, items=numbers, expected=_of(expects, kept))))
    closed = [item.module for item in items if item.total == 0]
    closings = [(f"{reduction}/{module}", partial(ClosePool, module=module, at=takes_effect)) for module in closed]
    return [*found, *(ReductionCommand(CLOSE, reference, make) for reference, make in closings)]


def _of(expects: Expected, items: Sequence[ReductionItem]) -> Expected:
    modules = {item.module for item in items}
    return expects.model_copy(update={"pools": tuple(pool for pool in expects.pools if pool.module in modules)})


async def send_reduction_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
) -> None:
    """Send one command of a reduction again, unchanged but for its number."""
    found = await store.reductions.find(uow.connection, tenant_id, reference.partition("/")[0])
    assert found is not None
    items = [ReductionItem.model_validate(item) for item in found.terms["items"]]
    for command in _commands(found.reduction, found.terms["takes_effect"], items, found.expects):
        if (command.kind, command.reference) == (kind, reference):
            await send(uow, tenant_id, command.make, kind=kind, reference=reference, time=at, above=above, cause=cause)


async def note_answer(
    uow: UnitOfWork, tenant_id: str, reference: str, at: datetime, refused: str | None, detail: Mapping[str, Any]
) -> None:
    """Save the answer of seats to one command of a reduction. `refused` is the reason of a refusal."""
    reduction = reference.partition("/")[0]
    if refused is None:
        await store.reductions.note_done(uow.connection, tenant_id, reduction, at, detail)
    else:
        await store.reductions.refuse(uow.connection, tenant_id, reduction, at, refused, detail)

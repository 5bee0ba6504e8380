"""The vendor's operator defines modules and price lists."""

from dataclasses import asdict
from datetime import datetime

from services.invoicing import store
from services.invoicing.api.requests import ModuleBody, PlanBody
from services.invoicing.store.catalogue import Module
from services.invoicing.use_cases.publishing import publish_to_all
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.base import Actor, Change
from shared.schemas.invoicing_v1 import ModuleDefined, ModuleLimits, PlanDefined, PriceStep, UnitPrice


async def define_module(uow: UnitOfWork, module: str, body: ModuleBody, actor: Actor, at: datetime) -> None:
    """Define or change a module. The same definition again changes nothing. Raises Invalid, Conflict."""
    await store.catalogue.lock(uow.connection)
    known = await store.catalogue.modules(uow.connection)
    requires = tuple(sorted(set(body.requires)))
    unknown = [name for name in requires if name not in known or name == module]
    if unknown:
        raise Invalid("body.requires", unknown, f"modules that exist: {', '.join(sorted(set(known) - {module})) or 'none'}")
    if module in _all_required(known, requires):
        raise Conflict("module-cycle", f"The module {module} would require itself through {', '.join(requires)}. Change `requires`.")
    before = known.get(module)
    now = Module(module, body.name, body.base, requires)
    if before == now:
        return
    old = asdict(before) if before else {}
    changes = tuple(
        _change(name, old.get(name), value) for name, value in asdict(now).items() if name != "module" and old.get(name) != value
    )
    event = ModuleDefined(at=at, actor=actor, module=module, name=body.name, base=body.base, requires=requires, changes=changes)
    await store.catalogue.put_module(uow.connection, event)
    publish_to_all(uow, event, module)


def _change(field: str, old: object, new: object) -> Change:
    def shown(value: object) -> str | int | bool | None:
        return (
            value
            if isinstance(value, str | int | bool) or value is None
            else ", ".join(map(str, value))
            if isinstance(value, tuple)
            else str(value)
        )

    return Change(field=field, old=shown(old), new=shown(new))


def _all_required(known: dict[str, Module], requires: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    todo = list(requires)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += known[name].requires if name in known else []
    return found


async def define_plan(uow: UnitOfWork, plan: str, body: PlanBody, actor: Actor, at: datetime) -> PlanDefined:
    """Define a new version of the price list, unless nothing changes. Raises Invalid, Conflict."""
    await store.catalogue.lock(uow.connection)
    known = await store.catalogue.modules(uow.connection)
    prices = tuple(
        UnitPrice(
            **price.model_dump(exclude={"steps"}),
            steps=tuple(PriceStep(up_to=step.up_to, amount_minor=step.amount_minor) for step in price.steps),
        )
        for price in sorted(body.prices, key=lambda price: (price.module, price.term))
    )
    unknown = sorted({price.module for price in prices} - set(known))
    if unknown:
        raise Invalid("body.prices", unknown, f"modules that exist: {', '.join(sorted(known)) or 'none'}")
    before = await store.catalogue.plan(uow.connection, plan)
    event = PlanDefined(
        at=at,
        actor=actor,
        plan=plan,
        name=body.name,
        currency=body.currency,
        prices=prices,
        allows_extra_licences=body.allows_extra_licences,
        ordering=body.ordering,
        version=before.version + 1 if before else 1,
        holds_from=body.holds_from,
        limits=tuple(ModuleLimits(**limits.model_dump()) for limits in sorted(body.limits, key=lambda limits: limits.module)),
        changes=_price_changes(before, prices),
    )
    if before is not None:
        _check_successor(before, event)
        same = {"at", "actor", "version", "changes", "reason"}
        if before.model_dump(exclude=same) == event.model_dump(exclude=same):
            return before
    await store.catalogue.put_plan(uow.connection, event)
    publish_to_all(uow, event, plan)
    await store.price_lists.look_at_all(uow.connection, plan, at)
    return event


def _check_successor(before: PlanDefined, after: PlanDefined) -> None:
    """Refuse to remove a price or to change the currency: a running subscription may need them for its renewal."""
    if after.currency != before.currency:
        raise Conflict(
            "plan-currency", f"The plan {before.plan} has the currency {before.currency}, which cannot change. Define another plan."
        )
    gone = {(price.module, price.term) for price in before.prices} - {(price.module, price.term) for price in after.prices}
    if gone:
        named = ", ".join(f"{module} ({term})" for module, term in sorted(gone))
        raise Conflict("price-removed", f"You can change and add prices of a plan, but not remove them. These are missing: {named}.")


def _price_changes(before: PlanDefined | None, prices: tuple[UnitPrice, ...]) -> tuple[Change, ...]:
    old = {(price.module, price.term): price for price in before.prices} if before else {}
    return tuple(
        Change(field=f"{price.module}.{price.term}", old=_shown(old.get((price.module, price.term))), new=_shown(price))
        for price in prices
        if old.get((price.module, price.term)) != price
    )


def _shown(price: UnitPrice | None) -> str | int | None:
    """Return a price as a log entry shows it: the amount, or the steps in words."""
    if price is None or price.is_flat:
        return price.amount_minor if price is not None else None
    steps = [*(f"up to {step.up_to}: {step.amount_minor}" for step in price.steps), f"above: {price.amount_minor}"]
    return "; ".join([price.pricing, *([f"{price.included} included"] if price.included else []), *steps])

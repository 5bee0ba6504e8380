"""The catalogue as data: all of it is applied in one transaction, or nothing. A dry run is the same, and is rolled back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

import orjson

from services.invoicing import store
from services.invoicing.api.catalogue_bodies import EXAMPLE, CatalogueBody, PlanOfFile, Tariff
from services.invoicing.api.requests import LimitsBody, ModuleBody, PlanBody, PriceBody, StepBody
from services.invoicing.domain.catalogue_file import Difference, differences, plan_of_file
from services.invoicing.domain.prices import PRICE_MINOR_MAX
from services.invoicing.use_cases.catalogue import define_module, define_plan
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.money import minor_units
from shared.schemas.base import Actor

VERSION_DIGITS = 16
_TERMS = frozenset({"monthly", "annual"})


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied. `running`: by plan with other prices, how many running subscriptions it has."""

    version: str
    differences: Sequence[Difference]
    running: Mapping[str, int]


class DryRun(Exception):
    """The end of a dry run: it rolls the transaction back."""

    def __init__(self, found: Applied) -> None:
        super().__init__("dry run")
        self.found = found


async def read_catalogue(uow: UnitOfWork) -> tuple[str, dict[str, Any]]:
    """Return the version of the catalogue, and the catalogue as the file has it."""
    modules = dict[str, Any]()
    for module in (await store.catalogue.modules(uow.connection)).values():
        modules[module.module] = {"name": module.name, "base": module.base, "requires": list(module.requires)}
    found = {"modules": modules, "plans": {plan.plan: plan_of_file(plan) for plan in await store.catalogue.plans(uow.connection)}}
    return hashlib.sha256(orjson.dumps(found)).hexdigest()[:VERSION_DIGITS], found


async def apply_catalogue(uow: UnitOfWork, body: CatalogueBody, actor: Actor, at: datetime, *, dry_run: bool) -> Applied:
    """Define what differs. Raises Invalid and Conflict, and DryRun at the end of a dry run."""
    await store.catalogue.lock(uow.connection)
    version, before = await read_catalogue(uow)
    for module in _in_order(body):
        given = body.modules[module]
        try:
            await define_module(uow, module, ModuleBody(name=given.name, base=given.base, requires=given.requires), actor, at)
        except Invalid as error:
            raise Invalid(f"body.modules.{module}.requires", error.value, error.expected) from error
    known = await store.catalogue.modules(uow.connection)
    for plan, sold in sorted(body.plans.items()):
        await define_plan(uow, plan, _plan(plan, sold, known), actor, at)
    after_version, after = await read_catalogue(uow)
    changed = differences(before, after)
    if changed and body.version not in (None, version):
        raise Conflict(
            "catalog-changed",
            f"The catalogue has changed since version {body.version}; it has version {version} now. Export it again, make your changes "
            "there, and apply it.",
            version=version,
        )
    plans = sorted({each.field.split(".")[1] for each in changed if _is_price(each)})
    found = Applied(after_version, changed, {plan: await store.price_lists.running(uow.connection, plan, at) for plan in plans})
    if dry_run:
        raise DryRun(Applied(version, changed, found.running))
    return found


def _is_price(difference: Difference) -> bool:
    """Return whether a price changed."""
    return difference.field.startswith("plans.") and not _TERMS.isdisjoint(difference.field.split(".")[4:5])


def _in_order(body: CatalogueBody) -> list[str]:
    """Return the modules so that each comes after those that it requires."""
    required = {module: [name for name in given.requires if name in body.modules] for module, given in body.modules.items()}
    try:
        return list(TopologicalSorter(required).static_order())
    except CycleError as error:
        circle = " requires ".join(error.args[1])
        raise Conflict("module-cycle", f"Modules require each other in a circle: {circle}. Change `requires` of one of them.") from error


def _plan(plan: str, given: PlanOfFile, known: Mapping[str, object]) -> PlanBody:
    """Return the plan as its own endpoint takes it. Raises Invalid with the field of the file."""
    prices, limits = list[PriceBody](), list[LimitsBody]()
    for module, sold in given.modules.items():
        place = f"body.plans.{plan}.modules.{module}"
        if module not in known:
            raise Invalid(place, module, f"a module that exists or is in the file: {', '.join(sorted(known)) or 'none'}")
        terms: tuple[tuple[Literal["monthly", "annual"], Tariff | None], ...] = (("monthly", sold.monthly), ("annual", sold.annual))
        for term, price in terms:
            if price is not None:
                prices.append(_price(module, term, price, given.currency, f"{place}.{term}"))
        if sold.minimum > 1 or sold.maximum is not None:
            limits.append(LimitsBody(module=module, minimum=sold.minimum, maximum=sold.maximum))
    return PlanBody(
        name=given.name,
        currency=given.currency,
        allows_extra_licences=given.allows_extra_licences,
        ordering=given.ordering,
        holds_from=given.holds_from,
        prices=prices,
        limits=limits,
    )


def _price(module: str, term: Literal["monthly", "annual"], given: Tariff, currency: str, place: str) -> PriceBody:
    is_flat = not given.steps and not given.included
    steps = [
        StepBody(up_to=step.up_to, amount_minor=_minor(step.price, currency, f"{place}.steps.{number}.price"))
        for number, step in enumerate(given.steps)
    ]
    amount_minor = _minor(given.price, currency, place if is_flat else f"{place}.price")
    return PriceBody(module=module, term=term, amount_minor=amount_minor, steps=steps, pricing=given.pricing, included=given.included)


def _minor(price: Decimal, currency: str, field: str) -> int:
    """Return a price in minor units."""
    decimals = minor_units(currency)
    minor = price.scaleb(decimals)
    if minor != minor.to_integral_value() or minor > PRICE_MINOR_MAX:
        most = Decimal(PRICE_MINOR_MAX).scaleb(-decimals)
        raise Invalid(field, str(price), f"{EXAMPLE} with at most {decimals} decimals, as {currency} has, and at most {most:f}")
    return int(minor)

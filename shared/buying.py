"""Whether a tenant can buy licences, and with which plans it could."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson

from shared.schemas.invoicing_v1 import UnitPrice


def unit_price(stored: Mapping[str, object]) -> UnitPrice:
    """Return a price as a service stores it. It is read as JSON: the schemas take no list for a tuple."""
    return UnitPrice.model_validate_json(orjson.dumps(stored))


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as invoicing defines it."""

    plan: str
    name: str
    currency: str
    allows_extra_licences: bool
    prices: Sequence[UnitPrice]

    def sells(self, modules: Collection[str], term: str) -> bool:
        return set(modules) <= {price.module for price in self.prices if price.term == term}


@dataclass(frozen=True, slots=True)
class Buying:
    """`allowed` is None if no subscription of the tenant is known: then an e-mail says nothing about buying."""

    allowed: bool | None = None
    plan: str = ""  # name of the tenant's plan
    others: tuple[str, ...] = ()  # names of plans that allow extra licences and sell all of the tenant's modules


def buying_of(own: Plan | None, term: str, plans: Sequence[Plan], modules: Collection[str]) -> Buying:
    """B2: an order on a plan without extra licences is refused, and the plans that allow them are named.

    `own` is the plan with the price list of the subscription, `plans` all of them with their newest ones.
    """
    if own is None:
        return Buying()
    allowing = [each for each in plans if each.plan != own.plan and each.allows_extra_licences and each.currency == own.currency]
    others = sorted(each.name for each in allowing if each.sells(modules, term))
    return Buying(own.allows_extra_licences, own.name, () if own.allows_extra_licences else tuple(others))

"""The catalogue as a file: modules, and plans with the prices of each module. What two states of it differ in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.invoicing.domain.prices import limits_of
from shared.money import to_decimal
from shared.schemas.invoicing_v1 import PlanDefined, UnitPrice


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the file, and its value before and after; None: it is not there."""

    field: str
    before: Any
    after: Any


def plan_of_file(plan: PlanDefined) -> dict[str, Any]:
    """Return a plan as the file has it. Prices are decimal numbers in the currency."""
    modules = dict[str, dict[str, Any]]()
    for price in plan.prices:
        modules.setdefault(price.module, {})[price.term] = _price(price, plan.currency)
    for module, fields in modules.items():
        limits = limits_of(plan, module)
        fields |= {"minimum": limits.minimum} if limits.minimum > 1 else {}
        fields |= {"maximum": limits.maximum} if limits.maximum is not None else {}
    found = {"name": plan.name, "currency": plan.currency, "allows_extra_licences": plan.allows_extra_licences}
    held = {"holds_from": plan.holds_from.isoformat()} if plan.holds_from is not None else {}
    by_request = {"ordering": plan.ordering} if plan.ordering != "self_service" else {}
    return found | by_request | held | {"modules": modules}


def _price(price: UnitPrice, currency: str) -> str | dict[str, Any]:
    def shown(amount_minor: int) -> str:
        return f"{to_decimal(amount_minor, currency):f}"

    if price.is_flat:
        return shown(price.amount_minor)
    steps = [{"up_to": step.up_to, "price": shown(step.amount_minor)} for step in price.steps]
    return {"price": shown(price.amount_minor), "steps": steps, "pricing": price.pricing, "included": price.included}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return the fields in which two states of the file differ, in the order of the file."""
    old, new = dict(_fields(before)), dict(_fields(after))
    names = dict.fromkeys([*new, *old])
    return [Difference(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _fields(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _fields(part, f"{place}.{name}" if place else name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(part, Mapping) for part in value):
            for number, part in enumerate(value):
                yield from _fields(part, f"{place}.{number}")
        else:
            yield place, ", ".join(map(str, value)) or None
    else:
        yield place, value

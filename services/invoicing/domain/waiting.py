"""Charges and credits that are on no document yet: which credits are taken from them, and their lines on the next invoice."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from services.invoicing.domain.invoices import line_of, tax_of
from services.invoicing.domain.money import Tax
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceLine

Key = tuple[str, Tax]  # the module and the tax: what undoes a charge has those of the charge


@dataclass(frozen=True, slots=True)
class Waiting:
    """A charge or credit that is on no document yet, and what is left of its amount."""

    charge: ChargeBooked
    left_minor: int

    @property
    def key(self) -> Key:
        return self.charge.module, tax_of(self.charge)


def waiting_for(charges: Iterable[ChargeBooked]) -> list[Waiting]:
    return [Waiting(charge, charge.net_minor) for charge in charges]


def sums_by_key(amounts: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    """Return the sum for each module and tax; negative: more is credited than charged."""
    found: dict[Key, int] = {}
    for key, minor in amounts:
        found[key] = found.get(key, 0) + minor
    return found


def take_credits(
    waiting: Iterable[Waiting], by_tax: dict[Tax, int] | None = None, by_key: dict[Key, int] | None = None
) -> tuple[list[Waiting], list[Waiting]]:
    """Return what is left, and the credits that are taken, the oldest first: as far as these limits go, which become less by them."""
    left, taken = list[Waiting](), list[Waiting]()
    for each in waiting:
        tax, limits = each.key[1], [-each.left_minor]
        limits += [by_tax.get(tax, 0)] if by_tax is not None else []
        limits += [by_key.get(each.key, 0)] if by_key is not None else []
        if (minor := min(limits)) <= 0:
            left.append(each)
            continue
        if by_tax is not None:
            by_tax[tax] -= minor
        if by_key is not None:
            by_key[each.key] -= minor
        taken.append(Waiting(each.charge, -minor))
        left += [replace(each, left_minor=each.left_minor + minor)] if minor < -each.left_minor else []
    return left, taken


def adjustments(waiting: Iterable[Waiting]) -> list[InvoiceLine]:
    """Return a line for each module and tax (M14)."""
    lines = []
    for (module, _), group in groupby(sorted(waiting, key=attrgetter("key")), key=attrgetter("key")):
        found = list(group)
        lines.append(line_of("adjustment", module, [each.charge for each in found], sum(each.left_minor for each in found)))
    return lines

"""Amounts are integers in minor units; what is not whole is an exact fraction until it is rounded, half up, once.

No float comes near: a share is a `Fraction`, a tax rate a decimal string read as one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from shared.schemas.invoicing_v1 import TaxLine


def round_half_up(amount: Fraction) -> int:
    """To the nearest integer, a half towards plus infinity: monotone, so that no part ever rounds above a whole it is in."""
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def share(quantity: int, unit_price_minor: Fraction | int, days: int, days_of_period: int) -> Fraction:
    """Return the exact price of `quantity` licences for `days` of a period (B7)."""
    assert 0 <= days <= days_of_period
    return Fraction(quantity * unit_price_minor * days, days_of_period)


@dataclass(frozen=True, slots=True, order=True)
class Tax:
    """A category of UNCL5305 and its rate in percent as a decimal string."""

    category: str
    rate_percent: str

    @property
    def rate(self) -> Fraction:
        return Fraction(self.rate_percent) / 100


def tax_lines(nets: Iterable[tuple[Tax, int]]) -> tuple[TaxLine, ...]:
    """Tax for each category and rate on the total of its lines (never line by line: the roundings would add up)."""
    basis: dict[Tax, int] = {}
    for tax, net_minor in nets:
        basis[tax] = basis.get(tax, 0) + net_minor
    return tuple(
        TaxLine(
            category=tax.category,
            rate_percent=tax.rate_percent,
            basis_minor=amount,
            tax_minor=round_half_up(amount * tax.rate),
        )
        for tax, amount in sorted(basis.items(), key=lambda item: (item[0].category, item[0].rate))
    )

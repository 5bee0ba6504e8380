"""The lines of a document, and the document that they make: an invoice, a credit note, or none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from services.invoicing.domain.calendar import add_days
from services.invoicing.domain.money import Tax, tax_lines
from services.invoicing.domain.tax import OUTSIDE
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceLine, TaxLine


def line_of(text_key: str, module: str, charges: Sequence[ChargeBooked], net_minor: int | None = None) -> InvoiceLine:
    """Return the line of these charges. A line of one whole charge has its fields; any other has only the sum and the names.

    `net_minor` is given if only a part of the charges is on the line.
    """
    whole = sum(charge.net_minor for charge in charges)
    net_minor = whole if net_minor is None else net_minor
    single = charges[0] if len(charges) == 1 and net_minor == whole else None
    discounts = [charge.discount_minor for charge in charges]
    # A sum of charges and credits has no discount that its reader could follow.
    alike = net_minor == whole and (single is not None or all(each * net_minor >= 0 for each in discounts))
    return InvoiceLine(
        text_key=text_key,
        module=module,
        quantity=sum(charge.quantity for charge in charges) if net_minor == whole else 0,
        unit_price_minor=single.unit_price_minor if single else 0,
        from_day=min(charge.day for charge in charges),
        to_day=max(add_days(charge.day, charge.days) for charge in charges),
        days=single.days if single else 0,
        days_of_period=single.days_of_period if single else 0,
        net_minor=net_minor,
        charges=tuple(charge.charge for charge in charges),
        tax_category=charges[0].tax_category,
        tax_rate_percent=charges[0].tax_rate_percent,
        discount_minor=sum(discounts) if alike else 0,
    )


def turned(line: InvoiceLine) -> InvoiceLine:
    """Return the line as a credit note has it: what is given back is positive."""
    return line.model_copy(update={"quantity": -line.quantity, "net_minor": -line.net_minor, "discount_minor": -line.discount_minor})


def taxes_of(lines: Iterable[InvoiceLine]) -> tuple[TaxLine, ...]:
    return tax_lines((tax_of(line), line.net_minor) for line in lines)


def tax_of(item: InvoiceLine | ChargeBooked) -> Tax:
    assert item.tax_category is not None
    assert item.tax_rate_percent is not None
    return Tax(item.tax_category, item.tax_rate_percent)


def documents_of(lines: Sequence[InvoiceLine]) -> list[list[InvoiceLine]]:
    """Return the lines of each document: those outside the scope of VAT apart from the others, the document of the first line first."""
    parts: dict[bool, list[InvoiceLine]] = {}
    for line in lines:
        parts.setdefault(line.tax_category == OUTSIDE, []).append(line)
    return list(parts.values())


def is_needed(lines: Sequence[InvoiceLine], *, zero_invoices: bool) -> bool:
    """Return whether these lines need a document.

    None is issued if all lines are zero, unless the subscription wants those. A charge that a credit of the same day covers needs none.
    """
    if all(line.net_minor == 0 for line in lines):
        return bool(lines) and zero_invoices
    same_day = all(line.text_key in ("proration", "credit") for line in lines) and len({line.from_day for line in lines}) == 1
    return not (same_day and sum(line.net_minor for line in lines) == 0)


@dataclass(frozen=True, slots=True)
class Billed:
    """A line as a quantity with a price: quantity × price, less the discount, is its amount, rounded to the minor unit."""

    quantity: int
    price: Decimal  # of one licence, for the line's part of the period; never negative
    discount_minor: int
    is_sum: bool  # the line has no price for each licence: the quantity is 1 or -1, and the price is the sum


def billed(line: InvoiceLine, decimals: int) -> Billed:
    """Return the line with a quantity and a price. What is given back has a negative quantity, since a price must not be negative.

    The price has the fewest decimals with which the multiplication gives the amount, in cents also for a currency without decimals, since
    validators allow no more. A discount that is given back lowers the price.
    """
    discount_minor = line.discount_minor if line.net_minor >= 0 and line.discount_minor > 0 else 0
    gross_minor = line.net_minor + discount_minor
    is_sum = line.quantity == 0 or (gross_minor != 0 and (line.quantity > 0) != (gross_minor > 0))
    quantity = line.quantity if not is_sum else -1 if gross_minor < 0 else 1
    amount = Decimal(gross_minor).scaleb(-decimals)
    cent = Decimal(1).scaleb(-max(decimals, 2))
    exact, places = abs(Decimal(gross_minor).scaleb(-decimals) / quantity), decimals  # also for nothing given back, which is no -0
    while True:
        price = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
        if (quantity * price).quantize(cent, ROUND_HALF_UP) == amount:
            return Billed(quantity, price, discount_minor, is_sum)
        places += 1

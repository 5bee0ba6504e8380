"""What a quote says beside its amounts, as sentences."""

from services.invoicing.domain.account import NOW
from shared.money import format_amount
from shared.schemas.invoicing_v1 import QuoteIssued


def notes_of(quote: QuoteIssued, locale: str) -> list[str]:
    """Return how the amounts come about, and what the order means for an end of the subscription or of a module."""
    return [*_amounts(quote, locale), *_ends(quote)]


def _amounts(quote: QuoteIssued, locale: str) -> list[str]:
    def money(amount_minor: int) -> str:
        return format_amount(amount_minor, quote.currency, locale)

    notes, credit = list[str](), quote.credit_net_minor
    if credit and quote.charge == NOW:
        notes.append(f"{money(quote.net_minor)} now: {money(quote.net_minor + credit)} less a credit of {money(credit)}.")
    following = quote.next_period
    if following is not None and following.cancelled_reduction_net_minor:
        licences = "the licence" if sum(line.quantity for line in quote.lines) == 1 else "the licences"
        added, back = money(following.added_net_minor), money(following.cancelled_reduction_net_minor)
        total = money(following.added_net_minor + following.cancelled_reduction_net_minor)
        notes.append(f"{total} more for the next period: {added} for {licences}, {back} because the purchase cancels {_cancelled(quote)}.")
    return notes


def _cancelled(quote: QuoteIssued) -> str:
    if quote.cancels_plan_change is not None:
        return "the scheduled change of plan"
    kept = {line.module for line in quote.lines} - set(quote.cancels_closing)
    return "your reduction" if kept else "the closing"


def _ends(quote: QuoteIssued) -> list[str]:
    notes = [f"{module} was to close at the end of the period. The purchase keeps it." for module in quote.cancels_closing]
    if quote.ends_on is not None:
        notes.append(f"The subscription still ends on {quote.ends_on}. The licences can be used until then.")
    return notes

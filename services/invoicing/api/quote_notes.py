"""What a quote or an estimate says beside its amounts, as sentences in the tenant's language."""

from services.invoicing.documents.translations import texts_in
from services.invoicing.domain.account import NOW
from shared.money import format_amount, format_day
from shared.schemas.invoicing_v1 import QuoteIssued


def notes_of(quote: QuoteIssued, locale: str) -> list[str]:
    """Return how the amounts come about, and what the order means for an end of the subscription or of a module."""
    return [*_amounts(quote, locale), *_ends(quote, locale)]


def _amounts(quote: QuoteIssued, locale: str) -> list[str]:
    _, locale, texts = texts_in(locale)

    def money(amount_minor: int) -> str:
        return format_amount(amount_minor, quote.currency, locale)

    notes, credit = list[str](), quote.credit_net_minor
    if credit and quote.charge == NOW:
        net, charge = money(quote.net_minor), money(quote.net_minor + credit)
        notes.append(texts["quote_credit"].format(net=net, charge=charge, credit=money(credit)))
    following = quote.next_period
    if following is not None and following.cancelled_reduction_net_minor:
        added, back = following.added_net_minor, following.cancelled_reduction_net_minor
        licences = texts["quote_licence" if sum(line.quantity for line in quote.lines) == 1 else "quote_licences"]
        amounts = {"total": money(added + back), "added": money(added), "back": money(back)}
        notes.append(texts["quote_more"].format(**amounts, licences=licences, cancelled=texts[_cancelled(quote)]))
    return notes


def _cancelled(quote: QuoteIssued) -> str:
    """Return the name of the text for what the purchase cancels."""
    if quote.cancels_plan_change is not None:
        return "quote_plan_change"
    kept = {line.module for line in quote.lines} - set(quote.cancels_closing)
    return "quote_reduction" if kept else "quote_closing"


def _ends(quote: QuoteIssued, locale: str) -> list[str]:
    _, locale, texts = texts_in(locale)
    notes = [texts["quote_kept"].format(module=module) for module in quote.cancels_closing]
    if quote.ends_on is not None:
        notes.append(texts["quote_ends"].format(day=format_day(quote.ends_on, locale)))
    return notes


def todays_price_of(net_minor: int, less_minor: int | None, currency: str, locale: str) -> str:
    """Return the price of an estimate for today, and how much less it is on each later day, as a sentence."""
    _, locale, texts = texts_in(locale)
    today = texts["estimate_today"].format(net=format_amount(net_minor, currency, locale))
    return today if less_minor is None else f"{today} {texts['estimate_later'].format(less=format_amount(less_minor, currency, locale))}"

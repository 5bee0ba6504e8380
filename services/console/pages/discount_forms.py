"""The fields of a discount, which an operator grants or offers in an estimate."""

from typing import Any, Final

from services.console.pages.page import Page

AMOUNT_MAX: Final = 10**15
TEXT_MAX: Final = 100
PERIODS_MAX: Final = 120


def discount_of(page: Page, currency: str, prefix: str = "") -> dict[str, Any]:
    """Return the body of a discount as the form has it. Faults are in the form. `prefix` is before the name of each field."""
    form, name = page.form, {each: prefix + each for each in ("module", "kind", "value", "from_day", "until_day", "periods", "text")}
    body: dict[str, Any] = {"module": form[name["module"]] or None, "text": form[name["text"]]}
    if form[name["kind"]] == "amount":
        error = page.gettext("Enter an amount.")
        body["amount_minor"] = form.amount(name["value"], error, currency, page.formats.locale, most=AMOUNT_MAX)
    else:
        body["percent"] = form[name["value"]].replace(",", ".").removesuffix("%").strip()
        form.text(name["value"], page.gettext("Enter a percentage above 0 and up to 100, for example 12.5."))
    body |= {day: form[name[day]] for day in ("from_day", "until_day") if form[name[day]]}
    if form[name["periods"]]:
        error = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(PERIODS_MAX))
        body["periods"] = form.integer(name["periods"], error, least=1, most=PERIODS_MAX)
    if form[name["periods"]] and form[name["until_day"]]:
        form.errors[name["periods"]] = page.gettext("Enter either a last day or a number of periods, not both.")
    if len(form[name["text"]]) > TEXT_MAX:
        form.errors[name["text"]] = page.gettext("Write at most %(most)s characters.", most=TEXT_MAX)
    return body

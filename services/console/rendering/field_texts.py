"""The texts of the services that say which value they expect of a field, in the reader's language."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from services.console.rendering.field_labels import LABELS
from services.console.rendering.known_texts import Gettext, KnownTexts
from services.console.rest.problems import Problem
from shared.translations import N_

# As the services say them. `tests/unit/test_console_field_texts.py` reads their sources, and fails if one is missing.
TEXTS: Final[Sequence[str]] = (
    # Of any value.
    N_("a value: the field is required"),
    N_("no field with this name"),
    N_("a text"),
    N_("a text in UTF-8"),
    N_("true or false"),
    N_("a whole number"),
    N_("a number"),
    N_("a list"),
    N_("an object"),
    N_("a date, for example 2026-03-01"),
    N_("an instant with a time zone, for example 2026-03-01T12:00:00Z"),
    N_("valid JSON"),
    N_("a text of at most %(most)s character"),
    N_("a text of at most %(most)s characters"),
    N_("a text of at least %(least)s character"),
    N_("a text of at least %(least)s characters"),
    N_("a text that matches the pattern %(pattern)s"),
    N_("at most %(most)s item"),
    N_("at most %(most)s items"),
    N_("at least %(least)s item"),
    N_("at least %(least)s items"),
    N_("a number greater than %(limit)s"),
    N_("a number greater than or equal to %(limit)s"),
    N_("a number less than %(limit)s"),
    N_("a number less than or equal to %(limit)s"),
    N_("a finite number"),
    N_("one of %(values)s"),
    N_("a text of Unicode characters without NUL"),
    N_("an integer of 64 bits"),
    N_("a number as JSON defines it"),
    N_("a date without a time in the format YYYY-MM-DD, such as 2026-01-31"),
    N_("a time in the format of RFC 3339 with its offset, such as 2026-01-31T09:00:00Z"),
    N_("an instant of the years 1 to 9999 in UTC"),
    N_("a time of the years 1970 to 2999"),
    N_("a name with a character that can be seen"),
    N_("a time zone of the IANA database, such as Europe/Copenhagen"),
    N_("a country of ISO 3166-1 as two capital letters, such as DE or GR, or XI for Northern Ireland"),
    N_("a currency that is in use, as its code of ISO 4217: three capital letters, for example EUR"),
    N_("a percentage from 0 to 100 with at most 4 decimal places, for example 12.5"),
    N_("only characters that documents can show, and they cannot show %(wrong)s; for example Latin letters"),
    # People.
    N_("another person"),
    N_("the id of another person who works here and may log in"),
    N_("an address that begins with https:// and has no user name, query or fragment"),
    N_("one of the addresses in the setting SEATPOOL_SIGN_IN_REDIRECT_URLS"),
    N_("`source` and `external_id`, or none of them"),
    N_("either `code` or `error`"),
    N_("names with at most %(most)s characters together, because access tokens carry them"),
    N_("at most %(most)s fields"),
    N_("the name of an upstream system; this name is reserved for Seatpool itself"),
    N_("a source that has not used the highest version, %(version)s; import from another source"),
    N_("modules that the person requires: %(modules)s"),
    N_("modules that the person requires: none"),
    N_("an e-mail address, because the invitation is sent to it"),
    N_("a login, because a person without one takes no seat"),
    N_("this module only together with the modules that it requires: %(modules)s"),
    N_("a day before %(day)s on which the person is employed"),
    N_("a day of the last employment of the person"),
    N_("a text without control characters and invisible characters"),
    N_("a text without control characters, invisible characters and special spaces"),
    N_("a text without NUL that is not empty"),
    N_("a text without NUL"),
    N_("a day not before starts_on, %(start)s (got %(given)s)"),
    N_("one of %(values)s (got %(given)s)"),
    N_("at most %(most)s (got %(given)s)"),
    N_("a text that is not empty"),
    # Purchases.
    N_("a plan, a term, or both"),
    N_("exactly one of add and total"),
    N_("exactly one of add and reduce, at least 1"),
    N_("each module only once"),
    N_("at least one policy"),
    N_("modules of the catalogue: %(modules)s"),
    N_("a module of the catalogue: %(modules)s"),
    N_("a module of the subscription: %(modules)s"),
    N_("modules that exist: %(modules)s"),
    N_("modules that exist: none"),
    N_("a plan of the catalogue: %(plans)s"),
    N_("a plan that is sold on %(day)s: %(plans)s"),
    N_("a plan in %(currency)s, or any plan after the open invoices and credit notes in %(same)s are settled; %(plan)s is in %(other)s"),
    N_("a reduction that fits: the subscription has %(licences)s licences of %(module)s"),
    N_("a reduction that fits: the subscription does not include %(module)s"),
    N_("%(day)s or a later day"),
    N_("a module with a price for the %(term)s term in the plan %(plan)s: %(modules)s"),
    N_("a term for which the plan %(plan)s has prices: %(terms)s"),
    N_("%(least)s to %(most)s licences, as the plan %(plan)s allows"),
    N_("at least %(least)s licences, as the plan %(plan)s allows"),
    N_("modules with at least one base module among them"),
    N_("today, %(today)s, or an earlier day"),
    N_("today, %(today)s, or an earlier day, when the trial began"),
    N_("a day after today, %(today)s, and not after %(last)s"),
    N_("no value: a trial is not invoiced"),
    N_("the day of %(field)s, %(day)s, or a later one if that is the last day of its month"),
    N_("the start of a %(term)s period that contains today, %(today)s"),
    N_("%(end)s (if the first period is already invoiced), %(start)s, or no value"),
    N_("only for licences to add"),
    N_("an amount, because second_approver is above_budget"),
    # Policies.
    N_("a value. Only these policies can be removed with null: %(policies)s"),
    N_("the largest number of licences, because over_limit is expand and each expansion is charged"),
    N_("another policy than expand, because the plan %(plan)s allows no extra licences"),
    N_("at most %(most)s, because the plan %(plan)s allows no more licences of %(module)s"),
    N_(
        "a duration of ISO 8601 in weeks, days, hours, minutes and seconds, from one second to ten years, such as P7D (months and years "
        "have no exact length)"
    ),
    N_("a percentage of licences in use from 1%% to 100%%, or a number of free licences that is at least 1"),
    N_("a number from 0 to %(most)s"),
    # Billing details.
    N_("a code of the list EAS, a colon and an id, such as 0088:4012345000009 or EM:invoices@acme.example"),
    N_("an e-mail address after EM:"),
    N_("the check digits of the Leitweg-ID %(given)s are wrong"),
    N_("the buyer reference (in Germany the Leitweg-ID), because the format %(format)s requires it"),
    N_("the postcode, because the format %(format)s requires it"),
    N_("the electronic address, because the format %(format)s requires it"),
    N_("a buyer reference or a purchase order number, because the format %(format)s requires one of them"),
    N_("an address with a scheme of Peppol, such as 0088 (GLN) or the register of the country, because the format is peppol_bis"),
    N_("another format: the vendor has not set %(settings)s, which it requires"),
    N_("another format: SEATPOOL_SELLER_ELECTRONIC_ADDRESS has no scheme of Peppol"),
    N_("another category: documents must name the vendor by a number, and the vendor has set neither %(one)s nor %(other)s"),
    N_("a tax that the vendor's operator sets: the table has no rule for these countries"),
    N_("the reason why the tax differs from the rules"),
    N_("more than 0 with tax_category S (a zero rate is category Z)"),
    N_("0 with tax_category %(category)s"),
    N_("a category other than S and AE: the vendor has set no VAT ID (SEATPOOL_SELLER_VAT_ID)"),
    N_("O, because %(country)s is outside the EU for services and there is no reverse charge"),
    N_("the customer's VAT ID, because the tax category is AE (the customer accounts for the VAT under it)"),
    # What the vendor's operators set.
    N_("no value, because only a tenant with a test clock has a start time"),
    N_("a time after the present time of the tenant, %(now)s"),
    N_("a time at most %(days)s days after the present time of the tenant, %(now)s"),
    N_("either percent or amount_minor"),
    N_("more than 0"),
    N_("until_day or periods, not both"),
    N_("%(day)s or a later day: what is charged does not change any more"),
    N_("a day after %(day)s"),
    N_("a day after %(day)s, when the first period begins that the amount counts for"),
    N_("a decimal number such as 12.00"),
    N_("a decimal number such as 12.00 with at most %(decimals)s decimals, as %(currency)s has, and at most %(most)s"),
    N_("a price: monthly, annual, or both"),
    N_("a module that exists or is in the file: %(modules)s"),
    N_("a module that exists or is in the file: none"),
    N_("steps in ascending order of up_to"),
    N_("a number that is not below minimum"),
    N_("each module at most once, and only modules with a price"),
    N_("at most one price for each module and term"),
    N_("the id of an invoice or a credit note of this tenant"),
    N_("%(currency)s, the currency of %(number)s"),
    N_("no payment, because nothing is open of %(number)s"),
    N_("at most %(minor)s (%(amount)s), which is open of %(number)s; divide a payment of several invoices"),
)
_CODE: Final = "a text that matches the pattern "
REWORDED: Final[Mapping[str, str]] = {
    "value is not a valid email address: %(why)s": N_("an e-mail address, for example ann@example.com"),
    "a profile of this tenant, or null": N_("a profile of this company, or none"),
    "a person of this tenant": N_("a person of this company"),
    "a source on the allow-list for this tenant (an operator adds it: PUT /v1/operator/sources/{source})": N_(
        "a source that the vendor has allowed for this company; ask your contact at the vendor to allow yours"
    ),
    "null, because an owner sees all people": N_("everybody, because an owner sees all people"),
    "ids of roles (`GET …/roles` lists them)": N_("roles that this company has"),
    "the id of a role other than owner, or null (`GET …/roles` lists them)": N_("a role other than owner, or none"),
    "an e-mail address that is confirmed (`POST …/sign-in/confirm`), because the person holds a role and the invitation has a link": N_(
        "an e-mail address that is confirmed, because the person holds a role and the invitation has a link"
    ),
    "%(given)s is not an IBAN: %(why)s": N_("%(given)s is not an IBAN. Check its digits."),
    "%(given)s is not a BIC: %(why)s": N_("%(given)s is not a BIC. Check its letters and digits."),
    "%(given)s is not a VAT ID of %(country)s: %(why)s": N_("%(given)s is not a VAT ID of %(country)s. Check its letters and digits."),
    _CODE + "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$": N_(
        "at most 100 letters without accents, digits and the characters . _ : @ -, beginning with a letter or a digit"
    ),
    _CODE + "^[a-z0-9][a-z0-9-]{0,62}$": N_("at most 63 small letters without accents, digits and hyphens"),
    _CODE + "^[A-Z]{3}$": N_("three capital letters, for example EUR"),
    _CODE + "^P[0-9]{1,3}D$": N_("a number of days, for example P30D"),
    _CODE + r"^[^\x00-\x1f\x7f]*$": N_("a text in one line, without control characters"),
    _CODE + "^[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*$": N_("a language, for example de or de-CH"),
    _CODE + "^[A-Za-z0-9_.:/-]{1,100}$": N_("at most 100 letters without accents, digits and the characters _ . : / -"),
    _CODE + r"^[\x21-\x7e]+$": N_("characters without accents and spaces"),
}
OTHER: Final = N_("This value is not possible. Expected: %(expected)s")
_KNOWN: Final = KnownTexts(TEXTS, REWORDED)
_QUOTED: Final = re.compile(r"(?:'[^']*'(?:, | or |$))+")


def translated(problem: Problem, gettext: Gettext) -> Problem:
    """Return the refusal with what is expected in the reader's language."""
    return replace(problem, errors=tuple(replace(each, expected=expected_text(each.expected, gettext)) for each in problem.errors))


def expected_text(expected: str, gettext: Gettext) -> str:
    """Return what is expected. A text that nobody has translated is shown as the service says it, after words of the reader's language."""
    return _known(expected, gettext) or gettext(OTHER) % {"expected": expected}


def _known(expected: str, gettext: Gettext) -> str | None:
    if found := _KNOWN.find(expected, gettext):
        return found
    if _QUOTED.fullmatch(expected):
        return gettext("one of %(values)s") % {"values": ", ".join(re.findall(r"'([^']*)'", expected))}
    for place in re.finditer(" or ", expected):  # a value that may be of two kinds
        one, other = _KNOWN.find(expected[: place.start()], gettext), _known(expected[place.end() :], gettext)
        if one and other:
            return gettext("%(one)s – or: %(other)s") % {"one": one, "other": other}
    return None


def faults_text(problem: Problem, gettext: Gettext) -> str:
    """Return what is expected of the fields that a refusal names, for a page that does not show them beside the fields."""
    return " ".join(_sentence(f"{label_of(each.field, gettext)}: {each.expected}") for each in problem.errors)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def label_of(field: str, gettext: Gettext) -> str:
    """Return the label of a field such as `person.email`; the name of one that no form has."""
    name = field.rpartition(".")[2]
    return gettext(LABELS[name]) if name in LABELS else name

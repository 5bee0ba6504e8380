"""Refusals of the services in the reader's language. A refusal that is not in this list is shown as the service says it, in English."""

from collections.abc import Callable, Mapping
from typing import Final

from services.console.rendering.navigation import N_
from services.console.rest.problems import Problem

TEXTS: Final[Mapping[str, str]] = {
    "quote-expired": N_("The quote has expired. Request a new one: the price may have changed."),
    "quote-outdated": N_("The quote no longer fits, because the licences, the period or the price list have changed. Request a new one."),
    "quote-approved": N_("This quote was approved already. Look at the present numbers."),
    "quote-withdrawn": N_("This quote was withdrawn. Request a new one."),
    "second-approver-needed": N_("Another person with the right to buy must approve this purchase."),
    "budget-exceeded": N_(
        "This purchase exceeds what is left of the monthly budget. Buy fewer licences, or ask somebody who may change settings to raise "
        "the budget."
    ),
    "by-request": N_("Your company adds and reduces licences by request. Ask the vendor."),
    "subscription-ended": N_("The subscription has ended, so nothing can be changed."),
    "clock-advancing": N_("The test clock is being advanced. Try again when it is ready."),
    "too-many-requests": N_("There were too many requests in a short time. Try again in a minute."),
    "precondition-failed": N_("Somebody else has changed this meanwhile. Check the present values and try again."),
    "no-right": N_("Your roles do not allow this. Ask an administrator of your company."),
    "viewset": N_("Your roles show you only some departments, and this concerns all of them. Ask somebody who sees everybody."),
    "link-not-valid": N_("This sign-in link is unknown, was already used or has expired. Request a new link."),
    "sign-in-refused": N_(
        "This person may not sign in: only people who are employed, are not blocked and hold a role can. Ask an administrator of your "
        "company for a role."
    ),
    "identity-provider-failed": N_("The identity provider of your company does not answer as it should. Try again in a minute."),
}
UNKNOWN: Final = N_("The request was refused, and the service did not say why. Try again.")


def text_of(problem: Problem, gettext: Callable[[str], str]) -> str:
    """Return why the request was refused and what to do."""
    known = TEXTS.get(problem.type)
    return gettext(known) if known else problem.detail or gettext(UNKNOWN)

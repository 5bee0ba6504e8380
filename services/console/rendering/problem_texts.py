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
    "login-in-use": N_("This login belongs to another person who is employed now. Choose another login, or look for that person."),
    "person-exists": N_("There is a person with this id already."),
    "person-erased": N_("The personal data of this person were erased, so nothing can be changed. Add a new person."),
    "person-not-left": N_("Only the data of people who have left can be erased. Set the last working day first."),
    "person-has-left": N_("The person has left already. If that was a mistake, take the leaving back first."),
    "nothing-to-take-back": N_("The leaving was not set here. If the HR system has stated it, correct it there, or hire the person again."),
    "nothing-to-reactivate": N_("There is nothing to activate: the person may log in already and requires no module."),
    "not-invitable": N_("This person cannot be invited now: only people who wait for access are invited."),
    "replacement-refused": N_(
        "The person was not replaced: the other person must have no seat in these modules yet, and must require them."
    ),
    "last-owner": N_("This is the last owner. Make another person an owner first."),
    "no-conflict": N_("The person is in no conflict any more. Reload the page."),
    "import-running": N_("An import is not finished. Wait until it has ended, and try again."),
}
UNKNOWN: Final = N_("The request was refused, and the service did not say why. Try again.")


def text_of(problem: Problem, gettext: Callable[[str], str]) -> str:
    """Return why the request was refused and what to do."""
    known = TEXTS.get(problem.type)
    return gettext(known) if known else problem.detail or gettext(UNKNOWN)

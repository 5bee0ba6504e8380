"""Refusals of the services in the reader's language. A refusal that is not in this list is shown as the service says it, after words of
the reader's language."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.console.rendering.field_texts import faults_text
from services.console.rendering.navigation import N_
from services.console.rest.problems import Problem

TEXTS: Final[Mapping[str, str]] = {
    "quote-expired": N_("The quote has expired. Request a new one: the price may have changed."),
    "quote-outdated": N_("The quote no longer fits: the licences, people, the period or prices have changed. Request a new one."),
    "price-list-changed": N_("The plan has changed since the quote was made. Request a new one."),
    "tax-changed": N_("The tax of the billing details has changed since the quote was made. Request a new one."),
    "discounts-changed": N_("The discounts have changed since the quote was made. Request a new one."),
    "quote-approved": N_("This quote was approved already. Look at the present numbers."),
    "quote-withdrawn": N_("This quote was withdrawn. Request a new one."),
    "second-approver-needed": N_("Another person with the right to buy must approve this purchase."),
    "budget-exceeded": N_(
        "This purchase exceeds what is left of the monthly budget. Buy fewer licences, or ask somebody who may change settings to raise "
        "the budget, or to require a second approver instead: Settings, Purchases."
    ),
    "by-request": N_("Your company adds and reduces licences by request. Ask the vendor."),
    "invoice-overdue": N_("An invoice is overdue. Nothing can be bought until it is paid. The licences that you have stay usable."),
    "plan-unchanged": N_("The subscription already has this plan and term."),
    "plan-currency": N_("The currency of a subscription cannot be changed. Choose a plan in %(currency)s."),
    "plan-minimum": N_(
        "The plan allows no fewer than %(minimum)s licences of %(module)s. Buy the missing ones first, or choose another plan."
    ),
    "plan-maximum": N_("The plan allows at most %(maximum)s licences of %(module)s."),
    "plan-without-base-module": N_(
        "The plan sells none of your base modules, and people need one. Choose another plan, or end the subscription."
    ),
    "plan-without-extra-licences": N_("Your plan sells no extra licences. Change to a plan that does first."),
    "plan-change-scheduled": N_("Another change of plan is scheduled already. Withdraw it first."),
    "plan-change-not-scheduled": N_("This change is not scheduled any more. Look at the present plan."),
    "plan-change-at-period-end": N_("This change is possible with the next period only. Choose the next period as its time."),
    "order-pending": N_("An order is being decided. Try again in a moment."),
    "module-subscribed": N_("The subscription already includes %(module)s. Buy licences of it instead."),
    "module-pending": N_("%(module)s is being added already. Try again in a moment."),
    "module-required": N_(
        "%(module)s can be used only together with: %(requires)s. Add what is missing and keep what would close, or do without %(module)s."
    ),
    "module-not-priced": N_("The plan has no price for this module. Choose another plan, or ask your contact at the vendor."),
    "too-many-licences": N_("A module cannot have so many licences. Buy fewer."),
    "total-not-below-present": N_("The subscription has %(licences)s licences of %(module)s, so this is no reduction. Reload the page."),
    "different-reduce-at": N_(
        "Some of these modules are reduced at once, and others at the end of the period. Reduce them one after the other."
    ),
    "last-base-module": N_("People need a base module, so the last one cannot be closed alone. End the subscription instead."),
    "reduction-below-use": N_(
        "More people use %(module)s than there would be licences. Seats that have to be freed first: %(must_free)s. Deactivate people, or "
        "withdraw their login."
    ),
    "subscription-ending": N_("The subscription ends, so it has no next period. Take the ending back first."),
    "subscription-not-ending": N_("The subscription does not end, so there is no ending to take back."),
    "subscription-pending": N_("The subscription is being set up. Try again in a moment."),
    "renewal-pending": N_("The period has ended, and the next one is beginning. Try again in a moment."),
    "quote-replaced": N_("There is a newer quote, at the price of today. Approve that one."),
    "request-closed": N_("The request is closed already. Look at its present state."),
    "estimate-expired": N_("The estimate has expired. Ask the vendor for a new one, or send a new request."),
    "subscription-ended": N_("The subscription has ended, so nothing can be changed."),
    "catalog-changed": N_("Somebody else has changed the catalogue meanwhile. Upload the file again, and check its differences."),
    "parked-behind": N_("This message waits behind another dead letter of its tenant. Retry or discard the first one."),
    "dead-letter-next": N_("The service processes this message next, by itself. Reload the page: if it fails, it is open again."),
    "not-parked": N_("This dead letter was processed or discarded already. Reload the page."),
    "genuine": N_(
        "The owner of this topic wrote this message. Remove the cause and retry it, or confirm that you discard it all the same."
    ),
    "clock-advancing": N_("The test clock is being advanced. Try again when it is ready."),
    "too-many-requests": N_("There were too many requests in a short time. Try again in a minute."),
    "precondition-failed": N_("Somebody else has changed this meanwhile. Check the present values and try again."),
    "stored-already": N_("This is stored already, so nothing was changed: the form may have been sent twice. You can close it."),
    "not-found": N_("It was not found: it may have been deleted meanwhile, or you may not see it. Reload the page."),
    "no-right": N_("Your roles do not allow this. Ask an administrator of your company."),
    "viewset": N_("Your roles show you only some departments, and this concerns all of them. Ask somebody who sees everybody."),
    "wider-than-own": N_("This needs rights that you do not have, or concerns departments that you do not see. Ask an owner."),
    "role-in-use": N_("People hold this role, or a SCIM group gives it. Remove it there first."),
    "role-built-in": N_("Built-in roles cannot be changed. Add a role of your own instead."),
    "too-many-roles": N_("The company has as many roles of its own as it can have. Delete one that nobody holds."),
    "too-many-clients": N_("The company has as many API clients as it can have. Revoke one first."),
    "too-many-secrets": N_("Two secrets are valid already. Revoke one first."),
    "too-many-connections": N_(
        "The company has used as many names for connections as it can. Remove a connection that no client uses any more, and use its name "
        "again."
    ),
    "too-many-tokens": N_("Two tokens are valid already. Revoke one first."),
    "identity-refused": N_(
        "Nobody who may sign in belongs to this account of the identity provider, or its e-mail address is not verified. Ask your "
        "administrator."
    ),
    "provider-changed": N_("The identity provider was changed after this test began. Start the test again."),
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
    "nothing-to-reactivate": N_(
        "Activating this person changes nothing: either the person requires no module, or something else blocks the login, such as your "
        "identity provider. The page To decide says what."
    ),
    "not-invitable": N_("This person cannot be invited now: only people who wait for access are invited."),
    "replacement-refused": N_(
        "The person was not replaced: the other person must have no seat in these modules yet, and must require them."
    ),
    "import-needs-confirmation": N_("The number of people who would lose access has changed. Look at it again before you confirm it."),
    "last-owner": N_("This is the last owner. Make another person an owner first."),
    "nothing-held": N_("Nobody of this source waits as a possible duplicate any more. Reload the page."),
    "no-conflict": N_("The person is in no conflict any more. Reload the page."),
    "events-held": N_("Changes of this source still wait for a decision. Decide about them first: People, To decide."),
    "import-applied": N_("This import has ended already. To change people again, start another one."),
    "import-not-checked": N_("The import was not checked to its end. Upload the file again."),
    "no-subscription": N_("There is no subscription yet, so nothing can be bought."),
    "module-not-subscribed": N_("The subscription does not include this module any more. Reload the page."),
    "only-source": N_("Nothing else is stated about this person, so there is nothing to separate."),
    "sign-in-changed": N_("The login or the e-mail address has changed again. Check both, and confirm them then."),
    "nothing-to-confirm": N_("There is nothing to confirm any more."),
    "sign-in-not-valid": N_(
        "You were not signed in: the sign-in was cancelled, was already completed, has expired, or began in another browser. Start again."
    ),
    "secrets-key-missing": N_("The client secret of the identity provider cannot be read now. Ask the vendor."),
    "too-many-profiles": N_(
        "The company has the largest possible number of profiles. Change one that nobody needs instead of adding another one."
    ),
    "subscription-exists": N_("This company has a subscription already."),
    "tenant-opening": N_("The company is still being opened. Try again in a moment."),
    "connection-being-removed": N_("A former connection of this name is still being removed. Try again in a moment."),
    "import-running": N_(
        "An import is not finished: it is running, or waits until somebody applies or deletes it. If nobody does, it ends an hour after "
        "its last upload."
    ),
    "billing-details-missing": N_("The company has no billing details yet. Enter them first."),
    "export-currency": N_("Some documents of these days are in another currency than a booking batch can have. Export them as CSV."),
    "export-too-large": N_("There are too many documents for one export. Export fewer days at a time."),
    "idempotency-key-reused": N_(
        "This form was sent already, with other values. Look whether that did what you want, or open the form again."
    ),
    "invitation-closed": N_("The person has no open invitation: it was accepted, or it has expired."),
    "invitation-refused": N_(
        "The person was not invited, because no licence can be reserved. Deactivate people who no longer need access, buy licences, or "
        "invite the person without a reservation."
    ),
    "not-a-test-clock": N_("This company has a real clock. Only the time of a test clock can be advanced."),
    "role-exists": N_("There is a role with this name already. Choose another name."),
    "too-large": N_("This is too much at once. Send less."),
    "too-many-discounts": N_("The subscription has as many discounts as it can have. First withdraw one that no longer applies."),
}
INVALID: Final = N_("Some values are not accepted. %(faults)s")
OTHER: Final = N_("The service refused this: %(detail)s")
UNKNOWN: Final = N_("The request was refused, and the service did not say why. Try again.")


def _named(values: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the values with the names of the modules that they contain."""
    named, module, requires = dict(values), values.get("module"), values.get("requires")
    if isinstance(module, str):
        named["module"] = names.get(module, module)
    if isinstance(requires, list):
        named["requires"] = ", ".join(names.get(str(each), str(each)) for each in requires)
    return named


def text_of(problem: Problem, gettext: Callable[[str], str], names: Mapping[str, str]) -> str:
    """Return why the request was refused and what to do. A text with values needs those members of the problem. `names`: of the modules."""
    known = TEXTS.get(problem.type)
    if known is None and problem.errors:
        return gettext(INVALID) % {"faults": faults_text(problem, gettext)}
    try:
        if known is not None:
            return gettext(known) % _named(problem.extra, names) if "%(" in known else gettext(known)
    except (KeyError, ValueError):
        pass
    return gettext(OTHER) % {"detail": problem.detail} if problem.detail else gettext(UNKNOWN)

"""Why an order or a reduction was refused, as sentences."""

from collections.abc import Mapping
from typing import Any, Final

from services.console.pages.page import Page
from shared.translations import N_

_NUMBERS_CHANGED: Final = N_(
    "The order was refused, and nothing is charged: the numbers had changed since the quote. Look at the present numbers and buy again."
)
_ORDER: Final = {
    "expected_differs": _NUMBERS_CHANGED,
    "unknown_module": N_("The order was refused, and nothing is charged: the module is no longer part of the subscription."),
}
_ORDER_FAILED: Final = N_("The order was refused because of an error, and nothing is charged. Ask the vendor.")
_LICENCES_CHANGED: Final = N_(
    "The number was not set, because the licences had changed meanwhile. Look at the present numbers and set it again."
)
_REDUCTION: Final = {
    "expected_differs": _LICENCES_CHANGED,
    "above_licences": N_("The number was not set: it is higher than the number of licences that you have now. To have more, buy licences."),
    "terminate_instead": N_("The number was not set: a module cannot be reduced to 0 licences at once. Set 0 for the next period instead."),
    "last_base_module": N_(
        "The number was not set: people need this module, so it cannot have 0 licences. To stop, end the whole subscription."
    ),
    "unknown_module": N_("The number was not set: the module is no longer part of the subscription."),
}
_REDUCTION_FAILED: Final = N_("The number was not set because of an error. Ask the vendor.")


# Why a quote became no order: it expired while it waited for its second approver, or seats refused its order.
WHY_NO_ORDER: Final[Mapping[str, str]] = {
    "expected_differs": N_("The numbers had changed since the quote."),
    "unknown_module": N_("The module was no longer part of the subscription."),
    "module_not_subscribed": N_("The module was no longer part of the subscription."),
    "module_subscribed": N_("The subscription included the module already."),
    "module_pending": N_("Another order for the module was being decided."),
    "module_required": N_("The module can be used only together with another one, which is not subscribed or is to close."),
    "module_not_priced": N_("The plan had no price for the module."),
    "period_changed": N_("Another period had begun."),
    "renewal_pending": N_("Another period had begun."),
    "price_list_changed": N_("The prices had changed."),
    "plan_without_extra_licences": N_("The plan allowed no extra licences any more."),
    "plan_minimum": N_("The plan does not allow so few licences."),
    "plan_maximum": N_("The plan does not allow so many licences."),
    "too_many_licences": N_("The module would have had too many licences."),
    "no_subscription": N_("The subscription had ended."),
    "subscription_ended": N_("The subscription had ended."),
    "quote_withdrawn": N_("The quote was withdrawn."),
}


def step_reason(step: Mapping[str, Any], page: Page) -> str:
    """Return why a quote or a request took this state; empty: for no reason. What the vendor wrote when declining a request is a text."""
    reason = (step["detail"] or {}).get("reason") or ""
    if step["state"] == "declined" or not reason:
        return str(reason)
    return page.gettext(WHY_NO_ORDER.get(reason, _ORDER_FAILED))


def refused_order(order: Mapping[str, Any], page: Page) -> str:
    """Return why the order was refused, and what to do."""
    return page.gettext(_ORDER.get(order["reason"], _ORDER_FAILED))


def refused_reduction(reduction: Mapping[str, Any], page: Page) -> str:
    """Return why the reduction was refused, and what to do."""
    must_free = reduction["detail"].get("must_free")
    if must_free:
        return page.ngettext(
            "The number was not set, because more people use the module. First deactivate %(num)s person or withdraw the login.",
            "The number was not set, because more people use the module. First deactivate %(num)s people or withdraw their logins.",
            must_free,
        )
    return page.gettext(_REDUCTION.get(reduction["reason"], _REDUCTION_FAILED))

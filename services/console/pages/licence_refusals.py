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

"""Which licences a change of people adds and gives back, before it is made (M9, M12)."""

from collections.abc import Mapping
from typing import Any

from cli.console import counted, out
from shared.money import format_amount


def show_licences(found: Mapping[str, Any]) -> None:
    """Print which licences are added by themselves, which ones leavers give back, and the price of both."""
    for each in found["expansions"]:
        out.print(f"{each['module']}: {counted(each['licences'], 'licence')} would be added by the policy of the module.", markup=False)
    for each in found["reductions"]:
        when = "at once" if each["reduce_at"] == "now" else "at the end of the period"
        out.print(f"{each['module']}: {counted(each['licences'], 'licence')} of leavers would be given back {when}.", markup=False)
    for text, price in (("You would be charged", found["cost"]), ("That saves", found["saving"])):
        if price is not None:
            term = "year" if price["term"] == "annual" else "month"
            out.print(f"{text} {format_amount(price['net_minor'], price['currency'], 'en')} per {term}, without tax.", markup=False)

"""The rules for purchases in plain words, each with an example in the currency of the subscription. The rules are those of invoicing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.console.rendering.formats import Formats
from services.console.rendering.known_texts import word_of
from shared.money import minor_units
from shared.translations import N_

SECOND_APPROVER: Final = {
    "none": N_("One person approves each purchase. Above the budget, purchases are refused."),
    "above_budget": N_("A purchase above the budget needs a second person. Below it, one person approves."),
    "always": N_("Two people approve each purchase."),
}
_EXAMPLES: Final = {
    "none": N_("%(left)s of the budget are left this month. A purchase that adds %(more)s to the price of a period is refused."),
    "above_budget": N_(
        "%(left)s of the budget are left this month. A purchase that adds %(less)s to the price of a period needs one approval; one that "
        "adds %(more)s needs two."
    ),
    "always": N_("A purchase that adds %(less)s to the price of a period needs two approvals."),
}


@dataclass(frozen=True, slots=True)
class PurchaseTexts:
    """The words for one reader. Amounts are in `currency`."""

    gettext: Callable[..., str]
    formats: Formats
    currency: str

    def choices(self) -> list[tuple[str, str, str]]:
        """Return each choice of second approvers with its words and an example."""
        return [(name, self.gettext(text), self.example(name, 300)) for name, text in SECOND_APPROVER.items()]

    def example(self, second_approver: str, left: int | None = None, left_minor: int = 0) -> str:
        """Return what becomes of a purchase if `left` (in whole units) or `left_minor` of the budget is left."""
        one = int(10 ** minor_units(self.currency))
        minor = max(0, left_minor) if left is None else left * one
        amounts = {"left": minor, "less": min(minor, 100 * one) or one, "more": minor + 100 * one}
        text = _EXAMPLES.get(second_approver, "")
        if second_approver == "above_budget" and not minor:
            text = N_(
                "Nothing of the budget is left this month. A purchase that adds %(more)s to the price of a period needs two approvals."
            )
        return self.gettext(text, **{name: self.formats.money(amount, self.currency) for name, amount in amounts.items()}) if text else ""

    def approvals(self, rules: Mapping[str, Any]) -> tuple[str, str]:
        """Return who approves now, with an example in the numbers of this month."""
        budget, who = rules["monthly_budget_minor"], rules["second_approver"]
        if budget is None and who == "none":
            return self.gettext(N_("One person approves each purchase.")), ""
        return word_of(who, SECOND_APPROVER, self.gettext), self.example(who, left_minor=rules["left_minor"] or 0)

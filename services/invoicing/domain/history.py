"""The events of one tenant, folded into what invoices are made of.

What invoicing says is looked up by its key, so it may come in any order; what seats decided is taken in the order of its log, which is the
order of the event ids. Reading both topics from the start therefore gives the same history however they interleave.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, get_args

from services.invoicing.domain.prices import prices_of
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import (
    BillingDetailsChanged,
    ContractChanged,
    DayCharged,
    DiscountGranted,
    DiscountWithdrawn,
    InvoiceIssued,
    ModuleAdded,
    PlanDefined,
    QuoteApproved,
    QuoteIssued,
    ReductionOrdered,
    SubscriptionEnded,
    SubscriptionStarted,
    TermsApplied,
    UnitPrice,
)
from shared.schemas.position import DecisionId
from shared.schemas.seats_v1 import (
    LicencesAdded,
    LicencesReduced,
    PeriodStarted,
    PoolClosed,
    PoolExpanded,
    PoolOpened,
    PoolReduced,
    PoolRestored,
    ReductionRefused,
)

Fact = tuple[str, Payload]  # the message's id and body
Decision = PoolOpened | LicencesAdded | PoolExpanded | LicencesReduced | PoolReduced | PoolRestored | PoolClosed | PeriodStarted
Between = DayCharged | ContractChanged | DiscountGranted | DiscountWithdrawn | QuoteApproved
DECISIONS: Final = get_args(Decision)  # every decision that changes the licences of a pool


def decision_order(event_id: str) -> tuple[int, int, int]:
    """Partition, command offset and n of a seats event's id."""
    found = DecisionId.parse(event_id)
    return found.partition, found.offset, found.n


def decision_key(event_id: str) -> str:
    """The same as a word that may stand in an id: what a decision calls for is named after it, so it cannot be made twice."""
    return DecisionId.parse(event_id).key


def same_decision(one: str, other: str) -> bool:
    """Return whether two events of seats are of one decision."""
    return one.rpartition("/")[0] == other.rpartition("/")[0]


@dataclass(slots=True)
class History:
    """The events of one tenant by their keys, and the decisions of seats in the order of their log."""

    contracts: dict[str, SubscriptionStarted] = field(default_factory=dict)  # by subscription: one after the other
    ended: dict[str, SubscriptionEnded] = field(default_factory=dict)  # by the decision that ended it
    given_up: set[str] = field(default_factory=set)  # subscriptions that ended before they were active
    plans: dict[tuple[str, int], PlanDefined] = field(default_factory=dict)
    details: dict[str, BillingDetailsChanged] = field(default_factory=dict)
    quotes: dict[str, QuoteIssued] = field(default_factory=dict)
    approvals: dict[str, QuoteApproved] = field(default_factory=dict)  # by order
    beside: dict[str, list[QuoteApproved]] = field(default_factory=dict)  # by order: what was approved before seats decided it
    terms: dict[str, TermsApplied] = field(default_factory=dict)  # by decision
    decisions: list[tuple[str, Decision]] = field(default_factory=list)
    reductions: dict[str, ReductionOrdered] = field(default_factory=dict)
    refused: list[tuple[str, ReductionRefused]] = field(default_factory=list)
    between: dict[str, list[Between]] = field(default_factory=dict)  # by the decision that they come after
    added: dict[str, ModuleAdded] = field(default_factory=dict)  # by decision
    issued: dict[str, InvoiceIssued] = field(default_factory=dict)  # by invoice

    def note_approval(self, event: QuoteApproved) -> None:
        self.approvals[event.order] = event
        if event.after:
            self.between.setdefault(event.after, []).append(event)
        for order in event.undecided:
            self.beside.setdefault(order, []).append(event)

    def note_reduction(self, event_id: str, event: ReductionOrdered | ReductionRefused) -> None:
        if isinstance(event, ReductionOrdered):
            self.reductions[event.reduction] = event
        else:
            self.refused.append((event_id, event))

    def note_end(self, event: SubscriptionEnded) -> None:
        if event.decision:
            self.ended[event.decision] = event
        else:
            self.given_up.add(event.subscription)

    def price(self, plan: str, version: int, module: str, term: str) -> UnitPrice:
        """Return the price for a whole period. KeyError: the list lacks it (checked when a subscription starts and a plan changes)."""
        return prices_of(self.plans[plan, version], term)[module]

    def subscriptions(self) -> Iterator[tuple[SubscriptionStarted, list[tuple[str, Decision]]]]:
        """Return each subscription with its decisions, in order. What seats decides between two subscriptions belongs to the later one."""
        left = {name: contract for name, contract in self.contracts.items() if name not in self.given_up}
        decisions = list[tuple[str, Decision]]()
        for event_id, event in self.decisions:
            decisions.append((event_id, event))
            if event_id in self.ended:
                yield left.pop(self.ended[event_id].subscription), decisions
                decisions = []
        assert len(left) <= 1, "a subscription begins only when the one before has ended"
        for contract in left.values():
            yield contract, decisions


def fold(facts: Iterable[Fact]) -> History:
    """Return the history that these events make, in any order of invoicing's own."""
    history = History()
    decisions: dict[str, Decision] = {}
    for event_id, event in facts:
        match event:
            case SubscriptionStarted():
                history.contracts[event.subscription] = event
            case SubscriptionEnded():
                history.note_end(event)
            case PlanDefined():
                history.plans[event.plan, event.version] = event
            case BillingDetailsChanged():
                history.details[event.version] = event
            case QuoteIssued():
                history.quotes[event.quote] = event
            case QuoteApproved():
                history.note_approval(event)
            case TermsApplied():
                history.terms[event.decision] = event
            case ReductionOrdered() | ReductionRefused():
                history.note_reduction(event_id, event)
            case ModuleAdded():
                history.added[event.decision] = event
            case DayCharged() | ContractChanged() | DiscountGranted() | DiscountWithdrawn():
                history.between.setdefault(event.after, []).append(event)
            case InvoiceIssued():
                history.issued[event.invoice] = event
            case _ if isinstance(event, DECISIONS):
                decisions[event_id] = event
            case _:
                pass  # everything else says nothing about money
    for events in history.between.values():
        events.sort(key=_between_decisions)
    history.decisions = sorted(decisions.items(), key=lambda item: decision_order(item[0]))
    return history


def _between_decisions(event: Between) -> tuple[datetime, int]:
    """Return the place of an event among those after one decision. A day that ends at the instant of a change ends before it."""
    return event.at, 0 if isinstance(event, DayCharged) else event.number

"""Which version of a plan's price list applies: to new contracts from its date on, to a running subscription from a renewal on.

The terms of a list are its prices and its conditions: whether it allows extra licences, and how many licences of a module. A running
subscription keeps its terms within a period. It takes a list with other terms at the first renewal that is at least `price_notice` after
the announcement, and not before the day from which the list holds. A list that changes none of its terms applies at once, and one that
changes only modules without an open pool from the next renewal on. Of two lists that hold, the one that was defined last counts.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from services.invoicing.domain.calendar import Term, add_days, period_at
from services.invoicing.domain.prices import limits_of, prices_of
from shared.schemas.invoicing_v1 import PlanDefined

NOTICE: Final = re.compile(r"P([0-9]{1,3})D")


def notice_days(notice: str) -> int:
    """Return the days of a notice such as `P30D`."""
    found = NOTICE.fullmatch(notice)
    assert found is not None, notice
    return int(found[1])


def holds(listed: PlanDefined, day: date) -> bool:
    return listed.holds_from is None or listed.holds_from <= day


def in_force(versions: Sequence[PlanDefined], day: date) -> PlanDefined | None:
    """Return the list for contracts that are made on this day; None: the plan is not sold yet. `versions`: of one plan, in their order."""
    return next((listed for listed in reversed(versions) if holds(listed, day)), None)


def in_turn(versions: Sequence[PlanDefined], day: date) -> list[PlanDefined]:
    """Return the list of one plan that is in force on this day, and those that will be in force after it, in their order."""
    days = {day, *(listed.holds_from for listed in versions if listed.holds_from is not None and listed.holds_from > day)}
    found = [listed for each in sorted(days) if (listed := in_force(versions, each)) is not None]
    return list({listed.version: listed for listed in found}.values())


def of_each_plan(versions: Iterable[PlanDefined], day: date) -> list[PlanDefined]:
    """Return the list in force of each plan that is sold on this day. `versions`: of all plans, in their order."""
    newest = {listed.plan: listed for listed in versions if holds(listed, day)}
    return [newest[plan] for plan in sorted(newest)]


def keeps_prices(own: PlanDefined, other: PlanDefined, term: str, modules: Collection[str] | None = None) -> bool:
    """Return whether the other list has the own one's prices of these modules (None: of all) for this term. It may have more."""
    kept, found = prices_of(own, term), prices_of(other, term)
    return all(found.get(module) == price for module, price in kept.items() if modules is None or module in modules)


def keeps_terms(own: PlanDefined, other: PlanDefined, term: str, modules: Collection[str] | None = None) -> bool:
    """Return whether the other list also has the own one's conditions, of the plan and of these modules."""
    named = prices_of(own, term).keys() if modules is None else modules
    same_limits = all(limits_of(own, module) == limits_of(other, module) for module in named)
    return own.allows_extra_licences == other.allows_extra_licences and same_limits and keeps_prices(own, other, term, modules)


def own_list(versions: Sequence[PlanDefined], version: int, term: str, day: date) -> PlanDefined:
    """Return the list by which a running subscription buys on this day. `version` is the one that it took last."""
    own = next(listed for listed in versions if listed.version == version)
    return _newest_with_its_terms(versions, own, term, day)


def _newest_with_its_terms(
    versions: Sequence[PlanDefined], own: PlanDefined, term: str, day: date, modules: Collection[str] | None = None
) -> PlanDefined:
    newer = [listed for listed in versions if listed.version > own.version and holds(listed, day)]
    return next((listed for listed in reversed(newer) if keeps_terms(own, listed, term, modules)), own)


@dataclass(frozen=True, slots=True)
class Renewals:
    """The renewals of a subscription from the end of its present period on."""

    anchor: date
    term: Term
    period_end: date

    def first(self, not_before: date) -> date:
        """Return the first renewal that is not before this day."""
        if not_before <= self.period_end:
            return self.period_end
        period = period_at(self.anchor, self.term, not_before)
        return period.start if period.start == not_before else period.end


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A list that was announced for a renewal, and the list that the period has instead."""

    told: PlanDefined
    then: PlanDefined
    begins_on: date


@dataclass(frozen=True, slots=True)
class RenewalLists:
    """The lists of which a renewal takes one. `announced`: by version, the day from which a renewal may take the list."""

    versions: Sequence[PlanDefined]
    version: int
    term: str
    announced: Mapping[int, date]

    def at(self, begins_on: date, modules: Collection[str]) -> PlanDefined:
        """Return the list of a period that begins on this day. `modules`: those with an open pool."""
        own = next(listed for listed in self.versions if listed.version == self.version)
        kept = _newest_with_its_terms(self.versions, own, self.term, begins_on, modules)
        taken = [
            listed
            for listed in self.versions
            if listed.version > kept.version and self.announced.get(listed.version, date.max) <= begins_on
        ]
        return _newest_with_its_terms(self.versions, taken[-1], self.term, begins_on, modules) if taken else kept

    def course(self, renewals: Renewals, modules: Collection[str], until: date) -> PlanDefined:
        """Return the list of a period that begins on this day, renewal by renewal from the next one on."""
        days = [*self.announced.values(), *(listed.holds_from for listed in self.versions if listed.holds_from is not None)]
        lists = self
        for day in sorted({renewals.first(day) for day in days}):
            if day < until:
                lists = replace(lists, version=lists.at(day, modules).version)
        return lists.at(until, modules)

    def taken_back(self, known: Iterable[int], renewals: Renewals, modules: Collection[str]) -> list[TakenBack]:
        """Return which of the known lists will not apply from the renewal for which they were announced: a later list has the former terms
        again, or begins earlier. A list that was announced for the same renewal instead is no such list."""
        found = list[TakenBack]()
        listed = {each.version: each for each in self.versions}
        begins = {version: renewals.first(day) for version, day in self.announced.items()}
        for version in sorted(version for version in known if version > self.version):
            told, day = listed[version], begins[version]
            then = self.course(renewals, modules, day)
            instead = (later for later, begin in begins.items() if later > version and begin == day)
            if not any(keeps_terms(each, then, self.term, modules) for each in (told, *(listed[later] for later in instead))):
                found.append(TakenBack(told, then, day))
        return found


def taken_from(announced_on: date, notice: str, listed: PlanDefined) -> date:
    """Return the day from which a renewal may take the list."""
    return max(add_days(announced_on, notice_days(notice)), listed.holds_from or date.min)


def to_announce(
    versions: Sequence[PlanDefined], version: int, term: str, announced: Collection[int], modules: Collection[str]
) -> list[PlanDefined]:
    """Return the lists of which the subscription has to be told, oldest first. `modules`: those with an open pool.

    A list without other terms of them than the one before it needs no announcement, nor one that a later list replaces before it holds.
    """
    own = next(listed for listed in versions if listed.version == version)
    found, last = list[PlanDefined](), own
    newer = [listed for listed in versions if listed.version > version]
    for place, listed in enumerate(newer):
        if listed.version in announced:
            last = listed
            continue
        day = listed.holds_from or date.min
        if any((later.holds_from or date.min) <= day for later in newer[place + 1 :]):
            continue
        if not keeps_terms(last, listed, term, modules):
            found.append(listed)
            last = listed
    return found

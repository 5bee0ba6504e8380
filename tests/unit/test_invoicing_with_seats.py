"""Invoicing's account of what the real decision core of seats decides: renewals, reductions that wait for them, expansions beside them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.invoicing.domain.account import Account, account
from services.invoicing.domain.budget import Expandable, budget_caps
from services.invoicing.domain.calendar import local_day, start_of_day
from services.invoicing.domain.upcoming import upcoming
from services.invoicing.use_cases.seats_questions import Forecast, forecast_of
from services.seats.domain import Budget, Command, decide, forecast, to_ms
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import SubscriptionEnded, TermsApplied
from shared.schemas.seats_v1 import (
    AssignSeats,
    ClockAdvanced,
    ClosePool,
    DatedRelease,
    Expected,
    ExpectedPool,
    LicenceCount,
    OpenPool,
    OpenTenant,
    PeriodStarted,
    Policies,
    PoolClosed,
    PoolExpanded,
    PoolReduced,
    ReduceLicences,
    SchedulePeriod,
    ScheduleReduction,
    SeatFlagged,
    SeatsAssigned,
    SeatsRefused,
    SetPolicy,
    WouldCancel,
)
from tests.support.invoicing_harness import ROOT, InvoicingHarness

START = datetime(2013, 11, 1, 8, tzinfo=UTC)


class Seats(InvoicingHarness):
    """The harness of the other tests, with seats' own decisions in place of made-up ones."""

    def __post_init__(self) -> None:
        self.tenants: dict[str, Any] = {}
        self.number = 0
        super().__post_init__()
        self.facts = [fact for fact in self.facts if not fact[0].startswith("seats")]
        self.send(OpenTenant, source="users", clock="test", at=self.at)
        for module, count in sorted(self.licences.items()):
            self.send(OpenPool, module=module, base=module == "time", licences=count, policies=Policies(over_limit="expand", expand_cap=99))
        self.schedule(self.contract.period_end)

    def schedule(self, begin: date) -> None:
        self.send(SchedulePeriod, period=begin.isoformat(), starts_at=start_of_day(begin, self.zone))

    def send(self, model: type[Payload], *, source: str = "invoicing", **fields: Any) -> list[Payload]:
        self.number += 1
        self.offset += 1
        numbered = {"number": self.number} if "number" in model.model_fields else {}
        command = Command(f"c{self.offset}", f"seatpool/{source}", "acme", model(**numbered, **fields), 2, self.offset)
        found = []
        for event in decide(self.tenants, command, int(START.timestamp() * 1000)).events:
            body = registry.parse(event.type, orjson.dumps(event.body))
            decision = f"seats.commands.v1/2/{self.offset}/{event.n}"
            self.facts.append((decision, body))
            if isinstance(body, PoolExpanded | PeriodStarted):
                about: dict[str, Any] = {"decision": decision, "subscription": "sub", "plan": "standard", "plan_version": len(self.plans)}
                self.say(TermsApplied(at=body.at, actor=ROOT, billing_details=self.version, **about))
            found.append(body)
        return found

    def close(self, *, at: str) -> None:
        """End the whole subscription."""
        for module in ("documents", "time"):
            self.send(ClosePool, module=module, at=at, ending=True)

    def hire(self, user: str, revision: int = 1, **rest: Any) -> list[Payload]:
        need = {"modules": ("time",), "created_at": START, "user": user, "revision": revision, "reason": "hired"}
        return self.send(AssignSeats, source="users", **need, **rest)

    def renewal(self) -> Forecast:
        """Ask seats for the forecast of the next renewal."""
        then = to_ms(start_of_day(self.contract.period_end, self.zone))
        events = forecast(self.tenants["acme"].rows(), to_ms(START), then, Budget(1000), offset=self.offset + 1).events
        return forecast_of([{"type": event.type, "data": event.body} for event in events])


def lines(found: Account) -> list[list[tuple[str, str, int, int]]]:
    return [[(line.text_key, line.module, line.quantity, line.net_minor) for line in invoice.lines] for invoice in found.invoices]


def test_T11_T16_a_renewal_is_invoiced_by_the_licences_seats_names_after_the_reduction() -> None:
    seats = Seats(licences={"time": 10, "documents": 3})
    expected = Expected(period=None, pools=(ExpectedPool(module="time", licences=10, next_period=10),))
    seats.send(ScheduleReduction, items=(LicenceCount(module="time", quantity=6),), expected=expected)
    seats.send(ClockAdvanced, source="users", to=start_of_day(date(2013, 12, 1), seats.zone))  # users stops at each instant that is due
    found = account(seats.facts)
    assert lines(found) == [[("recurring", "documents", 3, 6000), ("recurring", "time", 6, 7200)]]
    assert found.invoices[0].issued_on == local_day(found.invoices[0].at, seats.zone) == date(2013, 12, 1)


def test_T11_M9_a_leaver_of_the_last_day_is_not_invoiced_for_the_new_period_that_seats_starts_late() -> None:
    """Seats was down at midnight: in one decision on 2 December, the person leaves and the period begins, in this order."""
    seats = Seats(licences={"time": 3, "documents": 1})
    policies = Policies(terminate_reduces_pool=True, reduce_at="now")
    seats.send(SetPolicy, module="time", policies=policies)
    begin = start_of_day(date(2013, 12, 1), seats.zone)
    seats.hire("ann", release=DatedRelease(at=begin, modules=(), leaver=True))
    events = seats.send(ClockAdvanced, source="users", to=begin + timedelta(days=1, hours=8))
    assert [(each.by, each.at) for each in events if isinstance(each, PoolReduced)] == [(1, begin + timedelta(days=1, hours=8))]
    seats.at = begin + timedelta(days=2)
    seats.end_days()
    found = account(seats.facts)
    assert lines(found) == [[("recurring", "documents", 1, 2000), ("recurring", "time", 2, 2400)]]
    assert (found.waiting, found.charges, found.open_day) == ([], [], None)


@pytest.mark.parametrize("leaves_by_date", [True, False])
def test_T11_M9_a_leaver_between_two_renewals_that_seats_starts_late_is_invoiced_for_the_first_of_them_only(leaves_by_date: bool) -> None:
    """Seats was down from November to 3 January. Ann's last day was in December, and seats has known it since November: her licence is not
    counted in January. If she leaves on 3 January, it counts until that day."""
    seats = Seats(licences={"time": 3, "documents": 1}, credit_when="now")
    seats.send(SetPolicy, module="time", policies=Policies(terminate_reduces_pool=True, reduce_at="now"))
    release = DatedRelease(at=start_of_day(date(2013, 12, 15), seats.zone), modules=(), leaver=True)
    known: dict[str, Any] = {"release": release} if leaves_by_date else {}
    seats.hire("ann", **known)
    seats.send(ClockAdvanced, source="users", to=datetime(2014, 1, 3, 8, tzinfo=UTC))
    if not leaves_by_date:
        seats.send(AssignSeats, source="users", modules=(), created_at=START, user="ann", revision=2, reason="left", leaver=True)
    seats.schedule(date(2014, 1, 1))
    seats.at = datetime(2014, 1, 4, 8, tzinfo=UTC)
    seats.end_days()
    december, january, *after = lines(account(seats.facts))
    assert [each[:3] for each in december] == [("recurring", "documents", 1), ("recurring", "time", 3)]
    assert [each[:3] for each in january][:2] == [("recurring", "documents", 1), ("recurring", "time", 2 if leaves_by_date else 3)]
    credited = [each[3] for document in [january[2:], *after] for each in document]
    assert credited == ([] if leaves_by_date else [1123])  # a credit note for 29 of 31 days of 12.00


@pytest.mark.parametrize("at_once", [False, True])
def test_T14_what_seats_decides_at_the_end_is_one_last_document_and_nothing_follows(at_once: bool) -> None:
    """Ann has a licence; bob comes while the subscription ends, and the pool expands. At once, 20 of 30 days are left."""
    seats = Seats(licences={"documents": 2, "time": 1}, charge_when="next_invoice", credit_when="next_invoice")
    seats.hire("ann")
    if not at_once:
        seats.close(at="period_end")
    seats.hire("bob")
    seats.at = START + timedelta(days=10)
    seats.end_days()
    seats.send(ClockAdvanced, source="users", to=seats.at if at_once else start_of_day(date(2013, 12, 1), seats.zone))
    if at_once:
        seats.close(at="now")
    assert (seats.tenants["acme"].pools, [row.seats for row in seats.tenants["acme"].users.values()]) == ({}, [{}, {}])
    decision, event = [(name, event) for name, event in seats.facts if isinstance(event, PoolClosed if at_once else PeriodStarted)][-1]
    assert isinstance(event, PoolClosed | PeriodStarted)
    about: dict[str, Any] = {"subscription": "sub", "decision": decision, "billing_details": seats.version, "at_once": at_once}
    seats.say(SubscriptionEnded(at=event.at, actor=ROOT, ended_on=local_day(event.at, seats.zone), **about))
    found = account(seats.facts)
    last = {("time", -400), ("documents", -2667)} if at_once else {("time", 1200)}
    assert [{(module, -net if at_once else net) for _, module, _, net in document} for document in lines(found)] == [last]
    assert (found.period, found.waiting) == (None, [])
    seats.send(ClockAdvanced, source="users", to=START + timedelta(days=90))
    assert account(seats.facts).invoices == found.invoices


def test_an_expansion_in_the_decision_that_begins_the_period_is_charged_once() -> None:
    """The period falls due on the way to a hire that expands the pool: one decision, whose pools show the end of both."""
    seats = Seats(licences={"time": 1})
    seats.hire("ann")
    seats.send(ClockAdvanced, source="users", to=START + timedelta(days=29, hours=14))
    tenant = seats.tenants["acme"]
    seats.tenants["acme"].put_tenant(tenant.row._replace(time=tenant.row.time + 2 * 86_400_000))  # as when nothing settled for two days
    events = seats.hire("bob")
    kinds = [type(event).__name__ for event in events]
    assert kinds.index("PeriodStarted") < kinds.index("PoolExpanded")
    began = next(event for event in events if isinstance(event, PeriodStarted))
    assert ([pool.licences for pool in began.pools], [item.quantity for item in began.licences]) == ([2], [1])
    seats.at = datetime(2013, 12, 3, tzinfo=UTC)
    seats.end_days()
    (renewal, expansion) = lines(account(seats.facts))
    assert renewal == [("recurring", "time", 1, 1200)]
    assert [(key, module, quantity) for key, module, quantity, _ in expansion] == [("proration", "time", 1)]


def test_M12_seats_alone_stops_the_expansions_that_the_budget_does_not_allow() -> None:
    """30.00 are left and a licence costs 12.00: two people expand the pool, and the third one is refused."""
    seats = Seats(licences={"time": 1})
    seats.hire("ann")
    (cap,) = budget_caps(3000, [Expandable("time", 1, 99, 99, 1200)]).values()
    seats.send(SetPolicy, module="time", policies=Policies(expand_cap=cap))
    answers = [event for user in ("bob", "cy", "dan") for event in seats.hire(user) if isinstance(event, SeatsAssigned | SeatsRefused)]
    states = [(answer.modules[0].state, answer.modules[0].reason == "expand_cap") for answer in answers]
    assert states == [("active", False), ("active", False), ("refused", True)]
    assert seats.tenants["acme"].pools["time"].row.licences == 3


@pytest.mark.parametrize(
    ("policies", "number", "taken_back", "flagged", "net_minor"),
    [
        ({"reduce_below_use": "block"}, 3, False, [], 3600),
        ({"reduce_below_use": "block"}, 3, True, [], 4800),  # B12: limited by the seats in use
        ({"reduce_below_use": "flag_newest"}, 3, False, [], 3600),
        ({"reduce_below_use": "flag_newest"}, 3, True, ["dan"], 3600),
        ({"terminate_reduces_pool": True}, 4, False, [], 3600),  # the leaver lowers the number
        ({"terminate_reduces_pool": True}, 4, True, [], 4800),
    ],
)
def test_M15_T18_the_next_invoice_and_the_forecast_know_leavers_and_what_block_limits(
    policies: dict[str, Any], number: int, taken_back: bool, flagged: list[str], net_minor: int
) -> None:
    """The last working day is the last day of the period; the events are those that seats' forecast shows."""
    seats = Seats(licences={"time": 4})
    seats.send(SetPolicy, module="time", policies=Policies(**policies))
    for user in ("ann", "bob", "cy", "dan"):
        seats.hire(user)
    seats.hire("bob", 2, release=DatedRelease(at=start_of_day(date(2013, 12, 1), seats.zone), leaver=True))
    expected = Expected(period=None, pools=(ExpectedPool(module="time", licences=4, next_period=4),))
    seats.send(ScheduleReduction, items=(LicenceCount(module="time", quantity=number),), expected=expected)
    if taken_back:
        seats.hire("bob", 3)
    found = seats.renewal()
    assert [user for each in found.would_flag for user in each.users] == flagged
    assert found.period is not None
    numbers = {item.module: item.quantity for item in found.period.licences}
    document = upcoming(seats.facts, seats.contract, numbers, 1, seats.version)
    assert document is not None
    events = seats.send(ClockAdvanced, source="users", to=start_of_day(date(2013, 12, 1), seats.zone))
    assert [event.user for event in events if isinstance(event, SeatFlagged)] == flagged
    assert [(invoice.net_minor, invoice.lines[0].quantity) for invoice in account(seats.facts).invoices] == [
        (document.net_minor, document.lines[0].quantity)
    ]
    assert document.net_minor == net_minor


@pytest.mark.parametrize("reduce_at", ["period_end", "now"])
def test_T18_the_forecast_of_a_reduction_names_whom_seats_would_flag_and_whose_reservations_end(reduce_at: str) -> None:
    """The events are those that seats' what-if shows."""
    seats = Seats(licences={"time": 4})
    for user in ("ann", "bob", "cy"):
        seats.hire(user)
    seats.hire("hal", hold_until=start_of_day(date(2014, 1, 1), seats.zone))
    expected = Expected(period=None, pools=(ExpectedPool(module="time", licences=4, next_period=4),))
    one = (LicenceCount(module="time", quantity=1),)
    if reduce_at == "now":
        events = seats.send(ReduceLicences, order="r1", items=(LicenceCount(module="time", quantity=3),), expected=expected)
    else:
        events = seats.send(ScheduleReduction, items=one, expected=expected)
    shown = [{"type": registry.type_of(type(event)), "data": event.model_dump(mode="json")} for event in events]
    foreseen = forecast_of(shown)
    (found,) = foreseen.would_flag
    assert (found.module, found.count, set(found.users)) == ("time", 2, {"bob", "cy"})
    assert list(foreseen.would_cancel) == [WouldCancel(module="time", users=("hal",), count=1)]


def test_B13_the_forecast_of_a_refused_reduction_has_the_refusal() -> None:
    seats = Seats(licences={"time": 3})
    seats.send(SetPolicy, module="time", policies=Policies(reduce_below_use="block"))
    for user in ("ann", "bob", "cy"):
        seats.hire(user)
    expected = Expected(period=None, pools=(ExpectedPool(module="time", licences=3, next_period=3),))
    events = seats.send(ScheduleReduction, items=(LicenceCount(module="time", quantity=1),), expected=expected)
    refused = forecast_of([{"type": registry.type_of(type(event)), "data": event.model_dump(mode="json")} for event in events]).refused
    assert refused is not None
    assert (refused.module, refused.must_free) == ("time", 2)

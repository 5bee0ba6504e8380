"""The bodies of requests. Every error names the field, its value and what is allowed."""

import re
from collections.abc import Hashable, Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, StrictBool, StringConstraints, model_validator
from stdnum import get_cc_module
from stdnum.de import leitweg
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError as NumberError
from stdnum.gb import vat as gb_vat

from services.invoicing.api.electronic_addresses import checked_electronic_address
from services.invoicing.documents.printable import first_unprintable
from services.invoicing.domain.balance import AMOUNT_MINOR_MAX
from services.invoicing.domain.discounts import DISCOUNTS_MAX
from services.invoicing.domain.formats import XRECHNUNG, Format
from services.invoicing.domain.policies import WARN_AT
from services.invoicing.domain.prices import PRICE_MINOR_MAX
from shared.countries import NORTHERN_IRELAND, Country
from shared.money import is_currency
from shared.schemas.base import Id, ModuleName
from shared.schemas.faults import WrongFields
from shared.schemas.policies import LICENCES_MAX, UNSETTABLE, wrong_expand, wrong_policy
from shared.schemas.seats_v1 import Policies
from shared.text import plain, seen
from shared.web.rest import Day


def _currency(value: str) -> str:
    if not is_currency(value):
        raise ValueError("expected a currency that is in use, as its code of ISO 4217: three capital letters, for example EUR")
    return value


_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")


def _rate(value: object) -> object:
    """Return the rate in its normal form, so that `25` and `25.0` are the same rate."""
    if not isinstance(value, str):
        return value
    rate = Decimal(value) if _RATE.fullmatch(value) else None
    if rate is None or rate > 100 or -int(rate.as_tuple().exponent) > 4:
        raise ValueError("expected a percentage from 0 to 100 with at most 4 decimal places, for example 12.5")
    return f"{rate.normalize():f}"


Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_currency)]
Rate = Annotated[str, BeforeValidator(_rate, json_schema_input_type=str), StringConstraints(pattern=f"^{_RATE.pattern}$")]
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=_PRINTABLE), AfterValidator(seen)]
Text = Annotated[str, StringConstraints(max_length=100, strip_whitespace=True, pattern=_PRINTABLE), AfterValidator(plain)]
Note = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True, pattern=_PRINTABLE), AfterValidator(plain)]
Message = Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True), AfterValidator(plain)]  # of several lines
Count = Annotated[int, Field(ge=1, le=LICENCES_MAX, strict=True)]


Notice = Annotated[
    str,
    StringConstraints(pattern=r"^P[0-9]{1,3}D$"),
    Field(
        description="The days between the announcement of another price list and the renewal that takes it, for example P30D. Only the "
        "vendor's operator may set it."
    ),
]


def checked_printable(value: str | None) -> str | None:
    """Return the text if documents can show it. ValueError: the fonts lack a character, one misleads readers, or the text
    cannot be typeset."""
    wrong = first_unprintable(plain(value)) if value is not None else None
    if wrong is not None:
        raise ValueError(f"expected only characters that documents can show, and they cannot show {wrong}; for example Latin letters")
    return value


Printable = AfterValidator(checked_printable)  # of a text that documents print


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModuleBody(Body):
    name: Annotated[Line, Printable]
    base: StrictBool = Field(False, description="True for a module that a person needs to be a user at all.")
    requires: list[ModuleName] = Field(default_factory=list, max_length=50, description="Modules that this module requires.")


STEPS_MAX = 20
Pricing = Annotated[
    Literal["graduated", "volume"],
    Field(description="graduated: each licence has the price of its step. volume: all have the price of the step of the whole number."),
]


class _Step(Protocol):
    @property
    def up_to(self) -> int: ...


S = TypeVar("S", bound=_Step)


def ascending(steps: list[S]) -> list[S]:
    """Refuse steps that are not in ascending order."""
    for number, (step, later) in enumerate(pairwise(steps), start=1):
        if later.up_to <= step.up_to:
            raise WrongFields({f"{number}.up_to": later.up_to}, "steps in ascending order of up_to")
    return steps


def _repeated(values: Iterable[Hashable]) -> int | None:
    """Return the place of the first value that is there before."""
    earlier = set[Hashable]()
    for place, value in enumerate(values):
        if value in earlier:
            return place
        earlier.add(value)
    return None


class StepBody(Body):
    """The price of the licences from the step before it up to a number."""

    up_to: Count
    amount_minor: int = Field(ge=0, le=PRICE_MINOR_MAX, strict=True)


class PriceBody(Body):
    module: ModuleName
    term: Literal["monthly", "annual"]
    amount_minor: int = Field(
        ge=0,
        le=PRICE_MINOR_MAX,
        strict=True,
        description="The price of one licence for a whole period, in minor units of the currency. With steps: above the last of them.",
    )
    steps: Annotated[list[StepBody], AfterValidator(ascending)] = Field(
        default_factory=list, max_length=STEPS_MAX, description="Prices that depend on the number of licences, in ascending order."
    )
    pricing: Pricing = "graduated"
    included: int = Field(
        0,
        ge=0,
        le=LICENCES_MAX,
        strict=True,
        description="The number of licences that cost nothing. They count for the steps: the first ones are free.",
    )


def check_limits(minimum: int, maximum: int | None) -> None:
    """Raise WrongFields if no number of licences fits both."""
    if maximum is not None and maximum < minimum:
        raise WrongFields({"maximum": maximum}, "a number that is not below minimum")


class LimitsBody(Body):
    """How many licences of a module the plan allows."""

    module: ModuleName
    minimum: Count = 1
    maximum: Count | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "LimitsBody":
        check_limits(self.minimum, self.maximum)
        return self


class PlanBody(Body):
    """A plan and its price list."""

    name: Line
    currency: Currency
    allows_extra_licences: StrictBool = True
    prices: list[PriceBody] = Field(min_length=1, max_length=500)
    ordering: Literal["self_service", "by_request"] = Field(
        "self_service", description="by_request: customers request licences, and the vendor answers with an estimate."
    )
    holds_from: Day | None = Field(
        None,
        ge=date(1970, 1, 1),
        lt=date(3000, 1, 1),
        description="New subscriptions take this list from this day on; without it, at once. A running subscription whose prices "
        "or conditions change gets an e-mail, and takes the list at the first renewal after its `price_notice`, and not before this day.",
    )
    limits: list[LimitsBody] = Field(
        default_factory=list, max_length=500, description="How many licences of a module the plan allows; without limits, any number."
    )

    @model_validator(mode="after")
    def _once(self) -> "PlanBody":
        priced = {price.module for price in self.prices}
        wrong = next((place for place, limits in enumerate(self.limits) if limits.module not in priced), None)
        wrong = wrong if wrong is not None else _repeated(limits.module for limits in self.limits)
        if wrong is not None:
            fields = {f"limits.{wrong}.module": self.limits[wrong].module}
            raise WrongFields(fields, "each module at most once, and only modules with a price")
        if (wrong := _repeated((price.module, price.term) for price in self.prices)) is not None:
            price = self.prices[wrong]
            fields = {f"prices.{wrong}.module": price.module, f"prices.{wrong}.term": price.term}
            raise WrongFields(fields, "at most one price for each module and term")
        return self


_LEITWEG_ID = re.compile(r"^[0-9]{2,12}(-[0-9A-Za-z]{1,30})?-[0-9]{2}$")
TAX_FIELDS = ("tax_category", "tax_rate_percent", "tax_reason")


class BillingDetailsBody(Body):
    """The billing details of a tenant: whom the vendor invoices, and with which tax."""

    company: Annotated[Line, Printable]
    street: Annotated[Line, Printable]
    postcode: Annotated[str, StringConstraints(max_length=20, strip_whitespace=True, pattern=_PRINTABLE), Printable] = ""
    city: Annotated[Line, Printable]
    country: Country
    vat_id: Annotated[str, StringConstraints(min_length=1, max_length=30, strip_whitespace=True, pattern=_PRINTABLE), Printable] | None = (
        None
    )
    organisation_number: (
        Annotated[str, StringConstraints(min_length=1, max_length=50, strip_whitespace=True, pattern=_PRINTABLE), Printable] | None
    ) = Field(None, description="The number of the company in its national register. It is printed on documents, beside the VAT ID.")
    email: EmailStr = Field(description="The invoice e-mail address: invoices, credit notes and reminders are sent to it.")
    copy_to_administrators: StrictBool = Field(
        True, description="Whether the administrators with the right account:buy get a copy of these e-mails."
    )
    document_format: Format = Field(
        Format.FACTUR_X,
        description="`factur_x`: a PDF with an electronic invoice in it (Factur-X, ZUGFeRD). `xrechnung_cii`, `xrechnung_ubl` and "
        "`peppol_bis`: an XML file of XRechnung 3 or Peppol BIS Billing 3, and a PDF to read.",
    )
    buyer_reference: Annotated[Text, Printable] = Field(
        "", description="Your reference on documents. In Germany, public buyers give their Leitweg-ID here."
    )
    purchase_order: Annotated[Text, Printable] = Field("", description="The number of your purchase order. It is printed on documents.")
    electronic_address: Annotated[str, AfterValidator(checked_electronic_address)] = Field(
        "",
        max_length=100,
        description="Your address for electronic invoices: the code of its scheme (EAS), a colon and the id, for example `0088:` and a "
        "GLN, or `EM:` and an e-mail address.",
    )
    tax_category: Literal["S", "Z", "E", "AE", "O", "auto"] | None = Field(
        None,
        description="UNCL5305: S standard rate, Z zero rate, E exempt, AE reverse charge, O outside the scope of VAT. "
        "Without it, the tax follows from the countries and the VAT ID. Only the vendor's operator may set another one, with a reason; it "
        "holds until the operator sets `auto`.",
    )
    tax_rate_percent: Rate | None = Field(None, description="Only the vendor's operator may set it, with a reason.")
    tax_reason: Text = Field("", description="The operator's reason for a tax that differs from the rules.")

    @model_validator(mode="after")
    def _consistent(self) -> "BillingDetailsBody":
        if self.document_format in XRECHNUNG and _LEITWEG_ID.match(self.buyer_reference) and not leitweg.is_valid(self.buyer_reference):
            expected = f"the check digits of the Leitweg-ID {self.buyer_reference} are wrong"
            raise WrongFields({"buyer_reference": self.buyer_reference}, expected)
        if self.vat_id is not None:
            self.vat_id = checked_vat_id(self.vat_id, self.country)
        return self


def checked_vat_id(number: str, country: str) -> str:
    """Return the VAT ID in compact form, with its prefix for the EU and the United Kingdom. WrongFields: it is wrong.

    A number of Northern Ireland keeps its prefix XI. A number of a country that python-stdnum has no rule for stays as it is: no rule is no
    reason to refuse a customer.
    """
    prefix = {"GR": "EL"}.get(country, country)
    try:
        if prefix.lower() in eu_vat.MEMBER_STATES or country == "GR":
            bare = "".join(character for character in number.upper() if character.isalnum())
            return str(eu_vat.validate(bare if bare.startswith(prefix) else prefix + bare))
        if country == "GB":
            kept = NORTHERN_IRELAND if number.strip().upper().startswith(NORTHERN_IRELAND) else "GB"
            return kept + str(gb_vat.validate(number))
        rule = get_cc_module(country, "vat")
        return str(rule.validate(number)) if rule is not None else " ".join(number.split())
    except NumberError as error:
        raise WrongFields({"vat_id": number}, f"{number!r} is not a VAT ID of {country}: {error}") from error


def _policies(given: Policies) -> Policies:
    """Refuse a subscription whose pools seats would refuse, and one that could grow without a limit."""
    wrong = wrong_policy(given) or wrong_expand(given.over_limit, given.expand_cap)
    if wrong is not None:
        raise WrongFields({wrong.field: getattr(given, wrong.field)}, wrong.expected)
    return given if "warn_at" in given.model_fields_set else given.model_copy(update={"warn_at": WARN_AT})


PoolPolicies = Annotated[
    Policies,
    AfterValidator(_policies),
    Field(description=f"The policies of the pool. Without `warn_at`, its threshold is {WARN_AT}; null means no threshold."),
]


class SubscribedModule(Body):
    module: ModuleName
    licences: Count
    policies: PoolPolicies = Policies(warn_at=WARN_AT)


class AddedModule(Body):
    """A module that a running subscription gets."""

    module: ModuleName
    licences: Count
    policies: PoolPolicies | None = Field(
        None,
        description="Without it, the pool has the policies of the subscription's first base module by name; if that one expands, the new "
        "pool rejects until somebody sets its limit.",
    )


class DiscountBody(Body):
    """A discount: a percentage, or an amount for each period; of a module, or of the whole subscription."""

    module: ModuleName | None = Field(None, description="Without it, the discount is of the whole subscription.")
    percent: Rate | None = Field(None, description="A decimal number above 0 and up to 100, for example 12.5.")
    amount_minor: int | None = Field(
        None, ge=1, le=AMOUNT_MINOR_MAX, strict=True, description="The net amount for each period, in minor units of the currency."
    )
    from_day: Day | None = Field(
        None, lt=date(3000, 1, 1), description="The first day; without it, today, or the first charged day of a new subscription."
    )
    until_day: Day | None = Field(None, description="The first day without the discount.")
    periods: int | None = Field(
        None,
        ge=1,
        le=120,
        strict=True,
        description="The number of periods for which it holds, counted from the first one that begins on or after `from_day`. Without it "
        "and without `until_day`, the discount has no end.",
    )
    text: Text = Field("", description="Why it is granted. The action log and the e-mail to the customer show it.")

    @model_validator(mode="after")
    def _one_of(self) -> "DiscountBody":
        if (self.percent is None) == (self.amount_minor is None):
            raise WrongFields({"percent": self.percent, "amount_minor": self.amount_minor}, "either percent or amount_minor")
        if self.percent == "0":
            raise WrongFields({"percent": self.percent}, "more than 0")
        if self.until_day is not None and self.periods is not None:
            raise WrongFields({"until_day": self.until_day, "periods": self.periods}, "until_day or periods, not both")
        return self


class SubscriptionBody(Body):
    """A subscription to a plan: term, first period, and the modules with their licences and policies."""

    plan: Id
    term: Literal["monthly", "annual"]
    period_start: Day = Field(
        ge=date(1970, 1, 1),
        lt=date(3000, 1, 1),
        description="The first day of the first period, in the time zone of the tenant. Later periods start on the same day of the month.",
    )
    billing_day: int | None = Field(
        None,
        ge=1,
        le=31,
        strict=True,
        description="The day of the month on which periods start, if it is not the day of `period_start`. Give 31 for a contract from the "
        "31st that is taken over with a period from 28 February. A month that does not have the day uses its last day.",
    )
    trial_until: Day | None = Field(
        None,
        description="The first charged day of a subscription that begins with a trial: until then everything costs nothing, and it is "
        "on no document. Later periods start on this day of the month, or on `billing_day`.",
    )
    billed_until: Day | None = Field(
        None, description="The first day that is not invoiced yet: the end of the first period if it is already invoiced."
    )
    charge_when: Literal["threshold", "now", "next_invoice"] = "threshold"
    credit_when: Literal["threshold", "next_invoice", "now"] = "threshold"
    zero_invoices: StrictBool = Field(False, description="Also issue documents whose lines are all zero.")
    price_notice: Notice = "P30D"
    modules: list[SubscribedModule] = Field(min_length=1, max_length=100)
    discounts: list[DiscountBody] = Field(
        default_factory=list, max_length=DISCOUNTS_MAX, description="Discounts that hold from the start on."
    )

    @model_validator(mode="after")
    def _once(self) -> "SubscriptionBody":
        if (place := _repeated(module.module for module in self.modules)) is not None:
            raise WrongFields({f"modules.{place}.module": self.modules[place].module}, "each module only once")
        return self


class EndingBody(Body):
    """The end of a subscription with its period."""

    reason: Note = Field("", description="Why the subscription ends. The action log and the e-mail about it show the reason.")


class EndBody(Body):
    """The end of a subscription at once."""

    reason: Line = Field(description="Why the vendor ends the subscription now. The customer is told the reason.")


def _changed(given: Policies) -> Policies:
    """Refuse what seats would refuse. null removes a policy that a pool need not have."""
    wrong = wrong_policy(given)
    if wrong is not None:
        raise WrongFields({wrong.field: getattr(given, wrong.field)}, wrong.expected)
    kept = sorted(name for name in given.model_fields_set - set(UNSETTABLE) if getattr(given, name) is None)
    if kept:
        raise WrongFields({kept[0]: None}, f"a value. Only these policies can be removed with null: {', '.join(UNSETTABLE)}")
    return given


class PoliciesBody(Body):
    """The policies that change. Those that are left out keep their values."""

    modules: dict[ModuleName, Annotated[Policies, AfterValidator(_changed)]] = Field(
        default_factory=dict,
        max_length=100,
        description="The policies of each pool by module. null removes `flag_cap`, `expand_cap` or `warn_at`.",
    )
    charge_when: Literal["threshold", "now", "next_invoice"] | None = None
    credit_when: Literal["threshold", "next_invoice", "now"] | None = None
    zero_invoices: StrictBool | None = None
    price_notice: Notice | None = None

    @model_validator(mode="after")
    def _something(self) -> "PoliciesBody":
        if not any(each.model_fields_set for each in self.modules.values()) and not self.model_fields_set - {"modules"}:
            raise WrongFields({"modules": {}}, "at least one policy")
        return self


class PlanChangeBody(Body):
    """Another plan, another term, or both. The currency of a subscription cannot be changed."""

    plan: Id | None = None
    term: Literal["monthly", "annual"] | None = None
    takes_effect: Literal["now", "period_end"] | None = Field(
        None,
        description="now: an upgrade, with the difference of the prices for the rest of the period. period_end: with the next period. "
        "Without it: now where that is possible.",
    )

    @model_validator(mode="after")
    def _something(self) -> "PlanChangeBody":
        if self.plan is None and self.term is None:
            raise WrongFields({"plan": None, "term": None}, "a plan, a term, or both")
        return self


class QuoteItem(Body):
    module: ModuleName
    add: Count | None = Field(None, description="The number of licences to add.")
    total: Annotated[int, Field(ge=0, le=LICENCES_MAX, strict=True)] | None = Field(
        None, description="The total number of licences to have."
    )

    @model_validator(mode="after")
    def _one_of(self) -> "QuoteItem":
        if (self.add is None) == (self.total is None):
            raise WrongFields({"add": self.add, "total": self.total}, "exactly one of add and total")
        return self


class QuoteBody(Body):
    items: list[QuoteItem] = Field(min_length=1, max_length=100)


class PurchaseSettingsBody(Body):
    """What a tenant decides about its purchases."""

    second_approver: Literal["none", "above_budget", "always"] = Field(
        description="always: each purchase needs the approval of two people. above_budget: a purchase that exceeds what is left of the "
        "monthly budget needs it. One of the two is a person who did not request the purchase; an API client cannot be this person."
    )
    monthly_budget_minor: Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX, strict=True)] | None = Field(
        None,
        description="How much purchases and expansions of a calendar month may add to the recurring net amount of a period, in minor "
        "units of the currency of the subscription; null: any amount. Without a second approver, a purchase above it is refused. "
        "Expansions are limited to what is left of it; one that seats decides at the same moment as a purchase can exceed it.",
    )

    @model_validator(mode="after")
    def _with_budget(self) -> "PurchaseSettingsBody":
        if self.second_approver == "above_budget" and self.monthly_budget_minor is None:
            raise WrongFields({"monthly_budget_minor": None}, "an amount, because second_approver is above_budget")
        return self


class OrderingBody(Body):
    ordering: Literal["self_service", "by_request"] | None = Field(description="null: as the plan of the tenant says.")


class RequestedChange(Body):
    """More licences of a module, or fewer."""

    module: ModuleName
    add: Annotated[int, Field(ge=0, le=LICENCES_MAX, strict=True)] = Field(0, description="The number of licences to add.")
    reduce: Annotated[int, Field(ge=0, le=LICENCES_MAX, strict=True)] = Field(0, description="The number of licences to reduce by.")

    @model_validator(mode="after")
    def _one_of(self) -> "RequestedChange":
        if bool(self.add) == bool(self.reduce):
            raise WrongFields({"add": self.add, "reduce": self.reduce}, "exactly one of add and reduce, at least 1")
        return self


class EstimatedChange(RequestedChange):
    unit_price_minor: Annotated[int, Field(ge=0, le=PRICE_MINOR_MAX, strict=True)] | None = Field(
        None, description="The net price of one licence for a whole period, in minor units; without it, that of the present price list."
    )

    @model_validator(mode="after")
    def _priced(self) -> "EstimatedChange":
        if self.unit_price_minor is not None and not self.add:
            raise WrongFields({"unit_price_minor": self.unit_price_minor}, "only for licences to add")
        return self


def _each_once(items: list[Any]) -> list[Any]:
    if (place := _repeated(item.module for item in items)) is not None:
        raise WrongFields({f"{place}.module": items[place].module}, "each module only once")
    return items


class ContactBody(Body):
    """The person to contact about a request."""

    name: Line
    email: EmailStr
    phone: Annotated[str, StringConstraints(max_length=50, strip_whitespace=True, pattern=_PRINTABLE), AfterValidator(plain)] = ""


class PurchaseRequestBody(Body):
    """What a customer needs. Contact and company stay in invoicing."""

    company: Line
    contact: ContactBody
    message: Message = Field("", description="Anything else to say.")
    items: Annotated[list[RequestedChange], AfterValidator(_each_once)] = Field(min_length=1, max_length=100)


class EstimateBody(Body):
    """What the vendor offers for a request."""

    items: Annotated[list[EstimatedChange], AfterValidator(_each_once)] = Field(min_length=1, max_length=100)
    valid_until: Day | None = Field(
        None, lt=date(3000, 1, 1), description="The last day on which it can be approved; without it, 30 days from today."
    )
    note: Message = Field("", description="What to say about it.")
    discounts: list[DiscountBody] = Field(
        default_factory=list,
        max_length=10,
        description="They hold for the subscription from the approval on. `periods` are counted from the first period that begins after "
        "the approval.",
    )


class DeclineBody(Body):
    reason: Line = Field(description="Why the vendor declines the request. The customer gets the reason.")


class ReductionTotal(Body):
    module: ModuleName
    total: Annotated[int, Field(ge=0, le=LICENCES_MAX, strict=True)] = Field(
        description="The number of licences to have. 0 closes the pool of a module that is not the last base module."
    )


class ReductionBody(Body):
    items: list[ReductionTotal] = Field(min_length=1, max_length=100)


class PaymentBody(Body):
    """A payment that the vendor received for an invoice, or a payout of a credit note."""

    invoice: Id = Field(description="The invoice that was paid, or the credit note that was paid out.")
    amount_minor: int = Field(
        ge=1, le=AMOUNT_MINOR_MAX, strict=True, description="In minor units of the currency. At most what is open of the document."
    )
    currency: Currency
    paid_on: Day = Field(ge=date(1970, 1, 1), description="The day of the payment, not later than today in the tenant's time zone.")
    reference: Note = Field(
        "", description="How to find the payment again, for example the reference of the bank. It is stored in invoicing only."
    )


class TakeBackBody(Body):
    reason: Line = Field(description="Why the payment no longer counts, for example `booked on the wrong invoice`.")


class OverdueActionBody(Body):
    action: Literal["none", "no_purchases", "operator_decides"] = Field(
        description="What the last reminder of an overdue invoice leads to. no_purchases: nothing can be bought and no module is expanded "
        "until the balance is settled. operator_decides: the operator gets an e-mail, and can then set no_purchases."
    )

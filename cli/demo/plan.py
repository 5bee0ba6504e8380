"""The plan of a demo: a TOML file with the tenant, modules, profiles, dates and purchases.

`examples/adventure-works.toml` shows every table. Money is text ("12.00") or a whole number, never a float.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, ValidationError, field_validator, model_validator

from cli.console import CliError
from cli.demo.happenings import changes_after
from shared.countries import Country
from shared.hr_files.company import Company
from shared.schemas.base import Currency, Id, ModuleName
from shared.schemas.faults import WrongFields, field_of, first_faults, once_per_field
from shared.schemas.seats_v1 import Policies

EVERY_OTHER = "*"
SHARE_WITHOUT_A_PLAN = 95  # licences for that many of a hundred people
DAYS_WITHOUT_A_PLAN = 28
SHOWN_MAX = 200  # characters of a wrong value


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError('expected money as a text ("12.00"), because a float cannot hold it')
    return value


Money = Annotated[Decimal, BeforeValidator(_no_float), Field(ge=0, max_digits=12, decimal_places=2)]


def money_words(minor: int) -> str:
    """1234 -> `12.34`."""
    return f"{Decimal(minor).scaleb(-2):.2f}"


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TenantPlan(Table):
    """The tenant of the demo, as the plan file names it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    time_zone: str = "UTC"
    country: Country = "DE"
    street: str = "1 Main Street"
    postcode: str = "10000"
    city: str = "Capital"
    vat_percent: Annotated[str, BeforeValidator(_no_float), Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,4})?$")] = "0"
    currency: Currency = "EUR"
    contact_email: EmailStr = "licences@example.com"
    buyer_reference: str = ""
    electronic_address: str = ""
    support_contact: EmailStr = "support@example.com"

    @property
    def is_untaxed(self) -> bool:
        return Decimal(self.vat_percent) == 0

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("expected a time zone of the IANA database, such as Europe/Copenhagen") from error
        return value


class SubscriptionPlan(Table):
    term: Literal["monthly", "annual"] = "monthly"
    starts: date
    billed_until: date | None = None
    charge_when: Literal["threshold", "now", "next_invoice"] = "now"


class ModulePlan(Table):
    title: str
    base: bool = False
    price: Money
    licences: Annotated[int, Field(ge=1)]
    policies: Policies = Policies()

    @property
    def price_minor(self) -> int:
        return int(self.price.scaleb(2))


class ProfilePlan(Table):
    title: str
    modules: tuple[ModuleName, ...]
    partial: bool = False
    departments: tuple[str, ...]  # "*": every department that no other profile names


class Dates(Table):
    hired_on: date
    until: date
    opened_on: date | None = None  # default: the first day of the subscription
    at: time = time(9)  # local time of everything that happens

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until < self.hired_on:
            raise WrongFields({"until": self.until}, f"hired_on, {self.hired_on}, or a later day")
        return self


class Purchase(Table):
    """A purchase. `document_format`: the tenant chooses this format for its documents before it buys."""

    on: date
    add: Mapping[ModuleName, Annotated[int, Field(ge=1)]]
    document_format: Literal["factur_x", "xrechnung_cii", "xrechnung_ubl", "peppol_bis"] | None = None


class Statistics(Table):
    """The expected statistics at the end. Those that are missing are not compared."""

    hired: int | None = None
    active: int | None = None
    flagged: int | None = None
    revoked: int | None = None
    refused: int | None = None
    invoices: int | None = None
    net: Money | None = None


class Plan(Table):
    """A plan file: the tenant, its subscription, people and purchases, and the expected numbers."""

    tenant: TenantPlan
    subscription: SubscriptionPlan
    modules: Annotated[Mapping[ModuleName, ModulePlan], Field(min_length=1)]
    profiles: Annotated[Mapping[Id, ProfilePlan], Field(min_length=1)]
    dates: Dates
    purchases: tuple[Purchase, ...] = ()
    expected: Statistics = Statistics()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not any(module.base for module in self.modules.values()):
            raise WrongFields({"modules": ", ".join(self.modules)}, "modules with at least one base module (base = true) among them")
        known, modules = set(self.modules), f"modules of the plan: {', '.join(sorted(self.modules))}"
        for name, profile in self.profiles.items():
            if unknown := set(profile.modules) - known:
                raise WrongFields({f"profiles.{name}.modules": ", ".join(sorted(unknown))}, modules)
        for number, purchase in enumerate(self.purchases):
            if unknown := set(purchase.add) - known:
                raise WrongFields({f"purchases.{number}.add": ", ".join(sorted(unknown))}, modules)
            if not self.dates.hired_on <= purchase.on <= self.dates.until:
                raise WrongFields({f"purchases.{number}.on": purchase.on}, f"a day from {self.dates.hired_on} to {self.dates.until}")
        if self.subscription.starts > self.dates.hired_on:
            raise WrongFields(
                {"subscription.starts": self.subscription.starts}, f"dates.hired_on, {self.dates.hired_on}, or an earlier day"
            )
        named = set[str]()
        for name, profile in self.profiles.items():
            if twice := named & set(profile.departments):
                expected = "departments that no other profile names"
                raise WrongFields({f"profiles.{name}.departments": ", ".join(sorted(twice))}, expected)
            named |= set(profile.departments)
        return self

    def instant(self, day: date) -> datetime:
        """Return that day at the plan's local time, in UTC."""
        return datetime.combine(day, self.dates.at, ZoneInfo(self.tenant.time_zone)).astimezone(UTC)

    @property
    def opened_on(self) -> date:
        return self.dates.opened_on or self.subscription.starts

    def mapping(self, departments: tuple[str, ...]) -> dict[str, str]:
        """Return department -> profile. Departments that no profile names are left out: their people get no profile."""
        rest = next((name for name, profile in self.profiles.items() if EVERY_OTHER in profile.departments), None)
        named = {department: name for name, profile in self.profiles.items() for department in profile.departments}
        found = {department: named.get(department, rest) for department in departments}
        return {department: profile for department, profile in found.items() if profile is not None}

    def days(self, company: Company) -> list[date]:
        """Return every day after the hires on which the plan or the files have an event, and the last day."""
        days = {purchase.on for purchase in self.purchases} | {self.dates.until}
        days |= {each.day for each in changes_after(company, self.dates.hired_on, self.dates.until)}
        return sorted(day for day in days if day > self.dates.hired_on)


def read_plan(path: Path, company: Company) -> Plan:
    """Raises CliError naming the wrong field, or the department that the folder does not have."""
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
        plan = Plan.model_validate(raw)
    except OSError as error:
        raise CliError(f"the plan {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CliError(f"the plan {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(map(_fault_text, once_per_field(first_faults(error))))
        raise CliError(f"the plan {path} is not valid: {wrong}", "examples/adventure-works.toml shows every table.") from error
    named = {department for profile in plan.profiles.values() for department in profile.departments} - {EVERY_OTHER}
    if unknown := sorted(named - set(company.departments)):
        raise CliError(f"the plan {path} names departments that are not in the folder: {', '.join(unknown)}")
    return plan


def _fault_text(fault: Mapping[str, Any]) -> str:
    """Return the field, its value and what is expected."""
    given = "" if fault["type"] in ("missing", "extra_forbidden") else f" (got {str(fault['input'])[:SHOWN_MAX]!r})"
    return f"{field_of(fault) or 'plan'}: expected {fault['expected']}{given}"


def plan_without_file(company: Company) -> Plan:
    """Return a plan: one base module for everybody, licences for 95 % of the people, and four weeks from the day after the last hire."""
    if not company.people:
        raise CliError("the folder has no valid person", "See the invalid rows above.")
    hired_on = max(person.periods[-1].first for person in company.people) + timedelta(days=1)
    heads = sum(person.employed_on(hired_on) for person in company.people)
    raw: dict[str, Any] = {
        "tenant": {"name": company.name.replace("-", " ").title()},
        "subscription": {"term": "annual", "starts": hired_on.replace(day=1)},
        "modules": {
            "product": {"title": "The product", "base": True, "price": "120.00", "licences": max(1, heads * SHARE_WITHOUT_A_PLAN // 100)}
        },
        "profiles": {"everybody": {"title": "Everybody", "modules": ["product"], "departments": [EVERY_OTHER]}},
        "dates": {"hired_on": hired_on, "until": hired_on + timedelta(days=DAYS_WITHOUT_A_PLAN)},
    }
    return Plan.model_validate(raw)

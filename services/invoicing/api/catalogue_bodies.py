"""The catalogue as one body: modules, and plans with the prices of each module."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints, model_validator

from services.invoicing.api.requests import STEPS_MAX, Body, Currency, Line, Pricing, ascending, check_limits
from services.invoicing.domain.prices import PRICE_MINOR_MAX
from shared.schemas.base import Id, ModuleName
from shared.schemas.faults import WrongFields
from shared.schemas.policies import LICENCES_MAX
from shared.web.rest import Day

EXAMPLE = "a decimal number such as 12.00"
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
_WHOLE = re.compile(r"[0-9]{1,9}")


def _decimal(value: object) -> object:
    """Refuse what Python reads as a number and people do not write as one: 1_000, 1e3, other digits than 0 to 9."""
    if isinstance(value, bool) or (isinstance(value, str) and not _DECIMAL.fullmatch(value)):
        raise ValueError(f"expected {EXAMPLE}")
    return value


def _whole(value: object) -> object:
    """Read a number as a file has it: with the digits 0 to 9 alone."""
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


Price = Annotated[
    Decimal,
    BeforeValidator(_decimal, json_schema_input_type=Decimal),
    Field(ge=0, le=PRICE_MINOR_MAX, description=f"The price of one licence for a whole period: {EXAMPLE}."),
]
FromFile = BeforeValidator(_whole, json_schema_input_type=int | str)
Number = Annotated[int, FromFile, Field(ge=1, le=LICENCES_MAX, strict=True)]


class ModuleOfFile(Body):
    name: Line
    base: StrictBool = Field(False, description="True for a module that a person needs to be a user at all.")
    requires: list[ModuleName] = Field(default_factory=list, max_length=50, description="Modules that this module requires.")


class StepOfFile(Body):
    """The price of the licences from the step before it up to a number."""

    up_to: Number
    price: Price


class Tariff(Body):
    """A price that depends on the number of licences."""

    price: Price = Field(description="The price of a licence above the last step.")
    steps: Annotated[list[StepOfFile], AfterValidator(ascending)] = Field(default_factory=list, max_length=STEPS_MAX)
    pricing: Pricing = "graduated"
    included: Annotated[
        int, FromFile, Field(ge=0, le=LICENCES_MAX, strict=True, description="Licences that cost nothing. They count for the steps.")
    ] = 0


def _tariff(value: object) -> object:
    """Let a price that is the same for every licence be a number alone."""
    return value if value is None or isinstance(value, dict | Tariff) else {"price": value}


SoldPrice = Annotated[
    Tariff | None,
    BeforeValidator(_tariff, json_schema_input_type=Decimal | Tariff | None),
    Field(description=f"{EXAMPLE.capitalize()}, or `price`, `steps` (with `up_to` and `price`), `pricing` and `included`."),
]


class SoldModule(Body):
    """The prices of a module in a plan, and how many licences of it the plan allows."""

    monthly: SoldPrice = None
    annual: SoldPrice = None
    minimum: Number = 1
    maximum: Number | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "SoldModule":
        if self.monthly is None and self.annual is None:
            raise WrongFields({"monthly": None, "annual": None}, "a price: monthly, annual, or both")
        check_limits(self.minimum, self.maximum)
        return self


class PlanOfFile(Body):
    """A plan with the prices of its modules."""

    name: Line
    currency: Currency
    allows_extra_licences: StrictBool = True
    ordering: Literal["self_service", "by_request"] = "self_service"
    holds_from: Day | None = Field(
        None,
        ge=date(1970, 1, 1),
        lt=date(3000, 1, 1),
        description="New subscriptions take these prices from this day on; without it, at once.",
    )
    modules: dict[ModuleName, SoldModule] = Field(min_length=1, max_length=250)


class CatalogueBody(Body):
    """The catalogue. Modules and plans that are not in it stay as they are."""

    version: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = Field(
        None, description="The version of the catalogue that was read before. If it is another one by now, nothing is applied (409)."
    )
    modules: dict[ModuleName, ModuleOfFile] = Field(default_factory=dict, max_length=500)
    plans: dict[Id, PlanOfFile] = Field(default_factory=dict, max_length=500)

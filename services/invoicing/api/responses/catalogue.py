"""The bodies of responses about modules and plans."""

from collections.abc import Sequence
from datetime import date

from pydantic import BaseModel, Field

from shared.schemas.base import Actor, Change, Instant
from shared.schemas.invoicing_v1 import (
    ModuleLimits,
    PlanDefined,
    UnitPrice,
)


class ModuleView(BaseModel):
    module: str
    name: str
    base: bool
    requires: list[str]


class LaterListView(BaseModel):
    """A price list that is defined, and holds from a later day on."""

    version: int
    holds_from: date
    prices: tuple[UnitPrice, ...]
    limits: tuple[ModuleLimits, ...]

    @classmethod
    def of(cls, event: PlanDefined) -> "LaterListView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class PlanView(BaseModel):
    """A plan and its price list."""

    plan: str
    name: str
    currency: str
    allows_extra_licences: bool
    ordering: str = Field(description="self_service, or by_request: licences are added and reduced by requests to the vendor.")
    version: int = Field(description="The version of the price list. A quote names the version with which it was made.")
    holds_from: date | None = Field(
        description="New subscriptions take the list from this day on; null: since it was defined. A running one takes it at a renewal."
    )
    prices: tuple[UnitPrice, ...]
    limits: tuple[ModuleLimits, ...] = Field(description="How many licences of a module the plan allows; without limits, any number.")

    @classmethod
    def of(cls, event: PlanDefined) -> "PlanView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class ListedPlanView(PlanView):
    """A plan with the price list that is in force today. Of a plan that is not sold yet, it is the first one."""

    later: list[LaterListView] = Field(description="The lists that replace it on a later day, in the order of these days.")

    @classmethod
    def of_lists(cls, lists: Sequence[PlanDefined]) -> "ListedPlanView":
        first, *later = lists
        return cls(**{name: getattr(first, name) for name in PlanView.model_fields}, later=[LaterListView.of(each) for each in later])


class PlanVersionView(PlanView):
    """A version of a plan's price list, and who defined it."""

    at: Instant = Field(description="When it was defined.")
    actor: Actor
    changes: tuple[Change, ...] = Field(description="The prices that differ from the version before: `module.term`, before and after.")

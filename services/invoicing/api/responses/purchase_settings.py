"""The bodies of responses about what a tenant decided about its purchases."""

from pydantic import BaseModel, Field


class PurchaseSettingsView(BaseModel):
    """What a tenant decided about its purchases."""

    second_approver: str = Field(description="none, above_budget or always: which purchases need the approval of a second person")
    monthly_budget_minor: int | None = Field(
        description="How much purchases and expansions of a calendar month may add to the recurring net amount, before discounts; null: "
        "any amount"
    )
    ordering: str | None = Field(description="self_service or by_request, as the vendor set it for the tenant; null: as the plan says")
    ordering_in_force: str = Field(description="self_service or by_request: how the tenant buys now.")
    used_minor: int = Field(description="What they have added this month, without regard to reductions and discounts.")
    left_minor: int | None = Field(description="What is left of the budget; negative if a second approver approved more.")

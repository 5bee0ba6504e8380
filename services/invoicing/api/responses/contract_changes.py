"""The bodies of responses about changes of a contract."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import orjson
from pydantic import BaseModel, Field

from services.invoicing.api.responses.reductions import shown_consequences
from services.invoicing.store.contract_changes import ContractChange
from shared.schemas.base import Actor, Change, Instant
from shared.schemas.invoicing_v1 import (
    PlanPrice,
    ReductionItem,
    SubscriptionStarted,
)
from shared.schemas.seats_v1 import Policies, WouldCancel, WouldFlag
from shared.web import etag, mark_of

_OWN: Final = ("charge_when", "credit_when", "zero_invoices", "price_notice")


class ContractChangeView(BaseModel):
    """A change of the running subscription, and what became of it."""

    change: str
    kind: str = Field(description="policies or plan")
    status: str = Field(description="offered, pending (seats has not decided yet), scheduled, completed, withdrawn or refused")
    reason: str
    detail: dict[str, Any] = Field(description="For a refused change: what seats answered.")
    changes: tuple[Change, ...] = Field(description="Each field that changes, before and after. A policy of a pool is `module.policy`.")
    by: Actor
    approved_at: Instant | None
    decided_at: Instant | None
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: ContractChange) -> "ContractChangeView":
        shown = {name: getattr(found, name) for name in ("change", "kind", "status", "reason", "by", "approved_at", "decided_at")}
        url = f"/v1/tenants/{tenant}/subscription/changes/{found.change}"
        return cls.model_validate(shown | found.content | {"detail": orjson.loads(found.detail), "status_url": url})


class PoliciesView(BaseModel):
    """The policies of a subscription and of its pools, with the changes that seats has not answered yet."""

    charge_when: str
    credit_when: str
    zero_invoices: bool
    price_notice: str = Field(description="The days between the announcement of another price list and the renewal that takes it.")
    modules: dict[str, dict[str, Any]] = Field(description="The policies of each pool. A policy that has no value is left out.")
    own_etag: str = Field("", description="The ETag of the policies of the subscription alone, without those of the pools.")
    module_etags: dict[str, str] = Field(default_factory=dict, description="The ETag of the policies of each pool.")

    @classmethod
    def of(cls, contract: SubscriptionStarted, pools: Mapping[str, Policies]) -> "PoliciesView":
        own = {name: getattr(contract, name) for name in _OWN}
        return cls(**own, modules={module: pools[module].model_dump(mode="json", exclude_none=True) for module in sorted(pools)})

    def with_etags(self) -> "PoliciesView":
        """Return the same with the ETags of its parts."""
        of_modules = {module: etag(self.mark_of(module)) for module in self.modules}
        return self.model_copy(update={"own_etag": etag(self.mark_of(None)), "module_etags": of_modules})

    def mark(self) -> str:
        """Return the mark by which two states of all policies differ."""
        return mark_of(self.model_dump(include={*_OWN, "modules"}))

    def mark_of(self, module: str | None) -> str:
        """Return the mark of the policies of a pool; None: of the subscription's own."""
        own = self.model_dump(include=set(_OWN)) if module is None else self.modules.get(module, {})
        return mark_of({"module": module, "policies": own})


class PlanChangeView(BaseModel):
    """Another plan or term: what it costs and changes, and what became of it."""

    change: str
    status: str = Field(
        description="offered (not approved yet), scheduled (for the next period), completed, withdrawn, or refused (it did not fit any "
        "more when its period began)"
    )
    reason: str
    detail: dict[str, Any] = Field(description="For a refused change: the modules that did not fit.")
    plan: str
    term: str
    takes_effect: str = Field(description="now or period_end")
    takes_effect_on: date
    price: PlanPrice = Field(description="The difference for the rest of the period, and the price of the next period before and after.")
    changes: tuple[Change, ...] = Field(description="Plan, term and the policies that the plan does not allow, before and after.")
    closes: tuple[str, ...] = Field(description="Modules that the plan does not sell. They close when the change takes effect.")
    reduces: tuple[ReductionItem, ...] = Field(description="Modules of which the plan allows fewer licences: `total` is its maximum.")
    would_flag: tuple[WouldFlag, ...] | None = Field(
        description="The people who would be flagged if nothing else changed. null: seats could not answer."
    )
    would_cancel: tuple[WouldCancel, ...] | None = Field(
        description="The invited people whose reservations would end, before anybody is flagged. null: seats could not answer."
    )
    expires_at: Instant
    approved_at: Instant | None
    approve_url: str
    withdraw_url: str
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: ContractChange, *, named: bool) -> "PlanChangeView":
        """`named`: the people who would be flagged are named. A caller who sees only some departments gets their number alone."""
        url = f"/v1/tenants/{tenant}/subscription/plan-changes/{found.change}"
        terms, shown = found.content, {name: getattr(found, name) for name in ("change", "status", "reason", "expires_at", "approved_at")}
        terms |= shown_consequences(terms, named=named)
        urls = {"approve_url": f"{url}/approve", "withdraw_url": f"{url}/withdraw", "status_url": url}
        return cls.model_validate_json(orjson.dumps(terms | shown | urls | {"detail": orjson.loads(found.detail)}))

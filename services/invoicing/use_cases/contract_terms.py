"""The terms of a running subscription, and the event from which on other ones hold."""

from datetime import datetime
from typing import Any

from services.invoicing import store
from services.invoicing.domain.account import contract_after
from services.invoicing.domain.calendar import local_day
from services.invoicing.settings import Settings
from services.invoicing.use_cases.issue_invoices import book_and_issue, end_days, read_account
from services.invoicing.use_cases.publishing import publish_fact
from shared.database import UnitOfWork
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ContractChanged


async def change_terms(
    uow: UnitOfWork,
    tenant_id: str,
    settings: Settings,
    change: str,
    at: datetime,
    actor: Actor,
    changes: tuple[Change, ...],
    *,
    reason: str = "",
    cause: Envelope | None = None,
    **terms: Any,
) -> None:
    """Let the subscription have these terms from now on. Days that have ended are charged with the former ones first."""
    found = await store.subscriptions.contract(uow.connection, tenant_id)
    assert found is not None
    await end_days(uow, tenant_id, settings, local_day(at, found.time_zone), cause)
    known = await read_account(uow, tenant_id)
    about: dict[str, Any] = {"change": change, "subscription": found.subscription, "after": known.last_decision, "changes": changes}
    draft = ContractChanged(at=at, actor=actor, reason=reason, number=1, **about, **terms)
    number = await store.subscriptions.set_contract(uow.connection, tenant_id, contract_after(found, draft))
    await publish_fact(uow, tenant_id, draft.model_copy(update={"number": number}), subject=change, cause=cause)
    await book_and_issue(uow, tenant_id, settings, cause)

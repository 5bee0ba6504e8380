"""The subscription of a tenant, and its modules."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, row, rows, run
from shared.schemas.invoicing_v1 import SubscriptionStarted


async def find(c: AsyncConnection, tenant_id: str) -> RowMapping | None:
    return await row(c, "SELECT * FROM subscriptions WHERE tenant_id = :t", t=tenant_id)


async def contract(c: AsyncConnection, tenant_id: str) -> SubscriptionStarted | None:
    found = await find(c, tenant_id)
    return SubscriptionStarted.model_validate_json(found["payload"]) if found else None


async def add(c: AsyncConnection, tenant_id: str, event: SubscriptionStarted, modules: Sequence[dict[str, Any]]) -> None:
    await insert(
        c,
        tenant_id,
        "subscriptions",
        subscription=event.subscription,
        status="pending",
        payload=event.model_dump_json(),
        period_start=event.period_start,
        period_end=event.period_end,
        billed_until=event.billed_until,
    )
    for module in modules:
        await insert(c, tenant_id, "subscription_modules", **module)


async def set_status(c: AsyncConnection, tenant_id: str, status: str, reason: str = "") -> None:
    await run(c, "UPDATE subscriptions SET status = :s, reason = :r WHERE tenant_id = :t", t=tenant_id, s=status, r=reason)


async def set_period(c: AsyncConnection, tenant_id: str, start: date, end: date) -> None:
    await run(
        c,
        "UPDATE subscriptions SET period_start = :s, period_end = :e, billed_until = greatest(billed_until, :e) WHERE tenant_id = :t",
        t=tenant_id,
        s=start,
        e=end,
    )


async def modules(c: AsyncConnection, tenant_id: str) -> Sequence[RowMapping]:
    return await rows(c, "SELECT * FROM subscription_modules WHERE tenant_id = :t ORDER BY module", t=tenant_id)


async def set_opened(c: AsyncConnection, tenant_id: str, module: str) -> bool:
    """Marks the module's pool as open; returns whether every pool of the subscription is now."""
    await run(c, "UPDATE subscription_modules SET opened = true WHERE tenant_id = :t AND module = :m", t=tenant_id, m=module)
    found = await row(c, "SELECT count(*) FILTER (WHERE NOT opened) AS closed FROM subscription_modules WHERE tenant_id = :t", t=tenant_id)
    return found is not None and found["closed"] == 0

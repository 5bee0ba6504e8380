"""The vendor's catalogue: modules and price lists. Queries only; it belongs to no tenant."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import row, rows, run
from shared.schemas.invoicing_v1 import ModuleDefined, PlanDefined


async def lock(c: AsyncConnection) -> None:
    """Until the transaction ends: two changes of one plan at once would both draw the same version."""
    await run(c, "LOCK TABLE plans, modules IN SHARE ROW EXCLUSIVE MODE")


async def modules(c: AsyncConnection) -> dict[str, dict[str, object]]:
    found = await rows(c, "SELECT module, name, base, requires FROM modules ORDER BY module")
    return {module["module"]: dict(module) for module in found}


async def put_module(c: AsyncConnection, event: ModuleDefined) -> None:
    await run(
        c,
        """INSERT INTO modules (module, name, base, requires) VALUES (:m, :name, :base, :requires)
           ON CONFLICT (module) DO UPDATE SET name = :name, base = :base, requires = :requires""",
        m=event.module,
        name=event.name,
        base=event.base,
        requires=list(event.requires),
    )


async def plans(c: AsyncConnection) -> Sequence[PlanDefined]:
    """Those in force."""
    found = await rows(c, "SELECT payload FROM plans WHERE current ORDER BY plan")
    return [PlanDefined.model_validate_json(plan["payload"]) for plan in found]


async def plan(c: AsyncConnection, name: str) -> PlanDefined | None:
    found = await row(c, "SELECT payload FROM plans WHERE plan = :p AND current", p=name)
    return PlanDefined.model_validate_json(found["payload"]) if found else None


async def versions(c: AsyncConnection, name: str) -> Sequence[PlanDefined]:
    found = await rows(c, "SELECT payload FROM plans WHERE plan = :p ORDER BY version", p=name)
    return [PlanDefined.model_validate_json(plan["payload"]) for plan in found]


async def put_plan(c: AsyncConnection, event: PlanDefined) -> None:
    await run(c, "UPDATE plans SET current = false WHERE plan = :p AND current", p=event.plan)
    await run(
        c,
        "INSERT INTO plans (plan, version, current, payload) VALUES (:p, :v, true, :payload)",
        p=event.plan,
        v=event.version,
        payload=event.model_dump_json(),
    )

"""The catalogue as a file: it is read and applied as a whole."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from services.invoicing.api.catalogue_bodies import CatalogueBody
from services.invoicing.api.dependencies import Wired
from services.invoicing.use_cases.apply_catalogue import Applied, DryRun, apply_catalogue, read_catalogue
from shared.web import Principal, actor_of, operator, refusals
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

Operator = Annotated[Principal, Depends(operator())]


class CatalogueView(BaseModel):
    """The catalogue, in the form in which it can be applied."""

    version: str = Field(description="It changes with each change of the catalogue.")
    modules: dict[str, dict[str, Any]]
    plans: dict[str, dict[str, Any]]


class DifferenceView(BaseModel):
    field: str = Field(description="The field, as the file has it, for example plans.standard.modules.projects.monthly.")
    before: str | int | bool | None
    after: str | int | bool | None


class ConcernedView(BaseModel):
    plan: str
    running: int = Field(description="Running subscriptions of the plan. Those whose prices change get an e-mail.")


class AppliedView(BaseModel):
    """The changes that the catalogue of a request makes."""

    applied: bool = Field(description="false: nothing has changed, because this was a dry run or nothing differs.")
    version: str = Field(description="The version of the catalogue: before a dry run, after an application.")
    differences: list[DifferenceView]
    subscriptions: list[ConcernedView] = Field(
        description="The running subscriptions of the plans with other prices. They take them at the first renewal that is at least "
        "their `price_notice` after the e-mail, and not before `holds_from`."
    )

    @classmethod
    def of(cls, found: Applied, *, applied: bool) -> "AppliedView":
        return cls(
            applied=applied,
            version=found.version,
            differences=[DifferenceView(field=each.field, before=each.before, after=each.after) for each in found.differences],
            subscriptions=[ConcernedView(plan=plan, running=running) for plan, running in found.running.items()],
        )


router = APIRouter(route_class=CheckedRoute, tags=["catalogue"])


@router.get("/v1/catalog", summary="Get the catalogue as a file")
@costly
async def get_catalog(wiring: Wired, principal: Operator) -> CatalogueView:
    """The answer can be edited and applied (`PUT /v1/catalog`). Prices are decimal numbers in the currency of the plan."""
    async with wiring.database.unit_of_work(None) as uow:
        version, found = await read_catalogue(uow)
    return CatalogueView(version=version, **found)


@router.put("/v1/catalog", summary="Apply the catalogue, all of it or nothing", responses=refusals(409))
@costly
async def put_catalog(
    wiring: Wired,
    body: CatalogueBody,
    principal: Operator,
    dry_run: Annotated[bool, Query(description="Only show what would change.")] = False,
) -> AppliedView:
    """Modules and plans are defined or changed as `PUT /v1/modules/{module}` and `PUT /v1/plans/{plan}` do it. The same body again changes
    nothing, whatever `version` it has."""
    try:
        async with wiring.database.unit_of_work(None) as uow:
            found = await apply_catalogue(uow, body, actor_of(principal), wiring.clock.now(), dry_run=dry_run)
    except DryRun as dry:
        return AppliedView.of(dry.found, applied=False)
    return AppliedView.of(found, applied=bool(found.differences))

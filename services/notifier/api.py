"""REST of the notifier: the action log, the e-mails, and the state of the service."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from services.notifier import export, log_store
from services.notifier.context import Context
from services.notifier.log_store import Filter
from shared.errors import Invalid, NotFound
from shared.schemas.base import to_milliseconds
from shared.settlement import Settlement
from shared.web import Cursor, Limit, Page, access, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT, Moment
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly_when

Tenant = Annotated[str, Path(max_length=100)]
Name = Annotated[str | None, Query(max_length=100)]


class FiguresAnswer(BaseModel):
    """Counts (person, module): flagged now, revoked and refused over the whole run; `mails` are those sent."""

    flagged: int
    revoked: int
    refused: int
    mails: int
    mails_failed: int
    actions: int


def tenant_router(context: Context) -> APIRouter:
    router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}")
    _add_log(router, context)
    _add_mails(router, context)
    _add_state(router, context)
    return router


def _wanted(
    user: Name = None,
    type: Annotated[  # noqa: A002 - the contract's own name
        str | None, Query(max_length=100, description="Type of the entry, for example seat_flagged, person_added or licences_added.")
    ] = None,
    actor: Annotated[
        str | None,
        Query(
            max_length=100,
            description="ID of the actor. `rules` selects what happened without an actor, for example the end of a grace period.",
        ),
    ] = None,
    module: Name = None,
    since: Annotated[Moment | None, Query(alias="from", description="Start of the time range in the tenant's time (inclusive).")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="End of the time range in the tenant's time (exclusive).")] = None,
) -> Filter:
    return Filter(user, type, module, actor, since, until)


def _add_log(router: APIRouter, context: Context) -> None:
    kinds: dict[int | str, Any] = {
        200: {"content": {"text/csv": {}, "application/jsonl": {}}, "description": "The entries in the requested `format`."}
    }

    @router.get(
        "/actions",
        tags=["action log"],
        summary="List the entries of the action log",
        dependencies=[Depends(access("log:read"))],
        responses=kinds,
    )
    @costly_when(lambda request: request.query_params.get("format", "json") != "json")
    async def list_actions(
        tenant: Tenant,
        wanted: Annotated[Filter, Depends(_wanted)],
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
        format: Annotated[  # noqa: A002 - the contract's own name
            Literal["json", "csv", "jsonl"],
            Query(description="json returns one page. csv and jsonl return the whole log as a file, oldest entry first."),
        ] = "json",
        order: Annotated[
            Literal["newest", "oldest"], Query(description="Order of the entries by the tenant's time; for json only.")
        ] = "newest",
    ) -> Any:
        after = _place(cursor)
        if format != "json":
            if after is not None:
                raise Invalid(
                    "query.cursor", cursor, f"no cursor: format={format} returns the whole log in one file. Leave the parameter out."
                )
            async with context.database.unit_of_work(tenant) as uow:
                await log_store.check_tenant(uow, tenant)
            lines = export.as_csv if format == "csv" else export.as_json_lines
            return StreamingResponse(
                lines(context.database, tenant, wanted),
                media_type="text/csv; charset=utf-8" if format == "csv" else "application/jsonl",
                headers={"content-disposition": f'attachment; filename="actions.{format}"'},
            )
        async with context.database.unit_of_work(tenant) as uow:
            await log_store.check_tenant(uow, tenant)
            items = await log_store.actions(uow, tenant, wanted, after=after, limit=limit, oldest_first=order == "oldest")
        following = encode_cursor(items[-1]["at"], items[-1]["seq"]) if len(items) == limit else None
        return Page[dict[str, Any]](items=items, next=following)


def _place(cursor: str | None) -> tuple[datetime, int] | None:
    keys = decode_cursor(cursor, str, int)
    if keys is None:
        return None
    try:
        return to_milliseconds(datetime.fromisoformat(keys[0])), keys[1]
    except ValueError:
        return decode_cursor("-") and None  # refused as any cursor that is none


def _add_mails(router: APIRouter, context: Context) -> None:
    @router.get(
        "/mails", tags=["e-mails"], summary="List the e-mails of a tenant, newest first", dependencies=[Depends(access("log:read"))]
    )
    async def list_mails(
        tenant: Tenant,
        state: Literal["queued", "sending", "sent", "failed"] | None = None,
        user: Name = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[dict[str, Any]]:
        (before,) = decode_cursor(cursor, int) or (None,)
        async with context.database.unit_of_work(tenant) as uow:
            await log_store.check_tenant(uow, tenant)
            items = await log_store.mails(uow, tenant, state=state, user=user, before=before, limit=limit)
        return Page(items=items, next=encode_cursor(items[-1]["seq"]) if len(items) == limit else None)

    @router.get("/mails/{mail}", tags=["e-mails"], summary="Get an e-mail with its text", dependencies=[Depends(access("log:read"))])
    async def get_mail(tenant: Tenant, mail: Annotated[str, Path(max_length=100)]) -> dict[str, Any]:
        async with context.database.unit_of_work(tenant) as uow:
            found = await log_store.mail(uow, tenant, mail)
        if found is None:
            raise NotFound("e-mail")
        return found


def _add_state(router: APIRouter, context: Context) -> None:
    @router.get("/figures", tags=["state"], summary="Counts of this tenant", dependencies=[Depends(access("account:read"))])
    async def figures(tenant: Tenant) -> FiguresAnswer:
        async with context.database.unit_of_work(tenant) as uow:
            await log_store.check_tenant(uow, tenant)
            return FiguresAnswer(**asdict(await log_store.figures(uow, tenant)))

    @router.get("/settlement", tags=["state"], summary="Has everything been done?", dependencies=[Depends(access("operator"))])
    async def settlement(tenant: Tenant) -> Settlement:
        """Settled: both groups have read the tenant's topics to their end, nothing is being gathered, no mail waits to be sent."""
        behind = [each.group.name for each in context.consumers if not await each.at_end(tenant)]
        waiting_for = [f"{group}: topics are not read to their end" for group in behind]
        async with context.database.unit_of_work(tenant) as uow:
            clock, at = await log_store.time_of(uow, tenant)
            found = await log_store.open_work(uow, tenant)
        time = at if clock == "test" else context.clock.now()
        next_due = found.next_due(context.waiting_longest)
        if found.gathering:
            waiting_for.append(f"gathering: {found.gathering} notices")
        if found.mails:
            waiting_for.append(f"mails: {found.mails} to be sent")
        if next_due and time and next_due <= time:
            waiting_for.append(f"recipients: {found.waiting} notices are due to the administrators")
        return Settlement.of(time, waiting_for, next_due, found, *(each.positions(tenant) for each in context.consumers))

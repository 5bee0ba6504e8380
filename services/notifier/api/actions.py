"""The action log: pages of it, and the whole of it as a file."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from services.notifier.action_log import export
from services.notifier.action_log.entries import shown
from services.notifier.api.dependencies import TenantId, Wired
from services.notifier.api.requests import log_filter
from services.notifier.api.responses import Action
from services.notifier.store import recipients
from services.notifier.store.action_log import LogFilter, actions
from shared.errors import Invalid
from shared.schemas.base import format_instant, to_milliseconds
from shared.web import Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly_when

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/actions", tags=["action log"])

_FORMATS: dict[int | str, Any] = {
    200: {
        "model": Page[Action],
        "content": {"text/csv": {}, "application/jsonl": {}},
        "description": "The entries in the requested `format`.",
    }
}


@router.get("", summary="List the entries of the action log", responses=_FORMATS)
@costly_when(lambda request: request.query_params.get("format", "json") != "json")
async def list_actions(
    wiring: Wired,
    tenant: TenantId,
    wanted: Annotated[LogFilter, Depends(log_filter)],
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
    after = _after(cursor)
    if format != "json":
        if after is not None:
            raise Invalid("query.cursor", cursor, f"no cursor: format={format} returns the whole log in one file. Leave the parameter out.")
        async with wiring.database.unit_of_work(tenant) as uow:
            await recipients.check_tenant(uow.connection, tenant)
        lines = export.as_csv if format == "csv" else export.as_json_lines
        return StreamingResponse(
            lines(wiring.database, tenant, wanted),
            media_type="text/csv; charset=utf-8" if format == "csv" else "application/jsonl",
            headers={"content-disposition": f'attachment; filename="actions.{format}"'},
        )
    async with wiring.database.unit_of_work(tenant) as uow:
        await recipients.check_tenant(uow.connection, tenant)
        rows = await actions(uow.connection, tenant, wanted, after=after, limit=limit, oldest_first=order == "oldest")
    following = encode_cursor(format_instant(rows[-1].at), rows[-1].seq) if len(rows) == limit else None
    return Page[Action](items=[Action(**shown(row)) for row in rows], next=following)


def _after(cursor: str | None) -> tuple[datetime, int] | None:
    """Return time and number of the last entry of the page before. Raises Invalid."""
    keys = decode_cursor(cursor, str, int)
    if keys is None:
        return None
    try:
        return to_milliseconds(datetime.fromisoformat(keys[0])), keys[1]
    except ValueError as error:
        raise Invalid("query.cursor", cursor, "the `next` of an earlier page") from error

"""Files for accountants: the documents of a range of days."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired
from services.invoicing.api.responses.exports import DifferenceView, VerificationView
from services.invoicing.documents.export import (
    DATEV_CURRENCY,
    DATEV_ENCODING,
    Exported,
    archive,
    csv_head,
    csv_rows,
    datev_head,
    datev_rows,
)
from services.invoicing.store.exports import ExportedRow
from services.invoicing.use_cases.verify import verify
from services.invoicing.wiring import Wiring
from shared.errors import Conflict, Invalid
from shared.web import access, operator, refusals
from shared.web.rest import Day
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

DAYS_MAX = 366
DOCUMENTS_MAX = 50_000
PAGE, PAGE_WITH_FILES = 500, 20

DIFFERENCES_MAX = 100  # of one answer; all are counted

router = APIRouter(route_class=CheckedRoute, tags=["invoices"])
Format = Annotated[
    Literal["csv", "datev", "zip"],
    Path(description="csv (a row for each tax of a document), datev (EXTF booking batch) or zip (PDF and XML of each document)"),
]
From = Annotated[Day, Query(alias="from", description="The first day of issue.")]
To = Annotated[Day, Query(alias="to", description=f"The last day of issue; at most {DAYS_MAX} days in all.")]
MEDIA: dict[str, tuple[str, str]] = {
    "csv": ("text/csv; charset=utf-8", "documents.csv"),
    "datev": (f"text/csv; charset={DATEV_ENCODING}", "EXTF_Buchungsstapel.csv"),
    "zip": ("application/zip", "documents.zip"),
}
FILE: dict[str, Any] = {"content": {"text/csv": {}, "application/zip": {}}, "description": "The file."}
FILES: dict[int | str, dict[str, Any]] = {200: FILE, **refusals(409)}


@router.get(
    "/v1/tenants/{tenant}/exports/{format}",
    summary="Export the documents of a tenant",
    dependencies=[Depends(access("account:read"))],
    response_class=StreamingResponse,
    responses=FILES,
)
@costly
async def export_tenant(wiring: Wired, tenant: TenantId, format: Format, first: From, last: To) -> StreamingResponse:  # noqa: A002 - its name in the path
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
    return await _export(wiring, tenant, format, first, last)


@router.get(
    "/v1/exports/{format}",
    summary="Export the documents of all tenants, without test documents",
    dependencies=[Depends(operator())],
    response_class=StreamingResponse,
    responses=FILES,
)
@costly
async def export_all(wiring: Wired, format: Format, first: From, last: To) -> StreamingResponse:  # noqa: A002 - its name in the path
    return await _export(wiring, None, format, first, last)


@router.get(
    "/v1/tenants/{tenant}/verification",
    summary="Verify the documents of a tenant",
    dependencies=[Depends(access("operator"))],
    responses=refusals(409),
)
@costly
async def verify_documents(wiring: Wired, tenant: TenantId) -> VerificationView:
    """Every document is rebuilt from the events and compared with the stored one, byte for byte. Every PDF is compared with its checksum,
    and what is open of a document with its payments. Nothing is changed."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await verify(uow, tenant)
    differences = [DifferenceView(**asdict(each)) for each in found.differences]
    return VerificationView(
        documents=found.documents, pdfs=found.pdfs, different=len(differences), differences=differences[:DIFFERENCES_MAX]
    )


async def _export(wiring: Wiring, tenant: str | None, kind: str, first: date, last: date) -> StreamingResponse:
    if last < first:
        raise Invalid("query.to", last.isoformat(), f"{first}, the value of from, or a later day")
    if (last - first).days >= DAYS_MAX:
        raise Invalid("query.to", last.isoformat(), f"at most {DAYS_MAX} days from {first} on")
    if kind == "datev" and first.year != last.year:
        raise Invalid("query.to", last.isoformat(), f"a day of {first.year}: a booking batch lies in one fiscal year")
    async with wiring.database.unit_of_work(tenant) as uow:
        counted = await store.exports.count(uow.connection, tenant, first, last)
    if (number := sum(counted.values())) > DOCUMENTS_MAX:
        detail = f"The range has {number} documents; at most {DOCUMENTS_MAX} are exported at once. Choose a shorter range."
        raise Conflict("export-too-large", detail, documents=number)
    if kind == "datev" and (other := sorted(set(counted) - {DATEV_CURRENCY})):
        detail = f"The range has documents in {', '.join(other)}, and a booking batch is in {DATEV_CURRENCY}. Export them as csv."
        raise Conflict("export-currency", detail, currencies=other)
    media, name = MEDIA[kind]
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_stream(wiring, tenant, kind, first, last), media_type=media, headers=headers)


async def _stream(wiring: Wiring, tenant: str | None, kind: str, first: date, last: date) -> AsyncIterator[bytes]:
    documents = _documents(wiring, tenant, first, last, files=kind == "zip")
    if kind == "zip":
        async for piece in archive(documents):
            yield piece
        return
    accounts = wiring.settings.datev_accounts
    yield csv_head() if kind == "csv" else datev_head(accounts, first, last, wiring.clock.now())
    async for found in documents:
        yield csv_rows(found) if kind == "csv" else datev_rows(found, accounts)


async def _documents(wiring: Wiring, tenant: str | None, first: date, last: date, *, files: bool) -> AsyncIterator[Exported]:
    """Yield the documents. Each page is a transaction of its own, so a slow reader holds no connection."""
    after: ExportedRow | None = None
    limit = PAGE_WITH_FILES if files else PAGE
    while True:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await store.exports.page(uow.connection, tenant, first, last, after, limit, files=files)
        for row in found:
            yield row.exported
        if len(found) < limit:
            return
        after = found[-1]

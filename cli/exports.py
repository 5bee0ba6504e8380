"""`seatpool invoices verify` and `seatpool invoices export`."""

import sys
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import orjson
import typer
from rich.table import Table

from cli.console import counted, err, out, run
from cli.rest import Rest, addresses

EXPORT_TIMEOUT_SECONDS = 300.0  # until the next piece of a file


def verify(tenant: str | None, as_json: bool) -> int:
    """Show what differs, and return the exit code: 1 if anything does."""
    found = run(_verify(tenant))
    differences = [(name, each) for name, answer in found.items() for each in answer["differences"]]
    documents, pdfs, different = (sum(answer[what] for answer in found.values()) for what in ("documents", "pdfs", "different"))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    elif differences:
        table = Table()
        for column in ("tenant", "document", "number", "difference"):
            table.add_column(column, no_wrap=column in ("document", "number"))
        for name, each in differences:
            table.add_row(name, each["invoice"], each["number"], each["what"])
        out.print(table)
    if not as_json:
        compared = f"{counted(documents, 'document')} and {counted(pdfs, 'PDF')} of {counted(len(found), 'tenant')} were compared"
        out.print(f"{compared}; {different} {'differs' if different == 1 else 'differ'}.", markup=False)
    return 1 if different else 0


async def _verify(tenant: str | None) -> dict[str, Any]:
    async with Rest(addresses(), httpx.AsyncClient(timeout=EXPORT_TIMEOUT_SECONDS)) as rest:
        tenants = [tenant] if tenant else [each["tenant"] for each in await rest.pages("users", "/v1/tenants")]
        return {name: await rest.get("invoicing", f"/v1/tenants/{name}/verification") for name in tenants}


def export(file: Path, tenant: str | None, kind: str, first: str, last: str) -> None:
    """Write the export piece by piece. A file that could not be written completely is removed."""
    if str(file) == "-":
        run(_export(sys.stdout.buffer, tenant, kind, first, last))
        return
    done = False
    try:
        with file.open("wb") as target:
            size = run(_export(target, tenant, kind, first, last))
            done = True
    finally:
        if not done:
            file.unlink(missing_ok=True)
    err.print(f"{file}: {size} bytes", markup=False)


async def _export(target: BinaryIO, tenant: str | None, kind: str, first: str, last: str) -> int:
    """Write the export to an open file, and return its size."""
    path, size = f"/v1/tenants/{tenant}/exports/{kind}" if tenant else f"/v1/exports/{kind}", 0
    async with Rest(addresses(), httpx.AsyncClient(timeout=EXPORT_TIMEOUT_SECONDS)) as rest:
        async for piece in rest.stream("invoicing", path, {"from": first, "to": last}):
            target.write(piece)
            size += len(piece)
    return size

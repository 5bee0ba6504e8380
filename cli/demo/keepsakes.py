"""The files that a demo leaves behind, because its stack ends with it: invoices, action log, e-mails, API documents and the story."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson

from cli.demo.stage import Snapshot, Stage
from cli.names import SERVICES
from cli.rest import TIMEOUT_SECONDS


async def save(stage: Stage, snapshots: Sequence[Snapshot], mailbox: str, folder: Path) -> dict[str, str]:
    """Save the files, and return name -> path for the closing panel."""
    _empty(folder)
    saved: dict[str, str] = {}
    for invoice in await stage.pages("invoicing", "invoices"):
        pdf = await stage.rest.call("GET", "invoicing", stage.path(f"invoices/{invoice['invoice']}/pdf"))
        path = folder / f"invoice-{invoice['number']}.pdf"
        path.write_bytes(pdf.content)
        saved[f"invoice {invoice['number']}"] = str(path)
        if invoice["xml_url"] is not None:
            xml = await stage.rest.call("GET", "invoicing", stage.path(f"invoices/{invoice['invoice']}/xml"))
            path.with_suffix(".xml").write_bytes(xml.content)
    log = await stage.rest.call("GET", "notifier", stage.path("actions"), params={"format": "csv"})
    saved["action log"] = _write(folder / "action-log.csv", log.content)
    for service in SERVICES:
        _write(folder / f"openapi-{service}.json", (await stage.rest.call("GET", service, "/openapi.json")).content)
    saved["API documents"] = str(folder / "openapi-*.json")
    if mailbox:
        saved["e-mails"] = _write(folder / "mails.json", orjson.dumps(await read_mailbox(mailbox), option=orjson.OPT_INDENT_2))
    saved["the story"] = _write(folder / "story.json", orjson.dumps(list(snapshots), option=orjson.OPT_INDENT_2))
    return saved


def _empty(folder: Path) -> None:
    """Remove the files of an earlier demo. Folders in it belong to somebody else and stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_file():
            old.unlink()


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


async def read_mailbox(url: str) -> list[dict[str, Any]]:
    """Return every e-mail with its text, oldest first."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS) as http:
        summaries = (await http.get("/api/messages")).raise_for_status().json()
        return [(await http.get(f"/api/messages/{mail['id']}")).raise_for_status().json() for mail in reversed(summaries)]

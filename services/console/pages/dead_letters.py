"""Dead letters of all services: list them, look at their bytes, retry and discard them."""

import base64
import binascii
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Path, Query, Response

from services.console.pages.forms import Form
from services.console.pages.operator import OPERATORS_NAMED, OperatorPage, names_of_operators
from services.console.pages.page import Page
from services.console.pages.route import PageRoute
from services.console.rendering.navigation import N_
from services.console.rendering.technical_texts import reason_text
from services.console.rest.problems import Refusal

router = APIRouter(route_class=PageRoute, prefix="/operator/dead-letters", include_in_schema=False)

SERVICES: Final = ("users", "invoicing", "notifier")  # seats answers every command; notifier lists those that it rejected
ANSWERED_GROUP: Final = "seats"  # of a rejected command, which nobody can retry
STATUSES: Final = {
    "open": N_("open"),
    "waiting": N_("waits behind another one"),
    "ready": N_("is processed next"),
    "done": N_("processed"),
    "discarded": N_("discarded"),
    "all": N_("all"),
}
TONES: Final = {"open": "bad", "waiting": "warning", "ready": "info", "done": "good", "discarded": ""}
SHOWN_MAX: Final = 50
BYTES_SHOWN_MAX: Final = 64 * 1024
Service = Annotated[Literal["users", "invoicing", "notifier"], Path()]
Letter = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("")
async def list_letters(
    page: OperatorPage,
    service: Annotated[str, Query(max_length=20)] = "",
    status: Annotated[str, Query(max_length=20)] = "open",
    tenant: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show the dead letters of all services, or those of one, which has pages."""
    status = status if status in STATUSES else "open"
    asked = [name for name in SERVICES if service in ("", name)] or list(SERVICES)
    at = cursor if len(asked) == 1 else ""
    query: dict[str, Any] = {"status": status, "tenant": tenant.strip(), "cursor": at, "limit": SHOWN_MAX}
    parts = await page.together(*(page.get(name, "/v1/operator/dead-letters", **query) for name in asked))
    found = dict(zip(asked, parts, strict=True))
    letters = [{"service": name, **each} for name, part in found.items() if part.ok for each in part.value["items"]]
    return page.render(
        "operator_dead_letters.html",
        letters=sorted(letters, key=lambda each: each["created_at"], reverse=len(asked) > 1),
        missing={name: part for name, part in found.items() if not part.ok},
        more=[name for name, part in found.items() if part.ok and part.value["next"]],
        next=parts[0].value["next"] if len(asked) == 1 and parts[0].ok else None,
        services=SERVICES,
        statuses=STATUSES,
        tones=TONES,
        reason_of=lambda reason: reason_text(reason, page.gettext),
        chosen={"service": service, "status": status, "tenant": tenant.strip()},
        cursor=at,
    )


@router.get("/{service}/{letter}")
async def show_letter(page: OperatorPage, service: Service, letter: Letter) -> Response:
    """Show a dead letter with its bytes."""
    return await _show(page, service, letter, None)


async def _show(page: Page, service: str, letter: int, form: Form | None, status: int = 200) -> Response:
    part, operators = await page.together(
        page.get(service, f"/v1/operator/dead-letters/{letter}"), page.get("users", "/v1/operators", limit=OPERATORS_NAMED)
    )
    found = part.need()
    value = _decoded(found.get("value_base64"))
    return page.render(
        "operator_dead_letter.html",
        status,
        service=service,
        letter=found,
        operators=names_of_operators(operators),
        value=readable(value[:BYTES_SHOWN_MAX]),
        size=len(value),
        is_cut=len(value) > BYTES_SHOWN_MAX,
        key=_decoded(found.get("key_base64")).decode(errors="replace"),
        can_discard=found["status"] == "open",
        can_retry=found["status"] == "open" and found["group"] != ANSWERED_GROUP,
        statuses=STATUSES,
        tones=TONES,
        reason_of=lambda reason: reason_text(reason, page.gettext),
        form=form,
    )


def _decoded(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "")
    except binascii.Error:
        return b""


def readable(value: bytes) -> str:
    """Return JSON with indents, other text as it is, and anything else as hexadecimal numbers beside its letters."""
    try:
        return orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        pass
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if all(letter.isprintable() or letter in "\n\r\t" for letter in text):
        return text
    rows = [value[at : at + 16] for at in range(0, len(value), 16)]
    return "\n".join(
        f"{number * 16:06x}  {row.hex(' '):<47}  {''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in row)}"
        for number, row in enumerate(rows)
    )


@router.post("/{service}/{letter}/retry")
async def retry_letter(page: OperatorPage, service: Service, letter: Letter) -> Response:
    """Process the message again."""
    url = f"/operator/dead-letters/{service}/{letter}"
    try:
        answer: dict[str, Any] = await page.send("POST", service, f"/v1/operator/dead-letters/{letter}/retry")
    except Refusal as refusal:
        page.form.refuse(refusal.problem)
        return await _show(page, service, letter, page.form, 409)
    if answer["status"] != "done":
        text = page.gettext("It failed again: %(reason)s", reason=reason_text(answer["reason"], page.gettext))
        return page.redirect(url, text, "bad")
    return page.redirect(url, page.gettext("The message was processed. What waited behind it is processed now."))


@router.post("/{service}/{letter}/discard")
async def discard_letter(page: OperatorPage, service: Service, letter: Letter) -> Response:
    """Give the message up, with a reason."""
    form = page.form
    reason = form.text("reason", page.gettext("Enter a reason of at most 500 characters."), most=500)
    if form.ok:
        body = {"reason": reason, "genuine": form["genuine"] == "yes"}
        try:
            await page.send("POST", service, f"/v1/operator/dead-letters/{letter}/discard", body)
        except Refusal as refusal:
            form.refuse(refusal.problem)
    if not form.ok:
        return await _show(page, service, letter, form, 422)
    return page.redirect(
        f"/operator/dead-letters/{service}/{letter}", page.gettext("The message was discarded. It is kept with your reason.")
    )

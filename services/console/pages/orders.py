"""Orders: what waits for an approval, requests to the vendor, what was bought, and the monthly budget (A9, B1, M13)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.licences import names_of
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import are_blocked
from services.console.pages.route import PageRoute
from services.console.rest.services import Part
from shared.schemas.rights import ACCOUNT_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/orders", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(ACCOUNT_READ))]
Chosen = Annotated[str, Query(max_length=2000)]
SHOWN: Final = 25
QUOTES_SHOWN: Final = 20
REQUESTS_SHOWN: Final = 20
NAMED_MAX: Final = 20


@router.get("")
async def show_orders(
    page: Reading, cursor: Chosen = "", requests_cursor: Annotated[str, Query(alias="requests", max_length=2000)] = ""
) -> Response:
    """Show the orders, newest first, below what waits for somebody."""
    orders, waiting, still_open, expired, requests, settings, subscription, owed, modules = await page.together(
        page.get("invoicing", "orders", cursor=cursor, limit=SHOWN),
        page.get("invoicing", "quotes", state="waiting_for_approval", limit=QUOTES_SHOWN),
        page.get("invoicing", "quotes", state="open", limit=QUOTES_SHOWN),
        page.get("invoicing", "quotes", state="expired", limit=3),
        page.get("invoicing", "purchase-requests", cursor=requests_cursor, limit=REQUESTS_SHOWN),
        page.get("invoicing", "purchase-settings"),
        page.get("invoicing", "subscription"),
        page.get("invoicing", "balance"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    quotes = [each for part in (waiting, still_open, expired) if part.ok for each in part.value["items"]]
    return page.render(
        "orders.html",
        orders=orders.need(),
        quotes=quotes,
        without_quotes=next((part for part in (waiting, still_open, expired) if not part.ok), None),
        requests=requests,
        settings=settings,
        currency=subscription.value["currency"] if subscription.ok else None,
        is_blocked=are_blocked(owed),
        active=subscription.ok and subscription.value["status"] == "active",
        names=module_names(modules),
        people=await names_of(page, _people_of(orders, quotes), NAMED_MAX),
        cursor=cursor,
        requests_cursor=requests_cursor,
    )


def _people_of(orders: Part, quotes: Sequence[Mapping[str, Any]]) -> list[str]:
    actors = [each["requested_by"] for each in quotes]
    actors += [each["approved_by"] for each in orders.value["items"]] if orders.ok else []
    return [actor["id"] for actor in actors if actor["kind"] == "user"]

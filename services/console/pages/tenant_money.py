"""The money of one tenant, for the vendor's operators: its documents, payments, discounts, and the end of its subscription at once."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.discount_forms import AMOUNT_MAX, discount_of
from services.console.pages.forms import Form, day_of
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs_operator
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering.policy_texts import OVERDUE_ACTIONS
from services.console.rest.problems import Refusal
from services.console.rest.services import Part, url_part

router = APIRouter(route_class=PageRoute, prefix="/operator/tenants/{tenant}/money", include_in_schema=False)

OperatorPage = Annotated[Page, Depends(needs_operator())]
Chosen = Annotated[str, Query(max_length=500)]
SHOWN: Final = 50
REASON_MAX: Final = 200
REFERENCE_MAX: Final = 200


def rest(tenant: str, below: str) -> str:
    """Return a path of REST below a tenant."""
    return f"/v1/tenants/{url_part(tenant)}/{below}"


def home(tenant: str, below: str = "") -> str:
    """Return the address of a page of this module."""
    return f"/operator/tenants/{url_part(tenant)}/money{below}"


async def _company(page: Page, tenant: str) -> Part:
    return await page.get("users", f"/v1/tenants/{url_part(tenant)}")


@router.get("")
async def show_money(page: OperatorPage, tenant: str, cursor: Chosen = "", payments: Chosen = "") -> Response:
    """Show what is open of the documents, the payments, the discounts, and the subscription."""
    return await _show(page, tenant, None, cursor=cursor, payments_cursor=payments)


async def _show(page: Page, tenant: str, form: Form | None, status: int = 200, cursor: str = "", payments_cursor: str = "") -> Response:
    company, balance, invoices, latest, payments, discounts, subscription, licences, modules = await page.together(
        _company(page, tenant),
        page.get("invoicing", rest(tenant, "balance")),
        page.get("invoicing", rest(tenant, "invoices"), order="newest_first", state="open", cursor=cursor, limit=SHOWN),
        page.get("invoicing", rest(tenant, "invoices"), order="newest_first", limit=SHOWN),
        page.get("invoicing", rest(tenant, "payments"), cursor=payments_cursor, limit=SHOWN),
        page.get("invoicing", rest(tenant, "subscription/discounts"), limit=LISTED_MAX),
        page.get("invoicing", rest(tenant, "subscription")),
        page.get("invoicing", rest(tenant, "licences")),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    return page.render(
        "operator_money.html",
        status,
        tenant=company.need(),
        url=home(tenant),
        balance=balance,
        invoices=invoices,
        numbers={each["invoice"]: each["number"] for part in (latest, invoices) if part.ok for each in part.value["items"]},
        payments=payments,
        discounts=discounts,
        subscription=subscription,
        plan_name=licences.value["plan_name"] if licences.ok else "",
        is_active=subscription.ok and subscription.value["status"] == "active",
        names=module_names(modules),
        actions=[(code, page.gettext(text)) for code, text in OVERDUE_ACTIONS.items()],
        cursor=cursor,
        payments_cursor=payments_cursor,
        form=form,
    )


# Payments.


@router.get("/invoices/{invoice}/pay")
async def ask_payment(page: OperatorPage, tenant: str, invoice: str) -> Response:
    """Ask for a payment of a document: by default of all that is open, today."""
    return await _show_payment(page, tenant, invoice, None)


async def _show_payment(page: Page, tenant: str, invoice: str, form: Form | None, status: int = 200) -> Response:
    company, part, balance = await page.together(
        _company(page, tenant),
        page.get("invoicing", rest(tenant, f"invoices/{url_part(invoice)}")),
        page.get("invoicing", rest(tenant, "balance")),
    )
    found = part.need()
    if form is None:
        day = balance.value["on"] if balance.ok else page.now.date().isoformat()
        form = Form.of(amount=page.formats.amount(found["open_minor"], found["currency"]), paid_on=day)
    elif "amount" in form.errors and found["open_minor"]:
        shown = page.formats.money(found["open_minor"], found["currency"])
        form.errors["amount"] = page.gettext("Enter an amount of at most %(amount)s, which is open of the document.", amount=shown)
    return page.render("operator_payment.html", status, tenant=company.need(), url=home(tenant), invoice=found, form=form)


@router.post("/invoices/{invoice}/pay")
async def record_payment(page: OperatorPage, tenant: str, invoice: str) -> Response:
    """Record a payment that was received, or the payout of a credit note."""
    form = page.form
    found = (await page.get("invoicing", rest(tenant, f"invoices/{url_part(invoice)}"))).need()
    currency = found["currency"]
    amount = form.amount("amount", page.gettext("Enter an amount."), currency, page.formats.locale, most=AMOUNT_MAX)
    try:
        day_of(form["paid_on"])
    except ValueError:
        form.errors["paid_on"] = page.gettext("Enter a day, for example 2026-03-31.")
    if len(form["reference"]) > REFERENCE_MAX:
        form.errors["reference"] = page.gettext("Write at most %(most)s characters.", most=REFERENCE_MAX)
    if not form.ok:
        return await _show_payment(page, tenant, invoice, form, 422)
    body = {"invoice": invoice, "amount_minor": amount, "currency": currency}
    body |= {"paid_on": form["paid_on"], "reference": form["reference"]}
    try:
        await page.send("POST", "invoicing", rest(tenant, "payments"), body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem, {"amount_minor": "amount"})
        if "paid_on" in form.errors:
            form.errors["paid_on"] = page.gettext("Enter today or an earlier day.")
        return await _show_payment(page, tenant, invoice, form, 422)
    shown = page.formats.money(amount, currency)
    text = page.gettext("The payment of %(amount)s for %(number)s was recorded.", amount=shown, number=found["number"])
    return page.redirect(home(tenant), text)


@router.get("/payments/{payment}/take-back")
async def ask_take_back(page: OperatorPage, tenant: str, payment: str) -> Response:
    """Ask why a payment no longer counts."""
    return await _show_take_back(page, tenant, payment, None)


async def _show_take_back(page: Page, tenant: str, payment: str, form: Form | None, status: int = 200) -> Response:
    company, part = await page.together(_company(page, tenant), page.get("invoicing", rest(tenant, f"payments/{url_part(payment)}")))
    found = part.need()
    invoice = await page.get("invoicing", rest(tenant, f"invoices/{url_part(found['invoice'])}"))
    values = {"tenant": company.need(), "url": home(tenant), "payment": found, "invoice": invoice, "form": form}
    return page.render("operator_take_back.html", status, **values)


@router.post("/payments/{payment}/take-back")
async def take_back(page: OperatorPage, tenant: str, payment: str) -> Response:
    """Let a payment no longer count. It stays in the list, with the reason."""
    form = page.form
    reason = form.text("reason", page.gettext("Enter a reason of at most %(most)s characters.", most=REASON_MAX), most=REASON_MAX)
    if form.ok:
        try:
            path = rest(tenant, f"payments/{url_part(payment)}/take-back")
            await page.send("POST", "invoicing", path, {"reason": reason}, key=form.key or None)
        except Refusal as refusal:
            form.refuse(refusal.problem)
    if not form.ok:
        return await _show_take_back(page, tenant, payment, form, 422)
    return page.redirect(home(tenant), page.gettext("The payment was taken back. What it paid is open again."))


@router.post("/invoices/{invoice}/keep")
async def keep_credit(page: OperatorPage, tenant: str, invoice: str) -> Response:
    """Keep what is left of a credit note for later invoices."""
    try:
        await page.send("POST", "invoicing", rest(tenant, f"invoices/{url_part(invoice)}/keep"), key=page.form.key or None)
    except Refusal as refusal:
        page.form.refuse(refusal.problem)
        return await _show(page, tenant, page.form, 409)
    return page.redirect(home(tenant), page.gettext("The rest of the credit note is kept for later invoices."))


@router.post("/overdue-action")
async def set_overdue_action(page: OperatorPage, tenant: str) -> Response:
    """Set what an overdue invoice leads to, if no other operator has changed it since it was shown."""
    form, present = page.form, (await page.get("invoicing", rest(tenant, "balance"))).need()["overdue_action"]
    label, shown = page.gettext("When an invoice is overdue"), page.word(OVERDUE_ACTIONS, present)
    if form.is_outdated(Form.of(overdue_action=present, seen=present), {"overdue_action": (label, shown)}):
        return await _show(page, tenant, form, 409)
    try:
        await page.send("PUT", "invoicing", rest(tenant, "overdue-action"), {"action": form["overdue_action"]})
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _show(page, tenant, form, 422)
    return page.redirect(home(tenant), page.gettext("The setting for overdue invoices was saved."))


# Discounts.


@router.get("/discounts/grant")
async def ask_discount(page: OperatorPage, tenant: str) -> Response:
    """Ask for the terms of a discount. The next step shows what it changes."""
    return await _show_discount(page, tenant, Form.of(kind="percent"))


async def _show_discount(page: Page, tenant: str, form: Form, status: int = 200, preview: Mapping[str, Any] | None = None) -> Response:
    company, part, modules = await page.together(
        _company(page, tenant),
        page.get("invoicing", rest(tenant, "subscription")),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    subscription, names = part.need(), module_names(modules)
    return page.render(
        "operator_discount.html",
        status,
        tenant=company.need(),
        url=home(tenant),
        subscription=subscription,
        is_active=subscription["status"] == "active",
        modules=[(each["module"], names.get(each["module"], each["module"])) for each in subscription["modules"]],
        names=names,
        form=form,
        preview=preview,
    )


@router.post("/discounts/grant")
async def grant_discount(page: OperatorPage, tenant: str) -> Response:
    """Show what the discount changes of the next period; with the second button, grant it."""
    form = page.form
    currency = (await page.get("invoicing", rest(tenant, "subscription"))).need()["currency"]
    body = discount_of(page, currency)
    if not form.ok:
        return await _show_discount(page, tenant, form, 422)
    is_granted, path = form["step"] == "grant", rest(tenant, "subscription/discounts")
    try:
        if is_granted:
            await page.send("POST", "invoicing", path, body, key=form.key or None)
        else:
            preview = await page.send("POST", "invoicing", path, body, query={"dry_run": "true"})
    except Refusal as refusal:
        form.refuse(refusal.problem, {"percent": "value", "amount_minor": "value"})
        return await _show_discount(page, tenant, form, 422)
    if is_granted:
        return page.redirect(home(tenant), page.gettext("The discount was granted. The customer gets an e-mail."))
    return await _show_discount(page, tenant, form, preview=preview)


@router.get("/discounts/{discount}/withdraw")
async def ask_withdrawal(page: OperatorPage, tenant: str, discount: str) -> Response:
    """Ask whether a discount is withdrawn."""
    return await _show_withdrawal(page, tenant, discount, None)


async def _show_withdrawal(page: Page, tenant: str, discount: str, form: Form | None, status: int = 200) -> Response:
    company, part, modules, subscription = await page.together(
        _company(page, tenant),
        page.get("invoicing", rest(tenant, f"subscription/discounts/{url_part(discount)}")),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("invoicing", rest(tenant, "subscription")),
    )
    values = {"tenant": company.need(), "url": home(tenant), "discount": part.need(), "names": module_names(modules), "form": form}
    return page.render("operator_withdraw.html", status, has_ended=subscription.need()["status"] == "ended", **values)


@router.post("/discounts/{discount}/withdraw")
async def withdraw_discount(page: OperatorPage, tenant: str, discount: str) -> Response:
    """Withdraw a discount. What was charged with it stays."""
    try:
        await page.send("DELETE", "invoicing", rest(tenant, f"subscription/discounts/{url_part(discount)}"))
    except Refusal as refusal:
        page.form.refuse(refusal.problem)
        return await _show_withdrawal(page, tenant, discount, page.form, 409)
    return page.redirect(home(tenant), page.gettext("The discount was withdrawn. What was charged with it stays."))


# The end.


@router.get("/end")
async def ask_end(page: OperatorPage, tenant: str) -> Response:
    """Show what an end at once does to people and money. Nothing is ended yet."""
    return await _show_end(page, tenant, None)


async def _show_end(page: Page, tenant: str, form: Form | None, status: int = 200) -> Response:
    company, subscription, licences, ending, balance = await page.together(
        _company(page, tenant),
        page.get("invoicing", rest(tenant, "subscription")),
        page.get("invoicing", rest(tenant, "licences")),
        page.get("invoicing", rest(tenant, "subscription/end")),
        page.get("invoicing", rest(tenant, "balance")),
    )
    return page.render(
        "operator_end.html",
        status,
        tenant=company.need(),
        url=home(tenant),
        has_ended=subscription.need()["status"] == "ended",
        licences=licences,
        ending=ending,
        balance=balance,
        form=form,
    )


@router.post("/end")
async def end(page: OperatorPage, tenant: str) -> Response:
    """End the subscription at once, after the operator has confirmed it."""
    form = page.form
    reason = form.text("reason", page.gettext("Enter a reason of at most %(most)s characters.", most=REASON_MAX), most=REASON_MAX)
    if not form["confirmed"]:
        form.errors["confirmed"] = page.gettext("Confirm that the company loses its access now.")
    if not form.ok:
        return await _show_end(page, tenant, form, 422)
    try:
        path = rest(tenant, "subscription/end")
        found = await page.send("POST", "invoicing", path, {"reason": reason}, key=form.key or None, wait_seconds=3)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _show_end(page, tenant, form, 409)
    if found["status"] == "ended":
        return page.redirect(home(tenant), page.gettext("The subscription has ended. The customer gets an e-mail with your reason."))
    return page.redirect(home(tenant), page.gettext("The subscription is being ended. Reload the page in a moment."), "warning")

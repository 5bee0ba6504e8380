"""Create a tenant from a template, in two steps: the company and its first owner, then its billing details, plan and licences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from services.console.pages import billing, hr_sources
from services.console.pages.forms import Form
from services.console.pages.operator import OperatorPage
from services.console.pages.page import NEW, Page
from services.console.pages.route import PageRoute
from services.console.pages.settings import language_name
from services.console.pages.tenant_templates import TEMPLATES, TenantTemplate, template_named
from services.console.rendering import languages
from services.console.rest.problems import Refusal
from services.console.rest.services import Part, url_part
from shared.schemas.base import format_instant
from shared.schemas.policies import LICENCES_MAX

router = APIRouter(route_class=PageRoute, prefix="/operator/tenants", include_in_schema=False)

LOCALES: Final = ("en", "en-US", "de", "da", "nb", "sv", "fr")  # in which there are documents
EVERYBODY: Final = "everybody"
PLANS_MAX: Final = 200
BILLING: Final = ("company", "street", "postcode", "city", "country", "email", "vat_id")
OPTIONAL: Final = ("postcode", "vat_id")
Short = Annotated[str, Query(max_length=100)]


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan with one term, and the modules that it sells for it."""

    plan: Mapping[str, Any]
    term: str
    modules: Sequence[Mapping[str, Any]]  # module, name, price, least

    @property
    def id(self) -> str:
        return f"{self.plan['plan']} {self.term}"


@cache
def time_zones() -> tuple[str, ...]:
    """Return the places of the database of time zones, and UTC."""
    names = (files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return ("UTC", *sorted(name for name in names if "/" in name and not name.startswith(("Etc/", "SystemV/", "US/"))))


@router.get("/new")
async def ask_tenant(page: OperatorPage) -> Response:
    """Ask for the style, the company and its first owner."""
    return _show_tenant(page, Form.of(template=TEMPLATES[0].name, time_zone="Europe/Copenhagen", locale="en"))


def _show_tenant(page: Page, form: Form, status: int = 200) -> Response:
    names = {each: language_name(page, each) for each in LOCALES}
    locales = [(each, name[:1].upper() + name[1:]) for each, name in names.items()]  # French writes languages in small letters
    zones = [(each, each) for each in time_zones()]
    return page.render("operator_tenant_new.html", status, form=form, templates=TEMPLATES, time_zones=zones, locales=locales)


@router.post("/new")
async def create_tenant(page: OperatorPage) -> Response:
    """Create the tenant. Its first owner gets an invitation by e-mail."""
    form, template = page.form, template_named(page.form["template"])
    for name in ("name", "contact_email", "support_contact", "owner_name", "owner_email"):
        form.text(name, page.gettext("Enter a value."), most=500)
    if not form.ok:
        return _show_tenant(page, form, 422)
    body = {
        **{name: form[name] for name in ("name", "time_zone", "locale", "contact_email", "support_contact")},
        **({"tenant": form["tenant"]} if form["tenant"] else {}),
        "clock": "test" if form["clock"] else "real",
        "owner": {"name": form["owner_name"], "email": form["owner_email"]},
        **template.tenant,
    }
    if form["clock"]:
        body["at"] = format_instant(page.now)
    try:
        created = await page.send("POST", "users", "/v1/tenants", body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem, {"owner.name": "owner_name", "owner.email": "owner_email"})
        if refusal.problem.type == "tenant-exists":
            form.problem = None
            form.errors["tenant"] = page.gettext("There is a tenant with this short name already. Choose another one.")
        return _show_tenant(page, form, 422)
    text = page.gettext("%(name)s was created. Its first owner has an invitation. Now set up what the company buys.", name=created["name"])
    return page.redirect(f"/operator/tenants/{url_part(created['tenant'])}/set-up?template={template.name}", text)


@router.get("/{tenant}/set-up")
async def ask_subscription(page: OperatorPage, tenant: str, template: Short = "", offer: Short = "") -> Response:
    """Ask for plan, licences and billing details."""
    path = f"/v1/tenants/{url_part(tenant)}"
    found, billed = await page.together(page.get("users", path), page.get("invoicing", f"{path}/billing-details"))
    country = languages.country_of(found.need()["time_zone"])
    known = {"company": found.value["name"], "email": found.value["contact_email"], "country": country}
    style, day = template_named(template), _today(found.value).isoformat()
    form = Form.of(template=style.name, offer=offer, period_start=day, profile="yes", **known | _billed(billed))
    return await _show_subscription(page, tenant, form)


def _today(tenant: Mapping[str, Any]) -> date:
    """Return the day that it is for the company: in its time zone, and by its test clock if it has one."""
    return datetime.fromisoformat(tenant["now"]).astimezone(ZoneInfo(tenant["time_zone"])).date()


def _billed(part: Part) -> dict[str, Any]:
    """Return the fields of the form that are about the billing details, with the ETag of these."""
    values = {} if part.missing else {name: part.need().get(name) for name in BILLING}
    return values | {"etag": part.etag or billing.NO_ETAG}


async def _show_subscription(page: Page, tenant: str, form: Form, status: int = 200) -> Response:
    path = f"/v1/tenants/{url_part(tenant)}"
    found, plans, modules, subscription = await page.together(
        page.get("users", path),
        page.get("invoicing", "/v1/plans", limit=PLANS_MAX),
        page.get("invoicing", "/v1/modules", limit=PLANS_MAX),
        page.get("invoicing", f"{path}/subscription"),
    )
    if not subscription.missing:
        subscription.need()
    offers = _offers(plans.need()["items"], {each["module"]: each for each in modules.need()["items"]})
    chosen = next((each for each in offers if each.id == form["offer"]), offers[0] if offers else None)
    terms = {"monthly": page.gettext("monthly"), "annual": page.gettext("yearly")}
    return page.render(
        "operator_tenant_setup.html",
        status,
        tenant=found.need(),
        form=form,
        style=template_named(form["template"]),
        templates=[(each.name, page.gettext(each.title)) for each in TEMPLATES],
        offers=[(each.id, f"{each.plan['name']}, {terms[each.term]} ({each.plan['currency']})") for each in offers],
        chosen=chosen,
        subscription=subscription,
        countries=languages.names_of_countries(page.language),
    )


def _offers(plans: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> list[Offer]:
    """Return every plan with each of its terms, base modules first."""
    found = []
    for plan in plans:
        least = {each["module"]: each["minimum"] for each in plan["limits"]}
        for term in ("monthly", "annual"):
            sold = [
                {
                    "module": price["module"],
                    "name": known[price["module"]]["name"],
                    "base": known[price["module"]]["base"],
                    "price": price["amount_minor"],
                }
                for price in plan["prices"]
                if price["term"] == term and price["module"] in known
            ]
            if sold:
                found.append(
                    Offer(
                        plan,
                        term,
                        [each | {"least": least.get(each["module"], 1)} for each in sorted(sold, key=lambda each: not each["base"])],
                    )
                )
    return found


@router.post("/{tenant}/set-up")
async def subscribe(page: OperatorPage, tenant: str) -> Response:
    """Set the billing details, the way of ordering and the first profile, and start the subscription."""
    form, template = page.form, template_named(page.form["template"])
    modules = _licences(page, template)
    for name in BILLING:
        if name not in OPTIONAL:
            form.text(name, page.gettext("Enter a value."), most=500)
    if not form.ok:
        return await _show_subscription(page, tenant, form, 422)
    path = f"/v1/tenants/{url_part(tenant)}"
    plan, _, term = form["offer"].rpartition(" ")
    subscription = {"plan": plan, "term": term, "period_start": form["period_start"], "modules": modules, **template.subscription}
    try:
        await _set_billing_details(page, path)
        if template.ordering is not None:
            await page.send("PUT", "invoicing", f"{path}/ordering", {"ordering": template.ordering})
        await page.send("POST", "invoicing", f"{path}/subscription", subscription, key=form.key or None)
        if form["profile"]:
            await _add_profile(page, path, [each["module"] for each in modules])
    except Refusal as refusal:
        if refusal.problem.is_stale:
            now = await page.get("invoicing", f"{path}/billing-details")
            form.go_on_from(Form.of(**_billed(now)), "etag", {name: billing.present(page, now.value)[name] for name in BILLING})
        form.refuse(refusal.problem, {f"modules.{place}.licences": f"licences-{each['module']}" for place, each in enumerate(modules)})
        return await _show_subscription(page, tenant, form, 422)
    text = page.gettext("The subscription was started. The modules open in a moment. If the company imports people, now allow its source.")
    return page.redirect(hr_sources.home(tenant), text)


async def _add_profile(page: Page, path: str, modules: list[str]) -> None:
    """Add the profile of everybody. One that the company has already stays as it is."""
    try:
        body = {"name": page.gettext("Everybody"), "modules": modules}
        await page.send("PUT", "users", f"{path}/profiles/{EVERYBODY}", body, etag=NEW)
    except Refusal as refusal:
        if not refusal.problem.is_stale:
            raise


async def _set_billing_details(page: Page, path: str) -> None:
    """Set what the form asks for, and keep what only the customer enters, if nobody else has changed it since it was shown. Nothing is sent
    if nothing differs."""
    part = await page.get("invoicing", f"{path}/billing-details")
    known = {} if part.missing else {name: part.need()[name] for name in (*billing.TEXTS, "copy_to_administrators")}
    texts = {name: page.form[name] for name in BILLING if page.form[name] or known}
    body = known | {name: text or (None if name in billing.MAY_BE_NULL else "") for name, text in texts.items()}
    if body != known:
        await page.send("PUT", "invoicing", f"{path}/billing-details", body, etag=page.form["etag"] or billing.NO_ETAG)
        saved = await page.get("invoicing", f"{path}/billing-details")
        page.form.go_on_from(Form.of(**_billed(saved)), "etag", {})  # what follows may be refused, and the form be sent again


def _licences(page: Page, template: TenantTemplate) -> list[dict[str, Any]]:
    """Return the modules with their first numbers and policies. A module without a number is left out."""
    form, modules = page.form, []
    for module in form.all("module"):
        field = f"licences-{module}"
        if form[field] in ("", "0"):
            continue
        error = page.gettext("Enter a whole number up to %(most)s, or nothing.", most=page.formats.number(LICENCES_MAX))
        licences = form.integer(field, error, least=1, most=LICENCES_MAX)
        modules.append({"module": module, "licences": licences, "policies": template.policies_for(licences)})
    if not modules and form.all("module"):
        form.errors.setdefault(f"licences-{form.all('module')[0]}", page.gettext("Enter the licences of one module at least."))
    return modules

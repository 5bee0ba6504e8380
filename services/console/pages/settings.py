"""Settings: the policies in plain words, the company, billing details, the own e-mails, and the test clock (M8, M9, M12, E8)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import NEW, NotAllowed, NotThere, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import need_running
from services.console.pages.route import PageRoute
from services.console.rendering import languages, people_texts, policy_texts
from services.console.rendering.field_texts import label_of
from services.console.rendering.policy_texts import PolicyTexts, joined_duration, split_duration
from services.console.rendering.purchase_texts import PurchaseTexts
from services.console.rendering.tax_texts import TAX_RULES
from services.console.rest.problems import Refusal
from services.console.rest.services import Part, url_part
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.rights import ACCOUNT_BUY, ACCOUNT_READ, SETTINGS_MANAGE, TENANT_RIGHTS

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/settings", include_in_schema=False)

Anybody = Annotated[Page, Depends(needs(*TENANT_RIGHTS))]
Managing = Annotated[Page, Depends(needs(SETTINGS_MANAGE))]
NUMBER_MAX: Final = 100_000
LANGUAGES: Final = ("en", "en-GB", "en-IE", "en-US", "de-DE", "de-AT", "de-CH", "da-DK", "nb-NO", "sv-SE", "fr-FR", "fr-CH")
MONTHS_MAX: Final = 1200
OF_SUBSCRIPTION: Final = {"charge_when": policy_texts.CHARGE_WHEN, "credit_when": policy_texts.CREDIT_WHEN}


@router.get("")
async def show_settings(page: Anybody) -> Response:
    """Show all settings with their present values; to a reader who may not see those of the company, the own ones."""
    if not page.may(ACCOUNT_READ):
        me = await page.get("users", "/v1/me")
        return page.render("settings_own.html", digests=me.need()["digests"])
    tenant, me, subscription, modules, billing, rules = await page.together(
        page.get("users", _tenant_path(page)),
        page.get("users", "/v1/me"),
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/modules", limit=200),
        page.get("invoicing", "billing-details"),
        page.get("invoicing", "purchase-settings"),
    )
    return page.render(
        "settings.html",
        tenant=tenant,
        subscription=subscription,
        pools=_pools(page, subscription, modules),
        billing=billing,
        rules=rules,
        purchases=PurchaseTexts(page.gettext, page.formats, subscription.value["currency"]) if subscription.ok else None,
        digests=me.value["digests"] if me.ok and not page.reader.opened else None,
        language_name=language_name(page, tenant.value["locale"]) if tenant.ok else "",
        country_name=dict(languages.names_of_countries(page.language)).get(billing.value["country"], "") if billing.ok else "",
        texts=policy_texts,
        tax_rules=TAX_RULES,
    )


def _tenant_path(page: Page) -> str:
    return f"/v1/tenants/{url_part(page.tenant or '')}"


def _pools(page: Page, subscription: Part, modules: Part) -> list[dict[str, Any]]:
    """Return the modules of the subscription with their policies in plain words."""
    names = module_names(modules)
    return [
        {
            "module": each["module"],
            "name": names.get(each["module"], each["module"]),
            "policies": PolicyTexts(page.gettext, page.ngettext, page.formats, each["licences"], each["policies"]).all(),
        }
        for each in (in_order(subscription.value["modules"], modules) if subscription.ok else ())
    ]


def language_name(page: Page, locale: str) -> str:
    """Return a language, with a country if it has one, in the reader's language."""
    return languages.name_of(locale, page.language)


# ------------------------------------------------------------------------------------------------------------- policies


async def _pool(page: Page, module: str) -> tuple[Mapping[str, Any], str]:
    """Return a module of the subscription with its policies and their ETag, and its name. Changes of policies that seats has not decided
    yet are counted. Raises NotThere."""
    subscription, policies, modules = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "subscription/policies"),
        page.get("invoicing", "/v1/modules", limit=200),
    )
    need_running(subscription.need())
    found = next((each for each in subscription.value["modules"] if each["module"] == module), None)
    present = policies.need()
    if found is None or module not in present["modules"]:
        raise NotThere
    pool = {**found, "policies": present["modules"][module], "etag": present["module_etags"][module]}
    return pool, module_names(modules).get(module, module)


def _policy_page(page: Page, pool: Mapping[str, Any], name: str, form: Form, status: int = 200) -> Response:
    options = [value for value in policy_texts.OVER_LIMIT if value != "expand" or page.may(ACCOUNT_BUY) or form["over_limit"] == "expand"]
    examples = {
        value: PolicyTexts(page.gettext, page.ngettext, page.formats, pool["licences"], pool["policies"] | {"over_limit": value}).all()[0]
        for value in options
    }
    return page.render(
        "settings_policies.html",
        status,
        pool=pool,
        name=name,
        form=form,
        examples=examples,
        texts=policy_texts,
        may_buy=page.may(ACCOUNT_BUY),
        present=PolicyTexts(page.gettext, page.ngettext, page.formats, pool["licences"], pool["policies"]).all(),
    )


def _policy_form(pool: Mapping[str, Any]) -> Form:
    policies = pool["policies"]
    number, unit = split_duration(policies.get("grace", "P7D"))
    warn = policies.get("warn_at")
    return Form.of(
        etag=pool["etag"],
        over_limit=policies.get("over_limit", "flag"),
        grace=number,
        grace_unit=unit,
        flag_cap=policies.get("flag_cap"),
        expand_cap=policies.get("expand_cap"),
        warn="none" if warn is None else "share" if warn.endswith("%") else "left",
        warn_number="" if warn is None else warn.rstrip("%"),
        leaver="yes" if policies.get("terminate_reduces_pool") else "no",
        reduce_at=policies.get("reduce_at", "period_end"),
        reduce_below_use=policies.get("reduce_below_use", "flag_newest"),
    )


@router.get("/policies/{module}")
async def ask_policies(page: Managing, module: str) -> Response:
    """Ask for other policies of a module."""
    pool, name = await _pool(page, module)
    return _policy_page(page, pool, name, _policy_form(pool))


@router.post("/policies/{module}")
async def change_policies(page: Managing, module: str) -> Response:
    """Change the policies that differ from the present ones."""
    (pool, name), form = await _pool(page, module), page.form
    wanted = _wanted_policies(page, form)
    changed = {key: value for key, value in wanted.items() if value != pool["policies"].get(key)}
    if form.ok and not changed and form["etag"] == pool["etag"]:
        return page.redirect(page.url("settings#policies"), page.gettext("Nothing was changed."), "info")
    if form.ok:
        try:
            body = {"modules": {module: changed or wanted}}
            await page.send("PATCH", "invoicing", "subscription/policies", body, wait_seconds=3, etag=form["etag"] or NEW)
        except Refusal as refusal:
            form.refuse(refusal.problem, {f"modules.{module}.terminate_reduces_pool": "leaver", f"modules.{module}.warn_at": "warn_number"})
            if refusal.problem.is_stale:
                pool, name = await _pool(page, module)
                present = _present_policies(page, pool).items()
                form.go_on_from(_policy_form(pool), "etag", {field: text for field, text in present if field in form})
    if not form.ok:
        return _policy_page(page, pool, name, form, 422)
    return page.redirect(page.url("settings#policies"), page.gettext("The policies of %(name)s were changed.", name=name))


def _present_policies(page: Page, pool: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the label and the present value of each field of the form."""
    texts = PolicyTexts(page.gettext, page.ngettext, page.formats, pool["licences"], pool["policies"])
    by_name = {each.name: (each.title, each.value) for each in texts.all()}
    grace = (page.gettext("Time over the limit"), texts.duration(pool["policies"].get("grace", "P7D")))
    caps = {name: pool["policies"].get(name) for name in ("flag_cap", "expand_cap")}
    numbers = {name: "–" if cap is None else page.formats.number(cap) for name, cap in caps.items()}
    return {
        "over_limit": by_name["over_limit"],
        "grace": grace,
        "grace_unit": grace,
        "flag_cap": (page.gettext("People over the limit at once"), numbers["flag_cap"]),
        "expand_cap": (page.gettext("Largest number of licences"), numbers["expand_cap"]),
        "warn": by_name["warn_at"],
        "warn_number": by_name["warn_at"],
        "leaver": by_name["terminate_reduces_pool"],
        "reduce_at": by_name["reduce_at"],
        "reduce_below_use": by_name["reduce_below_use"],
    }


def _wanted_policies(page: Page, form: Form) -> dict[str, Any]:
    """Return the policies of the form. Those about money are in it only for readers who may buy."""
    whole = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(NUMBER_MAX))
    found: dict[str, Any] = {"over_limit": form["over_limit"]}
    if form["grace_unit"] in policy_texts.UNITS and "grace" in form:
        found["grace"] = joined_duration(form.integer("grace", whole, least=1, most=NUMBER_MAX), form["grace_unit"])
    caps = page.gettext("Enter a whole number from 0 to %(most)s, or nothing.", most=page.formats.number(LICENCES_MAX))
    for name in ("flag_cap", "expand_cap"):
        if name in form and (name != "expand_cap" or page.may(ACCOUNT_BUY)):
            found[name] = form.integer(name, caps, least=0, most=LICENCES_MAX) if form[name] else None
    if form["warn"] == "none":
        found["warn_at"] = None
    elif form["warn"] == "share":
        text = page.gettext("Enter a whole number from 1 to 100.")
        found["warn_at"] = f"{form.integer('warn_number', text, least=1, most=100)}%"
    else:
        found["warn_at"] = str(form.integer("warn_number", whole, least=1, most=NUMBER_MAX))
    if page.may(ACCOUNT_BUY):
        found |= {"terminate_reduces_pool": form["leaver"] == "yes"}
        found |= {name: form[name] for name in ("reduce_at", "reduce_below_use")}
    return found


async def _charging(page: Page) -> Part:
    subscription, policies = await page.together(page.get("invoicing", "subscription"), page.get("invoicing", "subscription/policies"))
    need_running(subscription.need())
    return policies.needed()


def _charging_form(part: Part) -> Form:
    found = {name: part.value[name] for name in OF_SUBSCRIPTION}
    return Form.of(**found, zero_invoices="yes" if part.value["zero_invoices"] else None, etag=part.value["own_etag"])


def _present_charging(page: Page, found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    texts = {name: page.word(known, found[name]) for name, known in OF_SUBSCRIPTION.items()}
    texts["zero_invoices"] = page.gettext("yes") if found["zero_invoices"] else page.gettext("no")
    return {name: (label_of(name, page.gettext), text) for name, text in texts.items()}


def _charging_page(page: Page, form: Form, status: int = 200) -> Response:
    return page.render("settings_charging.html", status, form=form, texts=policy_texts, may_buy=page.may(ACCOUNT_BUY))


@router.get("/charging")
async def ask_charging(page: Managing) -> Response:
    """Ask when changes are charged and credited."""
    return _charging_page(page, _charging_form(await _charging(page)))


@router.post("/charging")
async def change_charging(page: Managing) -> Response:
    """Change when changes are charged and credited, if nobody else has changed it since it was shown."""
    form = page.form
    body: dict[str, Any] = {"zero_invoices": form["zero_invoices"] == "yes"}
    if page.may(ACCOUNT_BUY):
        body |= {name: form[name] for name in OF_SUBSCRIPTION}
    try:
        await page.send("PATCH", "invoicing", "subscription/policies", body, wait_seconds=3, etag=form["etag"])
    except Refusal as refusal:
        form.refuse(refusal.problem)
        if refusal.problem.is_stale:
            part = await _charging(page)
            present = _present_charging(page, part.value)
            form.go_on_from(_charging_form(part), "etag", {field: text for field, text in present.items() if field in body})
        return _charging_page(page, form, 422)
    return page.redirect(page.url("settings#charging"), page.gettext("The settings were changed."))


# -------------------------------------------------------------------------------------------------------------- company


async def _company_page(page: Page, form: Form, status: int = 200, preview: Any = None) -> Response:
    codes = dict.fromkeys((*LANGUAGES, *([form["locale"]] if form["locale"] else [])))
    locales = [(code, language_name(page, code)) for code in codes]
    names = module_names(await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)) if preview else {}
    return page.render("settings_company.html", status, form=form, locales=locales, preview=preview, names=names, texts=people_texts)


@router.get("/company")
async def ask_company(page: Managing) -> Response:
    """Ask for the settings of the company."""
    return await _company_page(page, _company_form(await page.get("users", _tenant_path(page))))


def _company_form(part: Part) -> Form:
    found = part.need()
    return Form.of(
        etag=part.etag,
        name=found["name"],
        locale=found["locale"],
        contact_email=found["contact_email"],
        release_on_expiry="yes" if found["release_on_expiry"] else None,
        erase_after_months=found["erase_after_months"],
    )


def _present_company(page: Page, found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    releases = page.gettext("yes") if found["release_on_expiry"] else page.gettext("no")
    return {
        "name": (page.gettext("Name"), found["name"]),
        "locale": (page.gettext("Language and country of e-mails"), language_name(page, found["locale"])),
        "contact_email": (page.gettext("Contact address"), found["contact_email"]),
        "release_on_expiry": (page.gettext("Release the seats of a person whose login ends"), releases),
        "erase_after_months": (page.gettext("Months after which people who have left are erased"), str(found["erase_after_months"])),
    }


@router.post("/company")
async def change_company(page: Managing) -> Response:
    """Change the settings of the company, if nobody else has changed them since they were shown. Where people would require other modules,
    show that first (M12)."""
    form = page.form
    months = form.integer(
        "erase_after_months", page.gettext("Enter a whole number from 0 to %(most)s.", most=MONTHS_MAX), least=0, most=MONTHS_MAX
    )
    body = {
        "name": form.text("name", page.gettext("Enter a name of at most 500 characters."), most=500),
        "locale": form["locale"],
        "contact_email": form["contact_email"],
        "release_on_expiry": form["release_on_expiry"] == "yes",
        "erase_after_months": months,
    }
    if form.ok:
        releases = body["release_on_expiry"]
        present = await page.get("users", _tenant_path(page))
        try:
            if releases != present.need()["release_on_expiry"]:
                preview = await page.preview("PATCH", "users", _tenant_path(page), {"release_on_expiry": releases})
                if (preview["changed"] or not preview["complete"]) and not form.goes_on({"releases": releases}, preview):
                    return await _company_page(page, form, preview=preview)
            await page.send("PATCH", "users", _tenant_path(page), body, etag=form["etag"])
        except Refusal as refusal:
            form.refuse(refusal.problem)
            if refusal.problem.is_stale:
                part = await page.get("users", _tenant_path(page))
                form.go_on_from(_company_form(part), "etag", _present_company(page, part.value))
    if not form.ok:
        return await _company_page(page, form, 422)
    return page.redirect(page.url("settings"), page.gettext("The settings were changed."))


@router.post("/digests")
async def change_digests(page: Anybody) -> Response:
    """Switch the reader's own digests on or off."""
    if page.reader.opened:
        raise NotAllowed
    wants = page.form["digests"] == "yes"
    await page.send("PUT", "users", f"people/{page.reader.principal.subject}/digests", {"digests": wants})
    text = page.gettext("You get digests by e-mail.") if wants else page.gettext("You get e-mails only about deadlines and your own seats.")
    return page.redirect(page.url("settings"), text)

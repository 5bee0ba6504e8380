"""The table of the console's pages, for the tests in a browser: on the console with the REST of the services in memory, and on the stack.

A test compares it with the routes of the console: each page is in `PAGES`, and each other route in `NO_PAGES` with its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

import httpx

from tests.support.console import Company
from tests.support.console_tenant_money import discount

NOBODY, ADMINISTRATOR, OPERATOR = "nobody", "administrator", "operator"
# Readers of the company in memory alone: with few rights, with a test clock, with a login that was changed.
PEOPLE_MANAGER, TESTER, RENAMED = "people manager", "tester", "renamed"


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """A page, or one state of it. `address` holds names of values: what the page is about."""

    name: str
    reader: str
    address: str

    def path(self, values: Mapping[str, str]) -> str:
        """Return the address with these values."""
        return self.address.format_map(values)

    def is_about(self, values: Mapping[str, str]) -> bool:
        """Tell whether these values name all that the page is about."""
        return {name for _, name, _, _ in Formatter().parse(self.address) if name} <= values.keys()


def _page(name: str, address: str, reader: str = ADMINISTRATOR) -> ConsolePage:
    return ConsolePage(name, reader, f"/tenants/{{tenant}}/{address}")


def _of_operator(name: str, address: str) -> ConsolePage:
    return ConsolePage(f"operator-{name}", OPERATOR, f"/operator/{address}")


PAGES = (
    ConsolePage("sign-in", NOBODY, "/sign-in"),
    ConsolePage("sign-in-link", NOBODY, "/sign-in/link?secret=secret"),
    ConsolePage("sign-in-confirm", RENAMED, "/sign-in/confirm"),
    ConsolePage("invitation", NOBODY, "/invitation?token={invitation}"),
    ConsolePage("invitation-accepted", NOBODY, "/invitation?token={accepted_invitation}"),
    ConsolePage("invitation-expired", NOBODY, "/invitation?token={expired_invitation}"),
    ConsolePage("not-found", ADMINISTRATOR, "/nope"),
    _page("licences", "licences"),
    _page("licences-buy", "licences/{module}/buy"),
    _page("licences-next-period", "licences/{module}/next-period"),
    _page("people", "people?status=all"),
    _page("people-checks", "people/checks"),
    _page("people-duplicates", "people/checks/duplicates?source={doubled_source}"),
    _page("people-held-apply", "people/checks/held/apply?source={held_source}"),
    _page("people-held-discard", "people/checks/held/discard?source={held_source}"),
    _page("people-scim-stopped", "people/checks/scim/{stopped_connection}"),
    _page("import", "people/import"),
    _page("import-report", "people/import/{import_id}"),
    _page("person", "people/{person}"),
    _page("person-conflict", "people/{person_in_conflict}"),
    _page("person-invited", "people/{invited_person}"),
    _page("person-add", "people/add"),
    _page("person-edit", "people/{person}/edit"),
    _page("person-deactivate", "people/{person}/access/deactivate"),
    _page("person-terminate", "people/{person}/terminate"),
    _page("person-replace", "people/{person}/replace?text=a"),
    _page("person-hand-over", "people/{person}/hand-over?text=a"),
    _page("person-erase", "people/{former_person}/erase"),
    _page("plan", "plan"),
    _page("plan-change", "plan/change"),
    _page("plan-module", "plan/modules/add"),
    _page("plan-end", "plan/end"),
    _page("orders", "orders"),
    _page("quote", "orders/quotes/{quote}"),
    _page("request", "orders/request"),
    _page("request-estimated", "orders/requests/{estimated_request}"),
    _page("invoices", "invoices"),
    _page("invoice", "invoices/{invoice}"),
    _page("profiles", "profiles"),
    _page("profile-edit", "profiles/edit?profile={profile}"),
    _page("department-edit", "profiles/department?department={department}"),
    _page("access", "access"),
    _page("access-role", "access/roles/owner?text=o"),
    _page("access-role-new", "access/roles/new"),
    _page("access-role-edit", "access/roles/{role}/edit"),
    _page("access-role-delete", "access/roles/{role}/delete"),
    _page("access-person", "access/people/{person}"),
    _page("access-client", "access/clients/{client}"),
    _page("access-client-new", "access/clients/new"),
    _page("access-client-delete", "access/clients/{client}/delete"),
    _page("access-secret-delete", "access/clients/{client}/secrets/{secret}/delete"),
    _page("access-scim", "access/scim/{connection}"),
    _page("access-scim-new", "access/scim/new"),
    _page("access-scim-delete", "access/scim/{connection}/delete"),
    _page("access-scim-groups", "access/scim/{connection}/groups"),
    _page("access-scim-group", "access/scim/{connection}/groups/{group}"),
    _page("access-token-delete", "access/scim/{connection}/tokens/{token}/delete"),
    _page("access-provider", "access/identity-provider"),
    _page("access-provider-delete", "access/identity-provider/delete"),
    _page("log", "log"),
    _page("settings", "settings"),
    _page("settings-own", "settings", PEOPLE_MANAGER),
    _page("settings-clock", "settings/clock", TESTER),
    _page("settings-policies", "settings/policies/{module_with_policies}"),
    _page("settings-charging", "settings/charging"),
    _page("settings-company", "settings/company"),
    _page("settings-purchases", "settings/purchases"),
    _page("settings-billing", "settings/billing"),
    _of_operator("tenants", "tenants"),
    _of_operator("open", "tenants/{tenant}/open"),
    _of_operator("new-tenant", "tenants/new"),
    _of_operator("set-up", "tenants/{new_tenant}/set-up?template=auto-expand"),
    _of_operator("sources", "tenants/{tenant}/sources"),
    _of_operator("source-end", "tenants/{tenant}/sources/end?source={held_source}"),
    _of_operator("money", "tenants/{tenant}/money"),
    _of_operator("payment", "tenants/{tenant}/money/invoices/{open_invoice}/pay"),
    _of_operator("payment-take-back", "tenants/{tenant}/money/payments/{payment}/take-back"),
    _of_operator("discount", "tenants/{tenant}/money/discounts/grant"),
    _of_operator("discount-withdraw", "tenants/{tenant}/money/discounts/{discount}/withdraw"),
    _of_operator("end", "tenants/{tenant}/money/end"),
    _of_operator("catalogue", "catalogue"),
    _of_operator("plan", "catalogue/plans/{plan}"),
    _of_operator("requests", "requests"),
    _of_operator("request", "requests/{requesting_tenant}/{request}"),
    _of_operator("dead-letters", "dead-letters"),
    _of_operator("dead-letter", "dead-letters/{dead_letter}"),
    _of_operator("status", "status"),
)
# What the sample company does not have, and the company in memory has: states of pages that are opened anyway, a question to people whose
# login was changed, and one about a source that reports as many new people as another source does not have.
ONLY_IN_MEMORY = {"not-found", "invitation-accepted", "invitation-expired", "person-conflict", "settings-own"}
ONLY_IN_MEMORY |= {"sign-in-confirm", "people-duplicates"}
# Routes of GET that show no page of their own.
NO_PAGES = {
    "/": "leads to the first page that its reader may see",
    "/sign-in/callback": "leads on what an identity provider sends back; test_somebody_signs_in_with_the_identity_provider_of_the_company",
    "/resume": "needs a form that was kept; test_a_form_that_was_kept_is_shown_in_words_and_is_accessible",
    "/tenants/{tenant}/licences/numbers": "a part of the page Licences",
    "/tenants/{tenant}/licences/changes": "a part of the page Licences",
    "/tenants/{tenant}/licences/use": "a part of the page Licences",
    "/tenants/{tenant}/licences/live": "a stream of events",
    "/tenants/{tenant}/people/export.csv": "a file",
    "/tenants/{tenant}/people/{user}/data.json": "a file",
    "/tenants/{tenant}/invoices/{invoice}/pdf": "a file",
    "/tenants/{tenant}/invoices/{invoice}/xml": "a file",
    "/tenants/{tenant}/access/identity-provider/complete": "leads back to the page of the identity provider",
    "/tenants/{tenant}/log/export.csv": "a file",
    "/operator/status/parts": "a part of the page Status",
    "/operator/catalogue/file": "a file",
}
# What the pages are about in the company in memory (tests/support/console.py).
IN_MEMORY = {
    "tenant": "acme",
    "module": "lab",
    "module_with_policies": "documents",
    "invitation": "open",
    "accepted_invitation": "waiting",
    "expired_invitation": "expired",
    "doubled_source": "hr/acme",
    "held_source": "hr/acme",
    "stopped_connection": "okta",
    "import_id": "i1",
    "person": "u1",
    "person_in_conflict": "u7",
    "invited_person": "u5",
    "former_person": "u6",
    "quote": "q1",
    "estimated_request": "r2",
    "invoice": "i3",
    "open_invoice": "i3",
    "profile": "staff",
    "department": "Sales+%3Cb%3E",
    "role": "auditor",
    "client": "client-1",
    "secret": "s1",
    "connection": "okta",
    "group": "g1",
    "token": "t1",
    "new_tenant": "birch",
    "payment": "p1",
    "discount": "d1",
    "plan": "standard",
    "requesting_tenant": "birch",
    "request": "r1",
    "dead_letter": "users/17",
}


def furnish(company: Company) -> None:
    """Give the company what a page of `PAGES` is about, and what it does not have by itself."""
    company._make_quote("lab", 2, quote=IN_MEMORY["quote"])
    company.quotes = {IN_MEMORY["quote"]: company.quotes.popitem()[1]}
    company.contract.discounts.append(discount(IN_MEMORY["discount"]))
    flags = {"trust_email": False, "required": True, "emergency_links": True}
    entered = {"issuer": "https://login.example.com", "client_id": "seatpool", "match_claims": ["preferred_username", "email"]} | flags
    company.access._enter_provider(httpx.Request("PUT", "http://x", json=entered))

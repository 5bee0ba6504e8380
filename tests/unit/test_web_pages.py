"""No answer holds a list without a limit: items are served in pages, and any other list is bounded for a reason that stands here."""

from collections.abc import Iterator
from typing import Any

from shared.web.rest import LIMIT_MAX
from tests.support.apps import all_apps

ITEMS = "items of a page"
MODULES = "requests limit the modules of one thing"
PRICE_LISTS = ("PlanView", "ListedPlanView", "LaterListView", "PlanVersionView")
REQUESTS = ("PurchaseRequestView", "TenantRequestView")
FREE = "an object with a fixed set of fields, or what a message of at most 1 MiB held"
# Every list and every object with any keys in answers, as `<model>.<field>` or as `<service> <method> <path>`.
RIGHTS = "there are seven rights"
ROLES = "a person holds a limited number of roles"
STEPS = "a price has at most 20 steps"
CATALOGUE = "a request has at most 500 modules and 500 plans"
BOUNDED = {
    "UndeliveredEmails.addresses": "the first three, beside their number",
    # Requests limit what is stored.
    "ProfileView.modules": MODULES,
    "ModuleView.requires": MODULES,
    **{f"{view}.{name}": MODULES for view in PRICE_LISTS for name in ("prices", "limits")},
    "ListedPlanView.later": "an operator defines few lists ahead",
    "SubscriptionView.modules": MODULES,
    "PoliciesView.modules": MODULES,
    "PoliciesView.module_etags": MODULES,
    "SubscriptionView.coming_prices": "the lists that were announced and differ, of one plan",
    "ComingPricesView.prices": MODULES,
    "QuoteView.lines": MODULES,
    "OrderView.items": MODULES,
    "QuoteView.discounts": "a subscription has at most 50",
    "ReductionView.items": MODULES,
    "ReductionView.would_flag": MODULES,
    "ReductionView.would_cancel": MODULES,
    "ReductionView.detail": FREE,
    "WouldFlag.users": "seats names at most 1,000 people",
    "WouldCancel.users": "seats names at most 1,000 people",
    "QuoteView.taxes": MODULES,
    "ModuleStatisticsList.modules": MODULES,
    "MeView.rights": "there are eight rights",
    "MeView.departments": "they are in the access token, which fits a header",
    "AllowedView.tenants": "a request has at most 10,000",
    "SourceView.tenants": "a page ends when its sources have 10,000 together",
    "IdentityProviderView.match_claims": "a request has at most 5",
    "LinkUsed.choices": "at most 100",
    "SessionList.sessions": "a person has at most 20",
    "HandOverView.items": "a person has at most 50 kinds of items",
    "OwnedItemsView.labels": "a request has at most 20",
    "PersonView.values": "a person has one of each attribute",
    "ValueView.hides": "a person has one of each source",
    "IdentityList.identities": "a person has one for each issuer",
    "Taken.rejected": "a request has at most 1,000 events",
    "Taken.facts": "a request has at most 1,000 events",
    "HeldEventsDetail.beginning": "the first 100",
    "HeldEventsDetail.external_ids": "the first 100",
    "HeldEventsDetail.names": "of the first 100 of both lists",
    "StoppedScimView.people": "the first 100",
    "UploadedPeople.invalid": "a request has at most 1,000 people",
    "ImportReport.absent": "the first 100",
    "ImportReport.invalid": "the first 100",
    "ImportReport.others": "the first 100",
    "ImportReport.modules": MODULES,
    "WithoutProfile.departments": "the first 100",
    "ImportDecisions.people": "seats is asked about at most 100 people",
    "DecidedPersonView.modules": MODULES,
    "InvalidPersonView.errors": "an answer names at most 20 faults of one person",
    "ImportChange.errors": "an answer names at most 20 faults of one person",
    "ImportChange.before": "the values of one person, and those of at most 20 later days",
    "ImportChange.after": "the values of one person, and those of at most 20 later days",
    "Rejected.errors": "an answer names at most 20 faults of one event",
    "users GET /v1/tenants/{tenant}/department-mapping": "a mapping has at most 10,000 departments, and is set and read as one",
    "users PUT /v1/tenants/{tenant}/department-mapping": "a mapping has at most 10,000 departments, and is set and read as one",
    "ProfileView.warnings": MODULES,
    "ChargeView.decisions": "those of one charge",
    "ChargeView.invoices": "those of one charge",
    "InvoiceView.related": "at most 100 of each relation",
    "InvoiceView.corrects": "a credit note corrects the invoices of one period",
    "ScimConnectionView.tokens": "a connection has few tokens",
    "ScimConnectionView.user_types": "a request has a limited number",
    "RoleView.rights": RIGHTS,
    "ApiClientView.rights": RIGHTS,
    "ApiClientView.secrets": "a client has at most two",
    "NewApiClientView.rights": RIGHTS,
    "NewApiClientView.secrets": "a client has at most two",
    # Of one person.
    "PreviewView.modules": MODULES,
    "PreviewView.not_subscribed": MODULES,
    "PreviewView.expansions": MODULES,
    "ImportDecisions.expansions": MODULES,
    "ImportDecisions.reductions": MODULES,
    "PeoplePage.pools": "one of each module of the subscription",
    "PersonView.modules": MODULES,
    "OpenedInvitation.modules": MODULES,
    "PersonView.roles": ROLES,
    "PersonRolesView.roles": ROLES,
    "PersonRolesView.group_roles": ROLES,
    "PersonRolesView.rights": RIGHTS,
    "PersonRolesView.viewset": "a request has at most 1,000 departments",
    "PersonRolesView.unknown_departments": "some of those of the viewset",
    "ReleaseView.modules": MODULES,
    "ReadyReduction.items": MODULES,
    "TerminationView.licences": MODULES,
    "PersonView.notes": "one of each kind",
    "PersonView.overrides": "one of each field",
    "PersonView.timelines": "one of each source, and a tenant has few sources",
    "PersonView.in_conflict": "the people whom sources report with one login, number or address",
    "FirstMatch.people": "the people with one login, number or address",
    "MatchedView.people": "the people with one login, number or address",
    "MatchedView.would_require": MODULES,
    "MatchedView.released": MODULES,
    "DifferencesPage.sources": "a tenant has a limited number of sources",
    "DifferingPerson.sources": "a person has one of each source",
    "DifferingPerson.differences": "a person has a difference of each kind and source",
    "DifferingPerson.required": MODULES,
    "DifferingPerson.seats": MODULES,
    "DifferenceView.modules": MODULES,
    "DifferenceView.would_require": MODULES,
    "LicencesView.modules": MODULES,
    "ModuleLicencesView.pending_orders": "at most 100 orders of a tenant",
    "LicenceHistoryView.days": "at most 366",
    "UpcomingInvoiceView.lines": MODULES,
    "UpcomingInvoiceView.taxes": MODULES,
    "ContractChangeView.changes": "the fields of one policy or contract",
    "ContractChangeView.detail": FREE,
    "PlanChangeView.changes": "the policies of each module",
    "PlanChangeView.closes": MODULES,
    "PlanChangeView.reduces": MODULES,
    "PlanChangeView.would_flag": MODULES,
    "PlanChangeView.would_cancel": MODULES,
    "PlanChangeView.detail": FREE,
    "UnitPrice.steps": STEPS,
    "QuoteLine.steps": STEPS,
    "PlanVersionView.changes": MODULES,
    "CatalogueView.modules": CATALOGUE,
    "CatalogueView.plans": CATALOGUE,
    "AppliedView.differences": CATALOGUE,
    "AppliedView.subscriptions": CATALOGUE,
    "QuoteView.cancels_closing": MODULES,
    "QuoteView.notes": MODULES,
    **{f"{view}.{name}": MODULES for view in REQUESTS for name in ("items", "discounts", "quotes", "orders", "reductions")},
    **{f"{view}.history": "the vendor's operator makes estimates, and each of the other steps happens once" for view in REQUESTS},
    "QuoteView.approvals": "two people approve a quote at most",
    "QuoteView.history": "a quote takes each of its states once",
    "OrderView.history": "a quote takes each of its states once",
    "StepView.detail": FREE,
    "VerificationView.differences": "the first 100",
    "ConflictView.people": "the people with one login, number or address",
    "PersonDataView.data": "the rows about one person, whom few messages concern",
    "PersonDataView.elsewhere": "one of each service",
    "BulkChangeView.people": "the people of the request",
    "BulkChangeView.pools": MODULES,
    "BulkChangeView.expansions": MODULES,
    "ChangedPerson.modules": MODULES,
    "CostPreviewView.expansions": MODULES,
    "CostPreviewView.reductions": MODULES,
    "SettingsPreviewView.modules": MODULES,
    "SettingsPreviewView.not_subscribed": MODULES,
    "SettingsPreviewView.outcomes": MODULES,
    "SettingsPreviewView.expansions": MODULES,
    "TimelinesView.timelines": "the sources of one person",
    "StatedTimeline.facts": "the days on which something about one person changes",
    "StatedFact.values": FREE,
    "users GET /v1/tenants/{tenant}/people/{user}/why": "one of each field",
    "TenantSourceView.match_by": "there are three",
    "Person.modules": MODULES,
    "Person.need": MODULES,
    "Why.chain": "`limit`, and `complete` says whether there is more",
    "Link.decisions": "of one command about one person",
    "Link.command": FREE,
    # Of one invoice.
    "InvoiceView.lines": MODULES,
    "InvoiceView.taxes": MODULES,
    "InvoiceView.orders": "the purchases of one period",
    "InvoiceLine.charges": "the purchases of one period",
    "Email.invoices": "of one e-mail",
    "EmailWithText.invoices": "of one e-mail",
    # Of a service.
    "PublicKeys.keys": "the next key is refused while three are published",
    "IdleCheck.waiting_for": "what a service can wait for",
    "ResumedView.sent": MODULES,
    "ServiceStatus.groups": "consumer groups of a service",
    "GroupStatus.topics_behind": "topics that a group reads; those of HR sources are registered by the operator",
    "users GET /v1/tenants/{tenant}/statistics": "the states of people",
    "users POST /v1/operator/republish": FREE,
    "seats GET /v1/tenants/{tenant}/statistics": FREE,
    "seats GET /v1/tenants/{tenant}/idle": FREE,
    "seats GET /v1/tenants/{tenant}/forecast": "an answer of more than 4 MiB is refused",
    "seats POST /v1/tenants/{tenant}/what-if": "an answer of more than 4 MiB is refused",
    "Action.from": FREE,
    "Action.to": FREE,
    "Action.details": FREE,
    "OrderView.detail": FREE,
    "PoolView.policies": FREE,
    "PoolAnswer.policies": FREE,
    "SubscribedModuleView.policies": FREE,
    "Page_dict_str__Any__.items": FREE,
} | {
    f"{service} {route}": FREE
    for service in ("users", "invoicing", "notifier")
    for route in (
        "GET /v1/operator/dead-letters/{letter}",
        "POST /v1/operator/dead-letters/{letter}/retry",
        "POST /v1/operator/dead-letters/{letter}/discard",
    )
}  # fmt: skip
PAGED_MODELS = {"PeoplePage.items", "DifferencesPage.items", "MatchesPage.items", "Pools.items", "Seats.items"}


def lists(schema: dict[str, Any], models: dict[str, Any], place: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the places of lists and of objects with any keys."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        for field, inner in models[name].get("properties", {}).items():
            yield from lists(inner, models, f"{name}.{field}", seen | {name})
    for inner in (each for kind in ("anyOf", "oneOf", "allOf") for each in schema.get(kind, [])):
        yield from lists(inner, models, place, seen)
    inside = schema.get("items", schema.get("additionalProperties"))
    if inside and "maxItems" not in schema:
        yield place
        yield from lists(inside if isinstance(inside, dict) else {}, models, place, seen)


def answers() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield each list of each answer, with its operation."""
    for service, app in all_apps().items():
        document = app.openapi()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                route = f"{service} {method.upper()} {path}"
                for status, answer in operation["responses"].items():
                    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                    for place in lists(schema, document["components"]["schemas"], route) if status < "300" else ():
                        yield route, operation, place


def test_every_list_of_items_is_served_in_pages_of_at_most_200() -> None:
    paged = {
        route: {each["name"]: each["schema"] for each in operation.get("parameters", [])}
        for route, operation, place in answers()
        if place.endswith(".items") and place not in BOUNDED
    }
    assert len(paged) >= 14
    assert {route for route, parameters in paged.items() if "cursor" not in parameters} == set()
    assert {route: parameters.get("limit", {}).get("maximum") for route, parameters in paged.items()} == dict.fromkeys(paged, LIMIT_MAX)
    assert LIMIT_MAX == 200
    limited = {
        f"{service} {method.upper()} {path}"
        for service, app in all_apps().items()
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "limit" and parameter["schema"]["maximum"] > LIMIT_MAX
    }
    assert limited == set()


def test_every_other_list_of_an_answer_is_bounded_and_the_reason_is_known() -> None:
    found = {place for *_, place in answers()}
    pages = {place for place in found if place.endswith(".items") and (place.startswith("Page_") or place in PAGED_MODELS)}
    assert found - pages - set(BOUNDED) == set(), "serve it in pages, or say why it cannot grow"
    assert set(BOUNDED) - found == set(), "these are gone"

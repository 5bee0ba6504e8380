"""Entries of the action log as plain sentences. `%(person)s`, `%(module)s` and so on are filled in by `sentence`."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from services.console.rendering import languages
from services.console.rendering.formats import Formats
from services.console.rendering.navigation import N_
from services.console.rendering.people_texts import KINDS as KINDS_OF_PEOPLE
from services.console.rendering.policy_texts import CHARGE_WHEN, CREDIT_WHEN, OVER_LIMIT, OVERDUE_ACTIONS, REDUCE_AT, REDUCE_BELOW_USE
from services.console.rendering.tax_texts import TAX_CATEGORIES, TAX_RULES
from shared.text import split_list
from shared.web.auth import is_vendor

Gettext = Callable[[str], str]

# The kinds by which the log is filtered: a title, and the types of the entries with their sentences. REST takes 30 types at a time.
KINDS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "seats": (
        N_("Seats of people"),
        {
            "seat_granted": N_("%(person)s got a seat of %(module)s."),
            "seat_flagged": N_("%(person)s is over the limit in %(module)s."),
            "seat_flag_cleared": N_("%(person)s is no longer over the limit in %(module)s."),
            "seat_queued": N_("%(person)s waits for a licence of %(module)s."),
            "seat_refused": N_("%(person)s was refused a seat of %(module)s."),
            "seat_revoked": N_("%(person)s lost the seat of %(module)s."),
            "seat_released": N_("%(person)s gave up the seat of %(module)s."),
            "seat_held": N_("A seat of %(module)s was reserved for %(person)s."),
            "seat_moved": N_("The seat of %(person)s in %(module)s went to another person."),
            "seat_changed": N_("The seat of %(person)s in %(module)s changed."),
            "hold_cancelled": N_("The reservation of %(module)s for %(person)s was withdrawn."),
            "hold_expired": N_("The reservation of %(module)s for %(person)s expired."),
            "replacement_refused": N_("Seats could not be moved to %(person)s."),
            "grace_ending": N_("%(person)s was reminded that the seat of %(module)s ends soon."),
        },
    ),
    "licences": (
        N_("Licences"),
        {
            "licences_added": N_("Licences of %(module)s were bought."),
            "licences_reduced": N_("Licences of %(module)s were reduced."),
            "reduction_scheduled": N_("The licences of %(module)s for the next period were set."),
            "reduction_refused": N_("A reduction of %(module)s was refused."),
            "reduction_kept": N_("The reduction of %(module)s stays, although the leaving was taken back."),
            "pool_opened": N_("The module %(module)s was opened."),
            "pool_expanded": N_("%(module)s expanded over its limit, as its policy says."),
            "pool_reduced": N_("%(module)s was reduced, because a person left."),
            "pool_restored": N_("The reduction of %(module)s was taken back."),
            "pool_close_scheduled": N_("%(module)s will close at the end of the period."),
            "pool_closed": N_("%(module)s was closed."),
            "pool_near_limit": N_("Nearly all licences of %(module)s are in use."),
            "pool_at_limit": N_("All licences of %(module)s are in use."),
            "warning_armed": N_("%(module)s has free licences again. The warning is ready for the next time."),
            "licences_free": N_("Licences of %(module)s are free again, and refused people could have them."),
            "policy_changed": N_("The policies of %(module)s changed."),
            "expansion_limited": N_("The automatic expansion of %(module)s was limited."),
            "period_scheduled": N_("The next period was scheduled."),
            "period_started": N_("A new period began for %(module)s."),
            "order_refused": N_("An order was refused, because the numbers had changed."),
            "command_rejected": N_("A request was rejected because it was not valid."),
            "command_failed": N_("A request could not be decided because of an error."),
            "settle_failed": N_("Due items could not be applied because of an error."),
        },
    ),
    "people": (
        N_("People"),
        {
            "person_added": N_("%(person)s was added."),
            "person_changed": N_("The data of %(person)s changed."),
            "person_left": N_("%(person)s left."),
            "person_invited": N_("%(person)s was invited."),
            "person_erased": N_("The data of %(person)s was erased."),
            "person_linked": N_("A report of %(source)s was linked to %(person)s."),
            "person_separated": N_("A report of %(source)s was separated from %(person)s."),
            "invitation_expired": N_("The invitation of %(person)s expired."),
            "hand_over_due": N_("Somebody has to take over the items of %(person)s."),
            "conflict_found": N_("%(person)s may be somebody whom you have already."),
            "possible_duplicates": N_("New people of %(source)s may be duplicates."),
            "changes_stopped": N_("Changes from %(source)s were stopped, because too many people would lose access."),
            "profile_defined": N_("The profile %(profile)s was defined."),
            "department_mapped": N_("The department %(department)s got a profile."),
        },
    ),
    "access": (
        N_("Roles and access"),
        {
            "role_defined": N_("The role %(role)s was defined."),
            "role_deleted": N_("The role %(role)s was deleted."),
            "last_owner_lost": N_("The last owner lost the role, because %(person)s left or was blocked."),
            "api_client_changed": N_("The API client %(name)s changed."),
            "api_client_revoked": N_("The API client %(name)s was revoked."),
            "identity_provider_changed": N_("The identity provider %(issuer)s changed."),
            "scim_connection_changed": N_("The SCIM connection %(connection)s changed."),
            "scim_connection_removed": N_("The SCIM connection %(connection)s was removed."),
            "scim_group_mapped": N_("The profile or the role of a group of the SCIM connection %(connection)s was changed."),
            "scim_token_changed": N_("A token of the SCIM connection %(connection)s changed."),
            "scim_token_ending": N_("A token of the SCIM connection %(connection)s ends in %(days)s days."),
            "sign_in_link_requested": N_("%(person)s requested a link to sign in."),
            "sign_in_unconfirmed": N_(
                "The login or e-mail address of %(person)s changed. It must be confirmed before it counts for sign-in."
            ),
            "sign_in_confirmed": N_("The login and e-mail address of %(person)s were confirmed for signing in."),
            "emergency_link_used": N_("%(person)s signed in by link although the identity provider is required."),
            "operator_link_requested": N_("An operator requested a link to sign in."),
            "tenant_opened_by_operator": N_("The vendor opened this company to read it."),
        },
    ),
    "orders": (
        N_("Orders"),
        {
            "quote_issued": N_("A quote for %(module)s was requested."),
            "quote_approved": N_("A quote was approved."),
            "quote_expired": N_("A quote expired."),
            "quote_withdrawn": N_("A quote was withdrawn."),
            "second_approval_needed": N_("A purchase waits for a second approval."),
            "order_completed": N_("The order of %(module)s was completed."),
            "purchase_request_changed": N_("A request to the vendor changed."),
            "purchase_settings_changed": N_("The rules for purchases were changed."),
            "purchases_blocked": N_("Purchases were blocked, because invoices are overdue."),
            "purchases_unblocked": N_("Purchases are possible again."),
            "reduction_ordered": N_("A reduction was ordered."),
        },
    ),
    "invoices": (
        N_("Invoices and payments"),
        {
            "invoice_issued": N_("The invoice or credit note %(number)s was issued."),
            "charge_booked": N_("A charge for %(module)s was booked."),
            "day_charged": N_("What changed on %(day)s was charged."),
            "payment_recorded": N_("A payment was recorded."),
            "payment_taken_back": N_("A payment was taken back."),
            "payment_reminded": N_("A reminder of the invoice %(number)s was sent."),
            "credit_set_off": N_("A credit note was set off against an invoice."),
            "credit_kept": N_("A credit note was kept for later invoices."),
            "overdue_action_changed": N_("The setting for overdue invoices was changed."),
            "overdue_decision_due": N_("The vendor has to decide about overdue invoices."),
            "billing_details_changed": N_("The billing details changed."),
        },
    ),
    "contract": (
        N_("Plan and subscription"),
        {
            "subscription_started": N_("The subscription started."),
            "subscription_activated": N_("The subscription is active."),
            "subscription_ending": N_("The subscription will end."),
            "subscription_ending_soon": N_("A reminder that the subscription ends soon was sent."),
            "subscription_ended": N_("The subscription ended."),
            "subscription_kept": N_("The subscription goes on: its ending was taken back."),
            "trial_ending_soon": N_("A reminder that the trial ends soon was sent."),
            "contract_changed": N_("The contract changed."),
            "terms_applied": N_("The prices and billing details in force were applied."),
            "policies_changed": N_("The policies of the subscription changed."),
            "plan_change_scheduled": N_("Another plan or term was scheduled."),
            "plan_change_withdrawn": N_("The change of the plan was withdrawn."),
            "plan_change_dropped": N_("The change of the plan no longer fitted and was dropped."),
            "module_added": N_("The module %(module)s was added."),
            "discount_granted": N_("A discount was granted."),
            "discount_withdrawn": N_("A discount was withdrawn."),
            "price_change_withdrawn": N_("A change of prices or conditions that was announced will not take place."),
            "price_change_announced": N_("New prices or conditions were announced."),
            "renewal_forecast": N_("A reminder of the renewal was sent, because it puts people over the limit or ends reservations."),
            "plan_defined": N_("The plan %(plan)s was defined."),
            "module_defined": N_("The module %(module)s was defined."),
        },
    ),
    "settings": (
        N_("Company"),
        {
            "tenant_created": N_("The company was created."),
            "tenant_changed": N_("The settings of the company changed."),
            "tenant_opened": N_("The company was opened."),
            "clock_advancing": N_("The test clock was advanced."),
        },
    ),
}
SENTENCES: Final = {type_: text for _, types in KINDS.values() for type_, text in types.items()}
_REQUESTS: Final = {  # by the state that a request to the vendor takes
    "requested": N_("A request to the vendor was made."),
    "estimated": N_("The vendor sent an estimate for a request."),
    "approved": N_("An estimate of the vendor was approved."),
    "declined": N_("The vendor declined a request."),
    "withdrawn": N_("A request to the vendor was withdrawn."),
    "expired": N_("An estimate of the vendor expired."),
}
_DOCUMENTS: Final = {  # by the kind of the document that was issued
    "invoice": N_("The invoice %(number)s was issued."),
    "credit_note": N_("The credit note %(number)s was issued."),
}
_CONFLICTS: Final = {  # by the reason for which somebody takes no seat until it is decided
    "login_in_use": N_("%(person)s has the login of another employed person."),
    "several_people": N_("Several people match %(person)s."),
    "same_source": N_("The same source knows the person who matches %(person)s under another id."),
    "privileged": N_("%(person)s matches somebody who may manage people or purchases, by e-mail address only."),
    "possible_duplicate": N_("%(person)s is one of many new people of a source who match nobody."),
}
_COUNTED: Final = {  # with the number of licences
    "quote_issued": N_("A quote for %(module)s was requested: +%(quantity)s."),
    "order_completed": N_("The order of %(module)s was completed: +%(quantity)s."),
    "quote_approved": N_("A quote was approved: %(lines)s."),
    "second_approval_needed": N_("A purchase waits for a second approval: %(lines)s."),
}
OF_SEATS: Final = KINDS["seats"][1]  # the reasons of these entries are decisions; those of the others only repeat the sentence
FIELDS: Final = {
    "licences": N_("Licences"),
    "next_period": N_("Next period"),
    "policies": N_("Policies"),
    "state": N_("State"),
    "status": N_("Status"),
    "modules": N_("Modules"),
    "roles": N_("Roles"),
    "rights": N_("Rights"),
    "departments": N_("Departments"),
    "department": N_("Department"),
    "profile": N_("Profile"),
    "name": N_("Name"),
    "login": N_("Login"),
    "email": N_("E-mail address"),
    "job_title": N_("Job title"),
    "kind": N_("Kind"),
    "administrator": N_("Administrator"),
    "may_sign_in": N_("May sign in to the console"),
    "digests": N_("Digests"),
    "time_zone": N_("Time zone"),
    "locale": N_("Language and country"),
    "contact_email": N_("Contact address"),
    "support_contact": N_("Support contact"),
    "erase_after_months": N_("Leavers are erased after months"),
    "clock": N_("Time"),
    "second_approver": N_("Second approver"),
    "monthly_budget_minor": N_("Monthly budget"),
    "legal_name": N_("Legal name"),
    "vat_id": N_("VAT ID"),
    "country": N_("Country"),
    "subscription.ends_on": N_("First day without the subscription"),
    "subscription.status": N_("Status"),
    "request.state": N_("State"),
    "over_limit": N_("No licence is free"),
    "grace": N_("Time over the limit"),
    "flag_cap": N_("People over the limit at once"),
    "expand_cap": N_("Largest number of licences"),
    "warn_at": N_("Warning that licences run out"),
    "terminate_reduces_pool": N_("A leaver's licence is given back"),
    "reduce_at": N_("A reduction takes effect"),
    "reduce_below_use": N_("You reduce below what is in use"),
    "charge_when": N_("Licences are bought"),
    "credit_when": N_("Licences are given back"),
    "zero_invoices": N_("Documents whose total is 0.00"),
    "release_on_expiry": N_("Release the seats of a person whose login ends"),
    "ordering": N_("How you buy"),
    "overdue_action": N_("If invoices are overdue"),
    "plan": N_("Plan"),
    "term": N_("Term"),
    "price": N_("Price of a period"),
    "allows_extra_licences": N_("The plan allows extra licences"),
    "minimum": N_("Fewest licences"),
    "maximum": N_("Most licences"),
    "included": N_("Licences without charge"),
    "role": N_("Role"),
    "issuer": N_("Issuer"),
    "client_id": N_("Client id"),
    "client_secret": N_("Client secret"),
    "match_claims": N_("Claims that name the person"),
    "trust_email": N_("Believe the e-mail address without “email_verified”"),
    "required": N_("Everybody has to sign in with it"),
    "emergency_links": N_("Owners can sign in by an e-mail link all the same"),
    "on_full": N_("A new person, and no licence is free"),
    "deactivation": N_("The identity provider deactivates a person"),
    "tax_category": N_("Tax category"),
    "tax_rate_percent": N_("Tax rate"),
    "tax_reason": N_("Why no tax is charged"),
    "tax_rule": N_("Tax rule"),
    "rate_country": N_("Country of the tax rate"),
    "price_notice": N_("Notice of other prices"),
    "secrets": N_("Secrets"),
    "user_types": N_("Kinds of people by their userType"),
    "confirmed_email": N_("E-mail address for signing in"),
    "discount.module": N_("Discount on"),
    "discount.percent": N_("Discount"),
    "discount.amount_minor": N_("Discount for each period"),
    "discount.from_day": N_("Discount from"),
    "discount.until_day": N_("First day without the discount"),
    "discount.text": N_("Reason of the discount"),
}
STATES: Final = {
    "none": N_("no seat"),
    "active": N_("active"),
    "flagged": N_("over the limit"),
    "held": N_("reserved"),
    "waiting": N_("waiting"),
    "refused": N_("refused"),
    "revoked": N_("lost"),
    "invited": N_("invited"),
    "over_limit": N_("over the limit"),
    "not_subscribed": N_("not subscribed"),
    "deactivated": N_("deactivated"),
    "inactive": N_("inactive"),
    "left": N_("left"),
    "conflict": N_("in conflict"),
    "expected": N_("expected"),
    "open": N_("open"),
    "ended": N_("ended"),
    "requested": N_("requested"),
    "estimated": N_("estimate made"),
    "approved": N_("approved"),
    "declined": N_("declined"),
    "withdrawn": N_("withdrawn"),
    "expired": N_("expired"),
}
CODES: Final[Mapping[str, Mapping[str, str]]] = {  # words for the values of a field, by its last name
    "state": STATES,
    "status": STATES,
    "kind": KINDS_OF_PEOPLE,
    "over_limit": OVER_LIMIT,
    "reduce_at": REDUCE_AT,
    "reduce_below_use": REDUCE_BELOW_USE,
    "charge_when": CHARGE_WHEN,
    "credit_when": CREDIT_WHEN,
    "second_approver": {
        "none": N_("one person"),
        "above_budget": N_("two people, above the monthly budget"),
        "always": N_("always two people"),
    },
    "ordering": {"self_service": N_("directly, on these pages"), "by_request": N_("by request to the vendor")},
    "term": {"monthly": N_("monthly"), "annual": N_("yearly")},
    "clock": {"test": N_("test clock"), "real": N_("real time")},
    "on_full": {"create": N_("Add the person without a licence"), "refuse": N_("Answer with an error")},
    "deactivation": {"suspends": N_("The login is blocked"), "leaves": N_("The person has left")},
    "overdue_action": OVERDUE_ACTIONS,
    "tax_rule": TAX_RULES,
    "tax_category": TAX_CATEGORIES,
}
SERVICES: Final = ("users", "seats", "invoicing", "notifier")
_LISTS: Final = ("role", "roles", "rights", "modules", "departments")
_NAMED: Final = ("profile", "plan", "discount.module")  # ids, of which the reader knows the names
_COUNTRIES: Final = ("country", "rate_country")
_DURATIONS: Final = ("grace", "price_notice")
_PERCENTAGES: Final = ("percent", "tax_rate_percent")
_PERCENTAGE: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")  # no number of a service is longer
_NUMBERS: Final = ("licences", "next_period", "flag_cap", "expand_cap", "erase_after_months", "quantity", "days")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT: Final = re.compile(_DAY.pattern + r"T[0-9:.]+Z")
A_PERSON: Final = N_("A person")  # at the beginning of a sentence
UNKNOWN_PERSON: Final = N_("an unknown person")  # within one
ERASED: Final = N_("The data of a person was erased.")
UNKNOWN: Final = N_("An entry of the type %(type)s.")


@dataclass(frozen=True, slots=True)
class Words:
    """How a reader reads values. `named` has the names of modules, roles and rights by their ids; `duration` writes P7D as 7 days."""

    gettext: Gettext
    formats: Formats
    duration: Gettext
    named: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)  # of the fields of a form, whose values the log does not have


class _Values(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "–"


def sentence(entry: Mapping[str, Any], words: Words, person: str, module: str) -> Markup:
    """Return what happened. Names come from outside: each is escaped, and isolated from the direction of the text around it. `person`:
    empty for somebody who was erased, or whom the reader does not see."""
    details = {name: _value(name, value, None, words) for name, value in entry["details"].items() if isinstance(value, str | int)}
    values = _Values({name: Markup("<bdi>{}</bdi>").format(value) for name, value in details.items()})
    text = words.gettext(_exact(entry) or SENTENCES.get(entry["type"], UNKNOWN))
    if not person and entry["type"] == "person_erased":
        return Markup("{}").format(words.gettext(ERASED))
    person = person or words.gettext(A_PERSON if text.startswith("%(person)s") else UNKNOWN_PERSON)
    values |= {"person": Markup("<bdi>{}</bdi>").format(person), "module": Markup("<bdi>{}</bdi>").format(module), "type": entry["type"]}
    return Markup(text) % values  # noqa: S704 - the catalogue's text; the values are escaped


def _exact(entry: Mapping[str, Any]) -> str | None:
    """Return the sentence that says more than the type of the entry, if its details are known."""
    details = entry["details"]
    match entry["type"]:
        case "purchase_request_changed":
            return _REQUESTS.get(str(entry["to"].get("request.state")))
        case "invoice_issued":
            return _DOCUMENTS.get(str(details.get("kind")))
        case "conflict_found":
            return _CONFLICTS.get(str(details.get("conflict")))
        case "quote_approved" | "second_approval_needed" as type_:
            return _COUNTED[type_] if isinstance(details.get("lines"), str) else None
        case type_:
            return _COUNTED.get(type_) if details.get("quantity") else None


def with_lines(entries: Sequence[dict[str, Any]], modules: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the entries; those about the approval of a quote have what is bought in words. Approvals of the first installations do not say
    it: they have it if the request of the quote is among the entries."""
    requested: dict[str, list[tuple[str, int]]] = {}
    for each in entries:
        if each["type"] == "quote_issued" and each["details"].get("quantity"):
            requested.setdefault(each["details"]["quote"], []).append((each["module"], each["details"]["quantity"]))
    found = []
    for each in entries:
        details = each["details"]
        if each["type"] == "quote_approved":
            said = [(line["module"], line["licences"]) for line in details.get("bought", ())]
            bought = said or requested.get(details.get("quote"), [])
        elif each["type"] == "second_approval_needed":
            bought = [(line["module"], line["quantity"]) for line in details.get("lines", ())]
        else:
            bought = []
        lines = ", ".join(f"{modules.get(module, module)} +{number}" for module, number in bought)
        found.append(each | {"details": details | {"lines": lines}} if lines else each)
    return found


def changes(entry: Mapping[str, Any], words: Words) -> list[tuple[str, str, str]]:
    """Return what changed: the name of the field, and its value before and after."""
    before, after = _each_policy(entry["from"], entry["to"])
    currency = entry["details"].get("currency")
    found = []
    names = list(dict.fromkeys((*before, *after)))
    if entry["type"] == "billing_details_changed":  # the log has no values of an address
        unsaid = [
            words.gettext(words.labels[name]) for name in names if before.get(name) is after.get(name) is None and name in words.labels
        ]
        found += [(words.gettext(N_("Changed")), "", ", ".join(unsaid))] if unsaid else []
    for name in names:
        old, new = before.get(name), after.get(name)
        if old != new:
            in_words = _difference(name, old, new, words) or (_value(name, old, currency, words), _value(name, new, currency, words))
            found.append((_field(name, words), *in_words))
    return found


def _difference(name: str, before: Any, after: Any, words: Words) -> tuple[str, str] | None:
    """Return what was added to a list and what was removed from it; None for what is no list, or is new or gone as a whole."""
    if name.rpartition(".")[2] not in _LISTS or not before or not after:
        return None
    old, new = (split_list(str(value)) for value in (before, after))
    parts = [
        words.gettext(text) % {"names": _listed(changed, words)}
        for text, changed in (
            (N_("added: %(names)s"), [each for each in new if each not in old]),
            (N_("removed: %(names)s"), [each for each in old if each not in new]),
        )
        if changed
    ]
    return ("", "; ".join(parts)) if parts else None


def _each_policy(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the same with each policy as a field of its own where policies changed: those that did not change are left out then. A new
    pool's policies stay together."""
    changed = [name for name in before if name.rpartition(".")[2] == "policies" and before[name] and after.get(name)]
    if not changed:
        return before, after

    def apart(values: Mapping[str, Any]) -> Mapping[str, Any]:
        found = {name: value for name, value in values.items() if name not in changed}
        for name in changed:
            found |= {f"{name[: -len('policies')]}{policy}": value for policy, value in _policies_of(values[name]).items()}
        return found

    return apart(before), apart(after)


def _policies_of(text: str) -> dict[str, Any]:
    """Return the policies of a pool by their names. The log has them as `over_limit=flag, grace=P7D`."""
    given = (each.partition("=") for each in text.split(", "))
    return {name: {"True": True, "False": False}.get(value, value) for name, _, value in given}


def actor(by: Mapping[str, Any], gettext: Callable[..., str]) -> str:
    """Return who did it, if it was nobody of the tenant: Seatpool, an operator, an HR system, a SCIM connection, or a program."""
    kind, name = by["kind"], str(by["id"])
    if kind == "system" or name in SERVICES:
        return "Seatpool"
    if is_vendor(by):
        return gettext("An operator of the vendor")
    source = re.fullmatch(r"(hr|scim)[:/](.+)", name)
    if source is None:
        return name
    return gettext("HR system %(name)s", name=source[2]) if source[1] == "hr" else gettext("SCIM connection %(name)s", name=source[2])


def _field(name: str, words: Words) -> str:
    """Return the name of a field; `lab.licences` is the field `licences` of the module `lab`."""
    if (known := FIELDS.get(name)) is not None:
        return words.gettext(known)
    module, _, last = name.rpartition(".")
    shown = words.gettext(FIELDS[last]) if last in FIELDS else last.replace("_", " ")
    return f"{words.named.get(module, module)}: {shown}" if module else shown


def _policies(text: str, words: Words) -> str:
    """Return the policies of a pool as a reader reads them."""
    return "; ".join(f"{_field(name, words)}: {_value(name, value, None, words)}" for name, value in _policies_of(text).items())


def _listed(ids: Sequence[str], words: Words) -> str:
    """Return the names of a list. Where one of them has a comma, semicolons separate them."""
    names = [words.named.get(each, each) for each in ids]
    return ("; " if any("," in each for each in names) else ", ").join(names)


def _time(text: str, words: Words) -> str:
    """Return the day or the moment that a text is; empty for any other text."""
    with suppress(ValueError, OverflowError):  # a name or a reason can look like a day that no calendar has
        if _DAY.fullmatch(text):
            return words.formats.day(text)
        if _INSTANT.fullmatch(text):
            return words.formats.moment(text)
    return ""


def _value(name: str, value: Any, currency: str | None, words: Words) -> str:
    last, text = name.rpartition(".")[2], str(value)
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return words.gettext(N_("yes")) if value else words.gettext(N_("no"))
    if text in CODES.get(last, ()):
        return words.gettext(CODES[last][text])
    if last == "policies" and "=" in text:
        return _policies(text, words)
    if last in _LISTS:
        return _listed(split_list(text), words)
    if last == "secrets":  # the log has their ids
        return words.formats.number(len(split_list(text)))
    if last in _NAMED or name in _NAMED:
        return words.named.get(text, text)
    if last in _COUNTRIES:
        return dict(languages.names_of_countries(words.formats.language)).get(text, text)
    if last == "locale":
        return languages.name_of(text, words.formats.language)
    if last in _PERCENTAGES and _PERCENTAGE.fullmatch(text):
        return words.formats.percent(text)
    if currency and _WHOLE.fullmatch(text) and (last == "price" or last.endswith("_minor")):
        return words.formats.money(int(text), currency)
    if last in _NUMBERS and _WHOLE.fullmatch(text):
        return words.formats.number(int(text))
    if last in _DURATIONS:
        return words.duration(text)
    return _time(text, words) or text

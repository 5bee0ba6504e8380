"""The labels of the fields of all forms, for a form that is kept while its reader signs in again: its own page is not shown then."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.console.rendering.log_sentences import CODES
from services.console.rendering.policy_texts import LEAVER, UNIT_NAMES
from shared.translations import N_

LABELS: Final = {
    "action": N_("What to do"),
    "absent": N_("People who are missing from it"),
    "afterwards": N_("Afterwards, the replaced person"),
    "amount": N_("Amount"),
    "budget": N_("Monthly budget"),
    "by": N_("How far"),
    "buyer_reference": N_("Your reference"),
    "charge_when": N_("Licences are bought"),
    "choice": N_("Plan and term"),
    "city": N_("City"),
    "claims": N_("Claims that name the person"),
    "client_id": N_("Client id"),
    "clock": N_("With a test clock"),
    "columns": N_("Columns"),
    "company": N_("Company"),
    "complete": N_("The file has everybody of this source"),
    "confirmed": N_("The company loses its access now"),
    "contact_email": N_("Contact address"),
    "copy_to_administrators": N_("Send a copy to the administrators who may buy"),
    "count": N_("Licences"),
    "country": N_("Country"),
    "credit_when": N_("Licences are given back"),
    "d": N_("Discount"),
    "dates": N_("Dates"),
    "days": N_("Valid for days"),
    "deactivation": N_("The identity provider deactivates a person"),
    "department": N_("Department"),
    "departments": N_("Departments"),
    "document_format": N_("Format of documents"),
    "electronic_address": N_("Address for electronic invoices"),
    "email": N_("E-mail address"),
    "emergency_links": N_("Owners can sign in by an e-mail link all the same"),
    "encoding": N_("Encoding"),
    "end_dates": N_("End dates"),
    "erase_after_months": N_("Months after which people who have left are erased"),
    "expand_cap": N_("Largest number of licences"),
    "external_id": N_("Your own id"),
    "flag_cap": N_("People over the limit at once"),
    "from_day": N_("First day"),
    "genuine": N_("Discard it although the owner of the topic wrote it"),
    "grace": N_("Time over the limit"),
    "grace_unit": N_("Unit"),
    "how": N_("How do you state the number?"),
    "invite": N_("Invite the person by e-mail"),
    "issuer": N_("Issuer"),
    "job_title": N_("Job title"),
    "kind": N_("Kind"),
    "kinds": N_("Kinds"),
    "last_day": N_("Last working day"),
    "leaver": N_("Somebody leaves"),
    "licences": N_("Licences"),
    "locale": N_("Language and country"),
    "login": N_("Login"),
    "message": N_("Message"),
    "module": N_("Module"),
    "modules": N_("Modules"),
    "name": N_("Name"),
    "note": N_("What you say about it"),
    "number": N_("Number"),
    "offer": N_("Plan and term"),
    "on_full": N_("A new person, and no licence is free"),
    "organisation_number": N_("Company number"),
    "over_limit": N_("No licence is free"),
    "overdue_action": N_("When an invoice is overdue"),
    "owner_email": N_("E-mail address of the first owner"),
    "owner_name": N_("First owner"),
    "paid_on": N_("Paid on"),
    "partial": N_("Give what is available"),
    "period_start": N_("First day"),
    "periods": N_("Number of periods"),
    "phone": N_("Telephone"),
    "postcode": N_("Postcode"),
    "price": N_("Price of a licence"),
    "profile": N_("Profile"),
    "purchase_order": N_("Purchase order"),
    "reason": N_("Reason"),
    "reduce": N_("Reduce by"),
    "reduce_at": N_("A reduction takes effect"),
    "reduce_below_use": N_("You reduce below what is in use"),
    "reference": N_("Reference"),
    "release_on_expiry": N_("Release the seats of a person whose login ends"),
    "required": N_("Everybody has to sign in with it"),
    "reserve": N_("Reserve the licences of an invited person"),
    "rights": N_("Rights"),
    "role": N_("Role"),
    "roles": N_("Roles"),
    "second_approver": N_("Who approves"),
    "sees": N_("Whom the person sees"),
    "source": N_("Source"),
    "street": N_("Street and number"),
    "support_contact": N_("Your contact for the company"),
    "sure": N_("Erase the data of this person for good"),
    "template": N_("How the company gets licences"),
    "tenant": N_("Short name"),
    "time_zone": N_("Time zone"),
    "trust_email": N_("Believe the e-mail address without “email_verified”"),
    "until_day": N_("First day without it"),
    "valid_to": N_("Login works until"),
    "valid_until": N_("Last day on which it can be approved"),
    "value": N_("Value"),
    "vat_id": N_("VAT ID"),
    "warn": N_("Warning that licences run out"),
    "warn_number": N_("Percentage or number"),
    "when": N_("When"),
    "zero_invoices": N_("Issue invoices and credit notes whose total is 0.00 as well"),
    "add": N_("Add"),
    "user": N_("People"),
}
# Fields that a reader does not enter: what the page knew, and which button was pressed.
NOT_ENTERED: Final = (
    "back", "client_secret", "close", "confirm", "content", "currency", "digests", "effect", "etag", "file", "known", "language",
    "next", "nobody", "plan", "secret", "seen", "sort", "step", "takes_effect", "term", "text", "ticket", "to", "token",
    "undo", "version",
)  # fmt: skip
_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    **CODES,
    "action": {"activate": N_("Activate people"), "deactivate": N_("Deactivate people")},
    "kind": {**CODES["kind"], "percent": N_("percentage"), "amount": N_("amount for each period")},
    "leaver": LEAVER,
    "grace_unit": UNIT_NAMES,
    "by": {"day": N_("A day"), "week": N_("A week")},
    "how": {"add": N_("Licences to add"), "total": N_("New total")},
    "sees": {"all": N_("Everybody"), "own": N_("The own department"), "list": N_("These departments")},
    "on_full": {"create": N_("Add the person without a licence"), "refuse": N_("Answer with an error")},
    "deactivation": {"suspends": N_("The login is blocked"), "leaves": N_("The person has left")},
    "when": {"period_end": N_("with the next period")},
    "afterwards": {"left": N_("has left the company"), "blocked": N_("stays, and may not log in")},
    "warn": {
        "none": N_("no warning before all are in use"),
        "share": N_("when this percentage is in use"),
        "left": N_("when this number is left"),
    },
}
DATES: Final = ("from_day", "last_day", "paid_on", "period_start", "until_day", "valid_to", "valid_until")
_COUNTED: Final = ("user",)  # ids, of which the reader knows none


def _parts_of(field: str) -> tuple[int | None, str, str]:
    """Return the number of the discount, the name and the module of a field: `licences-lab` is the field `licences` of the module
    `lab`, and `d0-value` the value of the first discount."""
    name, _, module = field.partition("-")
    return (int(name[1:]), module, "") if name[:1] == "d" and name[1:].isdecimal() else (None, name, module)


def named_values(fields: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the names of the fields whose values may have words: `module` as well if a field is about a module."""
    parts = [_parts_of(field) for field in fields]
    return {name for _, name, _ in parts} | ({"module"} if any(module for _, _, module in parts) else set())


def shown_fields(
    fields: Mapping[str, Sequence[str]], gettext: Callable[[str], str], named: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str]]:
    """Return the labels and the values of what a reader has entered. `named`: the words of values that the services know, by field."""
    found = []
    for field, given in fields.items():
        discount, name, module = _parts_of(field)
        values = [_value(name, each, gettext, named.get(name, {})) for each in given if each]
        if name in LABELS and values:
            before = "" if discount is None else f"{gettext(LABELS['d'])} {discount + 1}: "
            label = before + gettext(LABELS[name]) + (f" ({named.get('module', {}).get(module, module)})" if module else "")
            found.append((label, str(len(values)) if name in _COUNTED else ", ".join(values)))
    return found


def _value(name: str, value: str, gettext: Callable[[str], str], named: Mapping[str, str]) -> str:
    if value in named:
        return named[value]
    known = _VALUES.get(name, {}).get(value)
    return gettext(known) if known else gettext(N_("yes")) if value == "yes" else value

"""Who gets the e-mails about the money of a tenant: the invoice e-mail address of the billing details, the contact of a request, and the
administrators.

These addresses stay in invoicing's database. They are asked for when a digest is due, so an invoice goes to the address that is in force
then.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.notifier.domain.notifications import Audience, Kind, Notification
from services.notifier.email.rendering import Recipient
from services.notifier.store.recipients import PersonRow
from shared.errors import Transient
from shared.schemas.rights import ACCOUNT_BUY, ROLES_MANAGE
from shared.text import one_line

# (tenant, path below the tenant) -> the answer of invoicing, None if there is nothing; raises Transient
FetchDetails = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]
DETAILS: Final = "billing-details"
SHOWN = (  # in this order
    "company",
    "street",
    "postcode",
    "city",
    "country",
    "vat_id",
    "organisation_number",
    "email",
    "copy_to_administrators",
    "document_format",
    "buyer_reference",
    "purchase_order",
    "electronic_address",
    "tax_category",
    "tax_rate_percent",
)


ASKED: Final = frozenset({Audience.BILLED, Audience.SUBSCRIPTION, Audience.REQUEST_CONTACT})  # their addresses are known to invoicing


class DetailsUnavailable(Exception):
    """Invoicing did not say where an e-mail has to go. The e-mail waits."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Billed:
    """The receivers of an e-mail about money, and the changed billing details."""

    addresses: tuple[Recipient, ...] = ()
    copies: bool = True  # to the administrators
    changes: Mapping[str, tuple[FieldChange, ...]] | None = None  # version -> its changes
    contacts: Mapping[str, Recipient] = field(default_factory=dict)  # request -> whom it names


async def fetch(tenant_id: str, notifications: Sequence[Notification], ask: FetchDetails) -> Billed:
    """Ask invoicing for what these notifications need. Raises DetailsUnavailable."""
    try:
        changed = [each.data["version"] for each in notifications if each.kind is Kind.BILLING_DETAILS]
        versions = {version: await ask(tenant_id, f"{DETAILS}/{version}") for version in changed}
        if versions:
            return _of_changes({version: found for version, found in versions.items() if found is not None})
        requests = dict.fromkeys(each.data["request"] for each in notifications if each.kind is Kind.PURCHASE_REQUEST)
        if requests:
            found = {request: await ask(tenant_id, f"purchase-requests/{request}") for request in requests}
            return Billed(contacts={request: _contact(each) for request, each in found.items() if each is not None})
        in_force = await ask(tenant_id, DETAILS)
    except Transient as error:
        raise DetailsUnavailable(str(error)) from error
    return Billed() if in_force is None else Billed((_recipient(in_force),), bool(in_force["copy_to_administrators"]))


def by_contact(
    billed: Billed, notifications: Sequence[Notification], holders: Sequence[PersonRow]
) -> list[tuple[Recipient, list[Notification]]]:
    """Return what each contact is told of their requests. Those who may buy have an e-mail of their own, as administrators."""
    known = {each.email.lower() for each in holders if ACCOUNT_BUY in each.rights}
    shares: dict[str, tuple[Recipient, list[Notification]]] = {}
    for each in notifications:
        contact = billed.contacts.get(each.data["request"])
        if contact is not None and contact.email.lower() not in known:
            shares.setdefault(contact.email, (contact, []))[1].append(each)
    return list(shares.values())


def receivers(billed: Billed, holders: Sequence[PersonRow]) -> list[Recipient]:
    """Return the invoice e-mail addresses, and those administrators who may buy, sign in and get such e-mails."""
    addresses = {each.email.lower() for each in billed.addresses}
    copies = [each for each in holders if ACCOUNT_BUY in each.rights and each.may_sign_in and each.digests] if billed.copies else []
    return [*billed.addresses, *(Recipient(each.email, each.name, each.user_id, each.email.lower() not in addresses) for each in copies)]


def owners(holders: Sequence[PersonRow]) -> list[Recipient]:
    """Return those who may give roles and buy, as owners may, and can sign in."""
    found = [each for each in holders if {ACCOUNT_BUY, ROLES_MANAGE} <= set(each.rights) and each.may_sign_in]
    return [Recipient(each.email, each.name, each.user_id) for each in found]


def _of_changes(versions: Mapping[str, Mapping[str, Any]]) -> Billed:
    """A12: each field before and after, for the old and the new address."""
    addresses: list[Recipient] = []
    changes: dict[str, tuple[FieldChange, ...]] = {}
    for version, found in versions.items():
        before = found["before"] or {}
        addresses += [_recipient(each) for each in (before, found) if each]
        pairs = [FieldChange(name, _shown(before.get(name)), _shown(found[name])) for name in SHOWN]
        changes[version] = tuple(each for each in pairs if each.before != each.after)
    return Billed(tuple(addresses), changes=changes)


def _shown(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


def _contact(request: Mapping[str, Any]) -> Recipient:
    return Recipient(request["contact"]["email"], request["contact"]["name"])


def _recipient(details: Mapping[str, Any]) -> Recipient:
    return Recipient(details["email"], details["company"])

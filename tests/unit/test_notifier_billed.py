"""Who gets the e-mails about money (A12): invoicing is asked when they are due."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.notifier.domain.notifications import Kind, Notification, Stream
from services.notifier.email.billed import DetailsUnavailable, FieldChange, by_contact, fetch, owners, receivers
from services.notifier.store.recipients import PersonRow
from shared.errors import Transient
from shared.schemas.rights import ACCOUNT_BUY, ROLES_MANAGE, USERS_MANAGE
from tests.support.emails import NAMES, TENANT, email, notification

OLD: dict[str, Any] = {
    "company": "Acme",
    "street": "Main Street 1",
    "postcode": "1000",
    "city": "Copenhagen",
    "country": "DK",
    "vat_id": None,
    "organisation_number": None,
    "email": "old@acme.example",
    "copy_to_administrators": True,
    "document_format": "factur_x",
    "buyer_reference": "",
    "purchase_order": "",
    "electronic_address": "",
    "tax_category": "S",
    "tax_rate_percent": "25",
}
NEW = OLD | {"email": "new@acme.example", "vat_id": "DK12345674"}


def asks(answers: Mapping[str, Any]) -> Any:
    async def ask(_tenant: str, path: str) -> Any:
        return answers.get(path)

    return ask


def holder(name: str, *rights: str, **fields: Any) -> PersonRow:
    given: dict[str, Any] = {
        "departments": None,
        "department": None,
        "may_sign_in": True,
        "digests": True,
        "status": "active",
        "version": 1,
    }
    return PersonRow("acme", name, f"{name}@acme.example", name, rights, **(given | fields))


BUYER, QUIET, MANAGER = holder("bo", ACCOUNT_BUY), holder("cy", ACCOUNT_BUY, digests=False), holder("di", USERS_MANAGE)
ENDED = holder("ed", ACCOUNT_BUY, may_sign_in=False)
INVOICE: list[Notification] = [notification(Kind.INVOICE, Stream.INVOICES)]
CHANGE: list[Notification] = [notification(Kind.BILLING_DETAILS, Stream.BILLING_DETAILS)]


@pytest.mark.parametrize("copies", [True, False])
async def test_A12_an_invoice_goes_to_the_address_in_force_with_a_copy_to_buyers_by_setting(copies: bool) -> None:
    billed = await fetch("acme", INVOICE, asks({"billing-details": NEW | {"copy_to_administrators": copies}}))
    found = [each.email for each in receivers(billed, [BUYER, QUIET, MANAGER, ENDED])]
    assert found == ["new@acme.example", *(["bo@acme.example"] if copies else [])]


async def test_A12_an_administrator_with_the_invoice_address_gets_the_invoice_and_no_copy_of_it() -> None:
    billed = await fetch("acme", INVOICE, asks({"billing-details": NEW | {"email": "Bo@acme.example"}}))
    other = holder("al", ACCOUNT_BUY)
    assert [(each.email, each.copy) for each in receivers(billed, [BUYER, other])] == [
        ("Bo@acme.example", False),
        ("bo@acme.example", False),
        ("al@acme.example", True),
    ]


async def test_A12_a_change_names_each_field_before_and_after_to_the_old_and_the_new_address() -> None:
    billed = await fetch("acme", CHANGE, asks({"billing-details/v2": NEW | {"before": OLD}}))
    assert [each.email for each in receivers(billed, [BUYER])] == ["old@acme.example", "new@acme.example", "bo@acme.example"]
    changed = (FieldChange("vat_id", None, "DK12345674"), FieldChange("email", "old@acme.example", "new@acme.example"))
    assert billed.changes == {"v2": changed}
    for form in (rendered := email(Stream.BILLING_DETAILS, *CHANGE)).text, rendered.html:
        for text in ("Invoice e-mail address", "old@acme.example", "new@acme.example", "VAT ID", "DK12345674"):
            assert text in form


async def test_A12_codes_in_changed_billing_details_are_written_in_words() -> None:
    codes = {"country": "DK", "document_format": "peppol_bis", "tax_category": "AE", "tax_rate_percent": "8.1"}
    billed = await fetch("acme", CHANGE, asks({"billing-details/v2": NEW | {"before": OLD | dict.fromkeys(codes, "")} | codes}))
    shown = {"en": ("Denmark", "Peppol BIS Billing", "reverse charge (AE)", "8.1"), "de": ("Dänemark", "Peppol BIS Billing", "(AE)", "8,1")}
    for language, words in shown.items():
        tenant, names = replace(TENANT, locale=language), replace(NAMES, changes=billed.changes or {})
        text = email(Stream.BILLING_DETAILS, *CHANGE, tenant=tenant, names=names).text
        assert [each for each in words if each not in text] == []


async def test_A12_the_first_billing_details_are_confirmed_to_their_address() -> None:
    billed = await fetch("acme", CHANGE, asks({"billing-details/v2": NEW | {"before": None}}))
    assert [each.email for each in billed.addresses] == ["new@acme.example"]
    assert FieldChange("company", None, "Acme") in (billed.changes or {})["v2"]


async def test_T14_an_e_mail_about_the_end_goes_to_the_invoice_address_and_the_owners_who_can_sign_in() -> None:
    billed = await fetch("acme", [notification(Kind.ENDING, Stream.SUBSCRIPTION)], asks({"billing-details": NEW}))
    owner, gone = holder("ann", ACCOUNT_BUY, ROLES_MANAGE, digests=False), holder("eve", ACCOUNT_BUY, ROLES_MANAGE, may_sign_in=False)
    found = [*billed.addresses, *owners([BUYER, owner, gone, MANAGER])]
    assert [each.email for each in found] == ["new@acme.example", "ann@acme.example"], "nobody can switch it off"


async def test_details_that_invoicing_does_not_give_make_the_e_mail_wait() -> None:
    async def down(_tenant: str, _version: str | None) -> None:
        raise Transient("no answer")

    with pytest.raises(DetailsUnavailable):
        await fetch("acme", INVOICE, down)


async def test_A9_the_contact_of_a_request_gets_the_e_mails_about_it_unless_they_get_them_as_an_administrator() -> None:
    told = [notification(Kind.PURCHASE_REQUEST, Stream.REQUESTS, request=request) for request in ("r1", "r2", "r3", "gone")]
    contacts = {"r1": "lee@acme.example", "r2": "BO@acme.example", "r3": "lee@acme.example"}
    answers = {f"purchase-requests/{request}": {"contact": {"name": "Lee", "email": email}} for request, email in contacts.items()}
    billed = await fetch("acme", told, asks(answers))
    (share,) = by_contact(billed, told, [BUYER, MANAGER])
    assert (share[0].email, share[0].name, [each.data["request"] for each in share[1]]) == ("lee@acme.example", "Lee", ["r1", "r3"])

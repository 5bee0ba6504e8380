"""From events to e-mails, on the real broker, PostgreSQL and a mail server: who is notified, once, also when a service is not available."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from itertools import product
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.local import ports
from services.notifier.domain.notifications import Stream
from services.notifier.store import emails as store
from services.notifier.store import erasures, notifications
from services.notifier.store.emails import ListedEmail, NewEmail
from shared.clock import SystemClock
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Actor, Change, to_milliseconds
from shared.schemas.rights import ACCOUNT_BUY, USERS_MANAGE
from shared.sealed import SIGN_IN_LINK, seal
from tests.support.notifier import (
    ANNA,
    NO_TENANT,
    NOON,
    PDF,
    XML,
    Notifier,
    active,
    flagged,
    invoice_issued,
    mail_server,
    notifier,
    person_added,
    pool_of,
    refused,
    subscribed,
    tenant_created,
)
from tests.support.traces import traces
from tests.support.wait import wait_until
from tests.support.wire import execute

__all__ = ["mail_server", "notifier"]
pytestmark = pytest.mark.stack


def subjects(emails: list[EmailMessage]) -> list[str]:
    return sorted(str(email["Subject"]) for email in emails)


def text_of(email: EmailMessage) -> str:
    body = email.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def test_an_import_makes_one_e_mail_to_the_administrator_and_one_to_each_person_concerned(notifier: Notifier) -> None:
    """4 people are flagged in one module, 2 in another, 1 is refused, and many others are granted."""
    people = [person_added(f"p{i}") for i in range(30)]
    decisions = [notifier.assigned(f"p{i}", active()) for i in range(24)]
    decisions += [notifier.assigned(f"p{i}", flagged()) for i in range(24, 28)]
    decisions += [notifier.assigned(f"p{i}", active(), flagged("documents")) for i in (28, 29)]
    decisions += [notifier.assigned("p3", active(), refused())]
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True), *people)
        await notifier.send(*decisions)
        statistics = await notifier.until_idle(wiring)
    assert subjects(notifier.server.to("boss@acme.example")) == ["Acme Bikes: 6 seats over the limit, 1 refused"]
    assert {str(email["To"]) for email in notifier.server.emails} == {
        "Person boss <boss@acme.example>",
        *(f"Person p{i} <p{i}@acme.example>" for i in (3, *range(24, 30))),
    }
    assert (statistics.emails, statistics.flagged, statistics.refused) == (8, 6, 1)
    (email,) = notifier.server.to("p24@acme.example")
    assert "Friday, 22 November 2013, 13:00 (Europe/Copenhagen)" in text_of(email)


async def test_A13_E10_a_refusal_names_the_support_contact_the_numbers_and_who_can_buy(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True), person_added("p1"), *subscribed())
        await notifier.send(notifier.assigned("p1", refused(), pools=(pool_of("planning", licences=15),)))
        await notifier.until_idle(wiring)
    (mine,), (theirs,) = notifier.server.to("p1@acme.example"), notifier.server.to("boss@acme.example")
    for email in (mine, theirs):
        assert "Support <help@vendor.example>" in text_of(email)
    assert "Acme Bikes has 15 licences of planning. 15 seats are in use." in " ".join(text_of(mine).split())
    assert "Person boss <boss@acme.example>" in text_of(mine)
    assert "/v1/tenants/acme/quotes" in text_of(theirs)


async def test_B2_E10_on_a_plan_without_extra_licences_an_e_mail_names_the_plans_that_allow_them(notifier: Notifier) -> None:
    """Before the subscription, when no pool is open, a refusal makes no e-mail."""
    pool = {"base": True, "policies": seats_v1.Policies(over_limit="reject"), "reason": "opened"}
    before = seats_v1.ModuleSeat(module="planning", state="refused", reason="unknown_module")
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True), person_added("p1"))
        await notifier.send(notifier.assigned("p1", before))
        statistics = await notifier.until_idle(wiring)
        assert (statistics.emails, statistics.refused) == (0, 1), "the log has it"
        await notifier.send(*subscribed("small", extra_licences=False))
        await notifier.send(seats_v1.PoolOpened(**notifier.decision(module="planning", pools=(pool_of("planning", 15),), **pool)))
        await notifier.until_read(list(wiring.consumers))
        await notifier.send(notifier.assigned("p1", refused()))
        await notifier.until_idle(wiring)
    (mine,), (theirs,) = notifier.server.to("p1@acme.example"), notifier.server.to("boss@acme.example")
    for email in (mine, theirs):
        words = " ".join(text_of(email).split())
        assert "The plan Small does not allow extra licences. These plans do: Large." in words
        assert "quotes" not in words


async def test_people_who_are_refused_again_for_the_same_reason_get_no_second_e_mail(notifier: Notifier) -> None:
    """The seats of all refused people, or of one of them, are requested again: only what is new to somebody is sent."""
    again: dict[str, Any] = {"reason": "requested_again"}
    other = refused().model_copy(update={"reason": "flag_cap"})
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True), *(person_added(f"p{n}") for n in range(1, 5)))
        await notifier.send(*(notifier.assigned(f"p{n}", refused()) for n in range(1, 4)))
        await notifier.until_idle(wiring)
        sent = len(notifier.server.emails)
        asked = [
            notifier.assigned("p1", refused(), **again),
            notifier.assigned("p2", refused(), reason="pool_full", asked="requested_again"),
            notifier.assigned("p3", refused(), reason="reactivated"),
        ]
        await notifier.send(*asked)
        await notifier.until_idle(wiring)
        assert len(notifier.server.emails) == sent == 4, "three people and the administrator know already"
        await notifier.send(notifier.assigned("p3", other, **again), notifier.assigned("p4", refused(), **again))
        await notifier.send(notifier.assigned("p1", refused()))
        await notifier.until_idle(wiring)
    counts = {name: len(notifier.server.to(f"{name}@acme.example")) for name in ("p1", "p2", "p3", "p4", "boss")}
    assert counts == {"p1": 2, "p2": 1, "p3": 2, "p4": 1, "boss": 2}, "another reason, another person, and a need that changed"


async def test_T6_a_person_revoked_in_a_base_module_gets_one_e_mail_for_all_their_seats(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"), person_added("p2"))
        await notifier.send(
            notifier.revoked("p1", "time", base=True),
            seats_v1.SeatReleased(**notifier.decision(user="p1", module="documents", role="settled", reason="base_module_revoked")),
            notifier.revoked("p2", "documents", base=False),
        )
        statistics = await notifier.until_idle(wiring)
    assert subjects(notifier.server.to("p1@acme.example")) == ["Your account at Acme Bikes has been deactivated"]
    assert subjects(notifier.server.to("p2@acme.example")) == ["Your access to documents has ended"]
    assert subjects(notifier.server.to("office@acme.example")) == ["Acme Bikes: 2 seats revoked, 1 withdrawn"], (
        "there is no administrator: the contact address"
    )
    assert statistics.revoked == 2


async def test_T6_a_flag_makes_one_e_mail_even_if_the_person_is_decided_again(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", flagged()))
        await notifier.until_idle(wiring)
        await notifier.send(notifier.assigned("p1", flagged(), active("documents")))
        await notifier.until_idle(wiring)
        assert len(notifier.server.to("p1@acme.example")) == 1
        await notifier.send(notifier.assigned("p1", flagged(deadline=NOON + timedelta(days=20))))
        await notifier.until_idle(wiring)
    assert len(notifier.server.to("p1@acme.example")) == 2, "a later flag has a deadline of its own"


async def test_T6_after_a_purchase_people_and_administrators_are_notified_of_cleared_flags(notifier: Notifier) -> None:
    """A flag that is cleared before it was announced makes no e-mail."""
    bought = {"role": "consequence", "reason": "licence_bought"}
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True), *(person_added(f"p{i}") for i in range(4)))
        await notifier.send(*(notifier.assigned(f"p{i}", flagged()) for i in range(3)))
        await notifier.until_idle(wiring)
        notifier.server.emails.clear()
        await notifier.send(notifier.assigned("p3", flagged()))
        await notifier.send(
            *(seats_v1.SeatFlagCleared(**notifier.decision(user=user, module="time", **bought)) for user in ("p0", "p1", "p3"))
        )
        statistics = await notifier.until_idle(wiring)
    assert {str(email["Subject"]) for email in notifier.server.to("boss@acme.example")} == {"Acme Bikes: 2 seats no longer over the limit"}
    kept = {address: subjects(notifier.server.to(f"p{address}@acme.example")) for address in range(4)}
    assert kept == {0: ["You keep your access to time"], 1: ["You keep your access to time"], 2: [], 3: []}
    assert (statistics.emails, len(notifier.server.emails)) == (7, 3)


async def test_T19_A12_invoices_credit_notes_and_reminders_go_to_the_invoice_address_and_the_administrators_with_the_pdf(
    notifier: Notifier,
) -> None:
    credit = invoice_issued("inv-2", "2013-0002").model_copy(update={"kind": "credit_note", "corrects": ("inv-1",)})
    numbers = {"step": 1, "steps": 3, "gross_minor": 3900, "open_minor": 2900}
    overdue: dict[str, Any] = {"invoice": "inv-1", "number": "2013-0001", "issued_on": NOON.date(), "due_on": NOON.date()} | numbers
    reminder = invoicing_v1.PaymentReminded(at=NOON, actor=ANNA, currency="EUR", **overdue)
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True))
        await notifier.send(invoice_issued(), credit, reminder)
        await notifier.until_idle(wiring)
    expected = {
        "Acme Bikes: invoice 2013-0001, credit note 2013-0002": (["2013-0001.pdf", "2013-0002.pdf"], "€39.00"),
        "Acme Bikes: reminder for invoice 2013-0001": (["2013-0001.pdf"], "€29.00"),
    }
    to = ("Acme <billing@acme.example>", "Person boss <boss@acme.example>")
    assert sorted((str(email["Subject"]), str(email["To"])) for email in notifier.server.emails) == sorted(product(expected, to))
    for email in notifier.server.emails:
        filenames, amount = expected[str(email["Subject"])]
        attached = [(each.get_filename(), each.get_content_type(), each.get_content()) for each in email.iter_attachments()]
        assert attached == [(name, "application/pdf", PDF) for name in filenames]
        assert amount in text_of(email)
        copy = str(email["To"]) == "Person boss <boss@acme.example>"
        assert ("to you as an administrator" in " ".join(text_of(email).split())) == copy, "only the copy says that it is one"


async def test_A9_a_request_is_told_to_the_administrators_and_to_the_contact_that_it_names(notifier: Notifier) -> None:
    items = (invoicing_v1.RequestItem(module="time", add=1),)
    made = invoicing_v1.PurchaseRequestChanged(at=NOON, actor=ANNA, request="r1", state="requested", items=items)
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True))
        await notifier.send(made)
        await notifier.until_idle(wiring)
    assert {str(email["To"]) for email in notifier.server.emails} >= {"Lee <lee@acme.example>", "Person boss <boss@acme.example>"}
    assert len(notifier.server.to("lee@acme.example")) == 1


async def test_the_XML_of_an_invoice_is_attached_if_it_is_a_file_of_its_own(notifier: Notifier) -> None:
    notifier.answers["xml"] = 200
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), invoice_issued())
        await notifier.until_idle(wiring)
    (email,) = notifier.server.emails
    attached = {each.get_filename(): (each.get_content_type(), each.get_content()) for each in email.iter_attachments()}
    assert attached == {"2013-0001.pdf": ("application/pdf", PDF), "2013-0001.xml": ("application/xml", XML)}


async def test_an_invoice_without_its_pdf_waits_and_delays_no_other_e_mail(notifier: Notifier) -> None:
    notifier.answers["pdf"] = 404
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(invoice_issued(), notifier.assigned("p1", flagged()))
        await notifier.until_collected(wiring)
        await wait_until(lambda: len(notifier.server.emails) == 2, what="the other two e-mails")
        notifier.answers.clear()
        await notifier.until_idle(wiring)
    assert len(notifier.server.emails) == 3


async def test_a_permanently_refused_e_mail_fails_and_a_temporarily_refused_one_is_retried(notifier: Notifier) -> None:
    notifier.server.refusals = {"p1@acme.example": ["550 5.1.1 no such user"], "p2@acme.example": ["451 4.7.1 come back later"]}
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"), person_added("p2"), person_added("p3"))
        await notifier.send(*(notifier.assigned(user, flagged()) for user in ("p1", "p2", "p3")))
        statistics = await notifier.until_idle(wiring)
        async with notifier.database.unit_of_work("acme") as uow:
            (failed,) = await store.emails(uow.connection, "acme", state="failed", user=None, before=None, limit=10)
            sent = await store.emails(uow.connection, "acme", state="sent", user="p2", before=None, limit=10)
    assert (statistics.emails, statistics.emails_failed) == (3, 1)
    assert (failed.recipient, failed.attempts, failed.error) == ("p1@acme.example", 1, "550 5.1.1 no such user")
    assert sent[0].attempts == 2


async def test_failed_e_mails_count_for_30_days_or_until_a_later_one_reaches_the_recipient(notifier: Notifier) -> None:
    addresses = ["p1@acme.example", "p2@acme.example"]
    notifier.server.refusals = {each: ["550 5.1.1 no such user"] for each in addresses}
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"), person_added("p2"))
        await notifier.send(*(notifier.assigned(user, flagged()) for user in ("p1", "p2")))
        await notifier.until_idle(wiring)
        now = wiring.clock.now()

        async def shown(days: int = 30, most: int = 10) -> list[store.Undelivered]:
            async with notifier.database.unit_of_work("acme") as uow:
                since = now - timedelta(days=days)
                return list(await store.undelivered(uow.connection, "acme", since, most))

        assert sorted(each.recipient for each in await shown()) == addresses
        assert [(each.emails, each.recipients) for each in await shown(most=1)] == [(2, 2)]
        assert await shown(days=-1) == []
        await notifier.send(notifier.assigned("p1", flagged(), flagged("planning")))
        await notifier.until_idle(wiring)
        assert [each.recipient for each in await shown()] == ["p2@acme.example"]
        async with notifier.database.unit_of_work("acme") as uow:
            await erasures.erase(uow.connection, "acme", "p2", [], "")
        assert await shown() == [], "an erased person has no address that somebody could correct"


async def test_an_invited_person_gets_a_link_whose_token_is_stored_nowhere(notifier: Notifier) -> None:
    """An invitation that is over when its e-mail is to be sent is not sent. A reservation that was refused concerns the administrators."""

    def invited(user: str, days: int = 7) -> users_v1.PersonInvited:
        expires_at = NOON + timedelta(days=days)
        return users_v1.PersonInvited(at=NOON, actor=person_added(user).actor, user=user, expires_at=expires_at, reserved=True)

    need = seats_v1.Need(modules=("planning",), created_at=NOON, hold_until=NOON + timedelta(days=7))
    full = notifier.assigned("p2", refused(), need=need)
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True))
        await notifier.send(*(person_added(user, status="invited") for user in ("p1", "p2", "closed")))
        await notifier.send(invited("p1"), invited("p1"), invited("p1", days=9), invited("closed"), full)
        expired = users_v1.InvitationExpired(at=NOON, actor=person_added("p1").actor, user="closed", expires_at=NOON)
        await notifier.send(expired)
        await notifier.until_idle(wiring)
        async with notifier.database.unit_of_work("acme") as uow:
            listed = await store.emails(uow.connection, "acme", state=None, user=None, before=None, limit=10)
            stored = [await store.email(uow.connection, "acme", each.email_id) for each in listed]
    (link,) = notifier.server.to("p1@acme.example")
    assert str(link["Subject"]) == "Acme Bikes: you are invited"
    assert "secret-of-p1" in text_of(link)
    assert "Sunday, 24 November 2013" in text_of(link), "the latest invitation counts"
    assert not any("secret-of" in each.body_text + each.body_html for each in stored if each is not None)
    assert {each.user_id: each.state for each in listed} == {"p1": "sent", "closed": "failed", "boss": "sent"}
    assert subjects(notifier.server.to("boss@acme.example")) == [
        "Acme Bikes: 1 seat refused",
        "Acme Bikes: the invitation of Person closed expired",
    ]


async def test_an_erased_person_is_in_no_table_and_e_mails_about_others_keep_their_texts(notifier: Notifier) -> None:
    """The old name is erased as well, also from e-mails to administrators and from the log. A longer name that begins alike stays."""
    zoe: dict[str, Any] = {"name": "Zoë O'Hara", "email": "zoe@acme.example"}
    renamed = Change(field="name", old="Zoë Quill", new=zoe["name"])
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("boss", administrator=True))
        await notifier.send(person_added("p1", **zoe | {"name": "Zoë Quill"}), person_added("p2", name="Zoë O'Haraway"))
        await notifier.send(notifier.assigned("p1", flagged()))
        await notifier.until_idle(wiring)
        await notifier.send(person_added("p1", kind=users_v1.PersonChanged, version=2, changes=(renamed,), **zoe))
        linked: dict[str, Any] = {"source": "hr/acme", "external_id": "zoe-4711", "by": "login"}
        await notifier.send(users_v1.PersonLinked(at=NOON, actor=renamed_by(), user="p1", **linked))
        await notifier.send(notifier.assigned("p1", flagged("documents")))
        await notifier.until_idle(wiring)
        await notifier.send(notifier.assigned("p2", flagged("documents")))
        await notifier.until_idle(wiring)
        words = [zoe["email"], "Zoë Quill", "O'Hara", "O&#39;Hara"]
        assert {word for _, word in await traces(partial(execute, notifier.database), words)} == set(words)
        await notifier.send(users_v1.PersonErased(at=NOON, actor=renamed_by(), user="p1"))
        await notifier.until_idle(wiring)
        found = await traces(partial(execute, notifier.database), [zoe["email"], "zoe-4711", "Zoë Quill", "O'Hara\"", "O&#39;Hara<"])
        async with notifier.database.unit_of_work("acme") as uow:
            listed = await store.emails(uow.connection, "acme", state=None, user=None, before=None, limit=10)
            kept = [each for each in listed if each.subject]
            stored = [await store.email(uow.connection, "acme", each.email_id) for each in kept]
    assert found == []
    assert len(listed) == 6
    assert all("O'Haraway" in each.body_text for each in stored if each is not None)
    assert {each.user_id for each in kept} == {"p2", "boss"}


def renamed_by() -> Actor:
    return Actor(kind="user", id="boss")


async def test_an_e_mail_has_a_maximum_of_notifications_and_the_others_make_the_next(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "DIGEST_MAX", 2)
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), *(person_added(user) for user in ("p1", "p2", "p3")))
        await notifier.send(*(notifier.assigned(user, flagged()) for user in ("p1", "p2", "p3")))
        await notifier.until_idle(wiring)
        async with notifier.database.unit_of_work("acme") as uow:
            emails = await store.emails(uow.connection, "acme", state="sent", user=None, before=None, limit=10)
    assert [email.notifications for email in reversed(emails) if email.recipient == "office@acme.example"] == [2, 1]


async def test_digests_of_a_tenant_with_many_do_not_delay_those_of_the_others(notifier: Notifier) -> None:
    """The oldest of each tenant is the first, whatever the name of the tenant."""
    now = SystemClock().now() + timedelta(minutes=1)
    async with notifier.running(sending=False) as wiring:
        for notifier.tenant in ("zeta", "acme"):
            await notifier.send(tenant_created(), person_added("p1"))
            await notifier.send(notifier.assigned("p1", flagged()))
            await notifier.until_read(list(wiring.consumers))
    async with notifier.database.unit_of_work(None) as uow:
        due = await notifications.due_digests(uow.connection, now, timedelta(0), timedelta(0), 3)
    assert [digest.tenant_id for digest in due] == ["zeta", "acme", "zeta"]


async def test_e_mails_of_a_tenant_with_many_do_not_delay_those_of_the_others(notifier: Notifier) -> None:
    """The first of each tenant is sent before the second of any. Within a tenant, the one that waits longest is first."""
    now = SystemClock().now()
    due = {"acme": [0, -5, -4, -3], "globex": [-1, 1], "initech": [1], "zeta": [-2]}  # seconds from now
    async with notifier.database.unit_of_work(None) as uow:
        for tenant, times in due.items():
            for place, seconds in enumerate(times):
                await store.queue(uow.connection, queued(tenant, f"{tenant}-{place}", now + timedelta(seconds=seconds)))

    async def claimed(most: int) -> list[str]:
        async with notifier.database.unit_of_work(None) as uow:
            return [email.email_id for email in await store.claim(uow.connection, now, most)]

    assert await claimed(4) == ["acme-1", "zeta-0", "globex-0", "acme-2"]
    assert await claimed(4) == ["acme-3", "acme-0"]
    assert await claimed(4) == []


def queued(tenant: str, email: str, next_attempt_at: datetime) -> NewEmail:
    at = next_attempt_at - timedelta(minutes=1)
    return NewEmail(
        tenant, email, Stream.BILLING, None, "ann@acme.example", "Ann", "Seats", "Text", "<p>Text</p>", [], None, 1, at, "queued", None,
        next_attempt_at, at,
    )  # fmt: skip


async def test_a_notification_waits_until_its_person_is_known(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p2"))
        await notifier.send(notifier.assigned("p1", flagged()), notifier.assigned("p2", flagged()))
        await notifier.until_idle(wiring)
        assert (await notifier.open_work()).waiting == 1
        assert not notifier.server.to("p1@")
        assert len(notifier.server.to("p2@acme.example")) == 1, "it delays no other"
        await notifier.send(person_added("p1"))
        await notifier.until_collected(wiring)
        await wait_until(lambda: notifier.server.to("p1@acme.example"), what="the e-mail that waited")
        await notifier.until_idle(wiring)
        assert ((await notifier.open_work()).waiting, len(notifier.server.to("p1@acme.example"))) == (0, 1)


async def test_a_person_without_an_address_is_reached_through_the_administrators_who_are_told_of_stopped_changes(
    notifier: Notifier,
) -> None:
    """Their notifications are one digest, which names people without a name by the login. An unconfirmed address gets no e-mail: a sender
    of HR data could have stated it."""
    nameless = [person_added(f"p{n}", email="", name="") for n in range(1, 4)]
    unconfirmed: dict[str, Any] = {"email": "mallory@evil.example", "confirmed_email": "boss@acme.example"}
    boss = person_added("boss", administrator=True, **unconfirmed)
    nameless.append(person_added("p4", email="mallory@evil.example", confirmed_email=""))
    stopped = users_v1.ChangesStopped(at=NOON, actor=boss.actor, source="hr/acme", would_end=300, limit=6, import_id=None, reason="guard")
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), boss, *nameless, stopped)
        await notifier.send(*(notifier.assigned(each.user, flagged()) for each in nameless))
        await notifier.until_idle(wiring)
    assert {str(email["To"]) for email in notifier.server.emails} == {"Person boss <boss@acme.example>"}
    found = {str(email["Subject"]): text_of(email) for email in notifier.server.emails}
    assert "would end the access of 300 people" in found["Acme Bikes: changes from hr/acme were stopped"]
    (instead,) = [text for subject, text in found.items() if "4 notifications for people whose e-mail address is unknown" in subject]
    assert all(f"{name} " in instead for name in ("p1", "p2", "p3", "Person p4"))
    assert len(notifier.server.emails) == 3


async def test_a_notification_goes_to_the_administrator_after_an_hour_of_the_tenants_time(notifier: Notifier) -> None:
    opened = {"clock": "test"}
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(clock="test"), person_added("boss", administrator=True))
        await notifier.send(seats_v1.TenantOpened(**notifier.decision(**opened)), notifier.assigned("ghost", flagged()))
        await notifier.until_idle(wiring)
        assert (await notifier.open_work()).next_due(timedelta(hours=1)) == NOON + timedelta(hours=1)
        before = len(notifier.server.to("boss@acme.example"))
        await notifier.send(seats_v1.ClockSettled(**notifier.decision(at=NOON + timedelta(minutes=59))))
        await notifier.until_idle(wiring)
        assert (await notifier.open_work()).waiting == 1
        await notifier.send(seats_v1.ClockSettled(**notifier.decision(at=NOON + timedelta(hours=1))))
        await notifier.until_collected(wiring)
        await wait_until(lambda: len(notifier.server.to("boss@acme.example")) > before, what="the administrator's e-mail")
        await notifier.until_idle(wiring)
        assert (await notifier.open_work()).waiting == 0
    late = str(notifier.server.to("boss@acme.example")[-1]["Subject"]).strip()  # a long subject begins on a line of its own
    assert late == "Acme Bikes: 1 notification for a person whose e-mail address is unknown"


async def test_a_rebuilt_notifier_sends_nothing_old(notifier: Notifier) -> None:
    """Events before its first start are in the log and make no e-mail; republished people make none either."""
    await notifier.send(tenant_created(), person_added("p1"))
    await notifier.send(notifier.assigned("p1", flagged()))
    async with notifier.running(mark=SystemClock().now() + timedelta(milliseconds=1)) as wiring:
        statistics = await notifier.until_idle(wiring)
        assert (statistics.flagged, statistics.emails) == (1, 0)
        await notifier.send(person_added("p1", kind=users_v1.PersonRepublished, version=2))
        await notifier.send(notifier.assigned("p1", refused()))
        statistics = await notifier.until_idle(wiring)
    assert subjects(notifier.server.to("p1@acme.example")) == ["You do not have access to planning: all licences are in use"]


async def test_nothing_is_sent_before_users_has_published_people_again(notifier: Notifier) -> None:
    notifier.answers["republish"] = 503
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", flagged()))
        await notifier.until_read(list(wiring.consumers))
        assert (await notifier.open_work()).collecting == 2
        notifier.answers.clear()
        await notifier.until_idle(wiring)
    assert len(notifier.server.emails) == 2


async def test_an_e_mail_whose_sender_died_is_sent_again_with_the_same_message_id(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", refused()))
        await notifier.until_idle(wiring)
    async with notifier.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql("UPDATE emails SET state = 'sending', sent_at = NULL WHERE user_id = 'p1'")
    async with notifier.running() as wiring:
        statistics = await notifier.until_idle(wiring)
    first, second = notifier.server.to("p1@acme.example")
    assert first["Message-ID"] == second["Message-ID"]
    assert statistics.emails == 2


async def test_the_sender_finishes_and_records_the_current_e_mail_when_it_is_stopped(notifier: Notifier) -> None:
    notifier.server.go.clear()
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", flagged()))
        await notifier.until_collected(wiring)
        await asyncio.wait_for(notifier.server.holds.wait(), 30)
        asyncio.get_running_loop().call_later(0.3, notifier.server.go.set)
    async with notifier.running() as wiring:
        statistics = await notifier.until_idle(wiring)
    assert (statistics.emails, len(notifier.server.emails)) == (2, 2)


async def test_old_texts_are_deleted_and_the_record_of_the_e_mail_is_kept(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", refused()))
        await notifier.until_idle(wiring)
    async with notifier.database.unit_of_work(None) as uow:
        await store.delete_texts(uow.connection, SystemClock().now() + timedelta(seconds=1))
        await notifications.delete_old(uow.connection, SystemClock().now() + timedelta(seconds=1))
        (listed, *_) = await store.emails(uow.connection, "acme", state="sent", user="p1", before=None, limit=10)
        email = await store.email(uow.connection, "acme", listed.email_id)
        left = (await uow.connection.exec_driver_sql("SELECT count(*) FROM notifications")).scalar_one()
    assert email is not None
    assert (email.state, email.body_text, email.body_html, left) == ("sent", "", "", 0)


async def test_an_unavailable_mail_server_costs_no_e_mail_an_attempt(notifier: Notifier) -> None:
    """At first nothing listens at the address; later the server does."""
    there, port = notifier.server.port, ports.pick()
    notifier.settings = notifier.settings.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{port}")})

    async def queued_emails() -> Sequence[ListedEmail]:
        async with notifier.database.unit_of_work("acme") as uow:
            return await store.emails(uow.connection, "acme", state="queued", user="p1", before=None, limit=10)

    async def shown() -> bool:
        return any("cannot connect to the mail server" in str(email.error) for email in await queued_emails())

    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", flagged()))
        await notifier.until_collected(wiring)
        await wait_until(shown, what="the reason in the list of e-mails")
        assert [email.attempts for email in await queued_emails()] == [0]
        proxy = await asyncio.start_server(lambda reader, writer: pipe(reader, writer, there), "127.0.0.1", port)
        async with proxy:
            statistics = await notifier.until_idle(wiring)
    assert (statistics.emails, len(notifier.server.emails)) == (2, 2)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Copy both ways until either side ends."""
    onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            target.write(data)
            await target.drain()
        target.close()

    await asyncio.gather(copy(reader, onward_writer), copy(onward_reader, writer))


async def test_e_mails_about_signing_in_are_sent_at_once_and_a_link_is_only_in_its_e_mail(notifier: Notifier) -> None:
    link = "https://console.example/sign-in/link?secret=s3cret&x=1"
    now = SystemClock().now()

    def requested(secret: str, email: str = "p1@acme.example", minutes: int = 15) -> users_v1.SignInLinkRequested:
        until, sealed = to_milliseconds(now + timedelta(minutes=minutes)), seal(link, secret, SIGN_IN_LINK)
        return users_v1.SignInLinkRequested(at=NOON, actor=ANNA, user="p1", email=email, sealed_link=sealed, expires_at=until)

    own = notifier.settings.client_secret.get_secret_value()
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(requested(own), requested(own, minutes=0), requested("another secret", "p2@acme.example"))
        owners = ("ann@acme.example", "olga@acme.example")
        await notifier.send(users_v1.EmergencyLinkUsed(at=NOON, actor=ANNA, user="p1", name="Ann", owners=owners))
        of_operator = requested(own).model_dump() | {"operator": "op1", "email": "vera@vendor.example"}
        del of_operator["user"]
        await notifier.send(users_v1.OperatorLinkRequested(**of_operator), tenant=NO_TENANT)
        await notifier.until_idle(wiring)

        async def sent_to_operator() -> bool:
            return bool(notifier.server.to("vera@vendor.example"))

        await wait_until(sent_to_operator, what="the e-mail to the operator")
        async with wiring.database.unit_of_work("acme") as uow:
            rows = (await uow.connection.exec_driver_sql("SELECT * FROM emails ORDER BY recipient")).all()
    (of_vendor,) = notifier.server.to("vera@vendor.example")
    assert (of_vendor["Subject"], link in text_of(of_vendor)) == ("Seatpool: your sign-in link", True)
    assert "vera@vendor.example" not in str([tuple(row) for row in rows]), "no tenant lists it"
    (email,) = notifier.server.to("p1@acme.example")
    assert link in text_of(email)
    body = email.get_body(("html",))
    assert body is not None
    assert "secret=s3cret&amp;x=1" in body.get_content()
    assert notifier.server.to("p2@acme.example") == []
    assert subjects(notifier.server.to("olga@acme.example")) == ["Acme Bikes: Ann signed in by an emergency link"]
    states = {row.recipient: row.state for row in rows}
    assert states == {"p1@acme.example": "sent", "p2@acme.example": "failed"} | dict.fromkeys(owners, "sent")
    assert len(rows) == len(states)
    assert "s3cret" not in str([tuple(row) for row in rows])


async def test_E9_each_e_mail_goes_to_the_holders_of_its_right_and_hides_people_whom_they_do_not_see(notifier: Notifier) -> None:
    both = (ACCOUNT_BUY, USERS_MANAGE)
    people = [
        person_added("buyer", rights=(ACCOUNT_BUY,), may_sign_in=True),
        person_added("manager", rights=(USERS_MANAGE,), may_sign_in=True, departments=("Makers",)),
        person_added("ended", rights=both, administrator=True, status="inactive"),
        person_added("p1", department="Makers", name="Pia"),
        person_added("p2", department="Sales", name="Quentin"),
    ]
    lost = users_v1.LastOwnerLost(at=NOON, actor=people[0].actor, user="ended")
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), *people, *subscribed())
        await notifier.send(notifier.assigned("p1", refused()), notifier.assigned("p2", refused()), lost)
        await notifier.until_idle(wiring)
    assert notifier.server.to("buyer@acme.example") == [], "refusals concern those who manage people"
    (limited,), (ended,) = notifier.server.to("manager@acme.example"), notifier.server.to("ended@acme.example")
    assert "Pia" in text_of(limited)
    assert "a person whom you do not see" in text_of(limited)
    assert "Quentin" not in limited.as_string()
    assert "Quentin" in text_of(ended)
    (office,) = notifier.server.to("office@acme.example")
    assert office["Subject"] == "Acme Bikes: the last owner can no longer sign in", "somebody who can sign in gets the refusals"

"""An e-mail as it is sent, and the meaning of the replies of the mail server."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from time import process_time
from typing import cast

import aiosmtplib
import httpx
import pytest
from pydantic import SecretStr

from services.notifier.domain.notifications import Kind, Stream
from services.notifier.email import message
from services.notifier.email.delivery import Server, backoff_seconds, describe, permanent
from services.notifier.email.message import Unsendable, build, check_headers
from services.notifier.email.rendering import Links, Names, Recipient, render
from services.notifier.jobs.sender import FILE_ATTEMPTS, Sender
from services.notifier.settings import Settings
from services.notifier.store.emails import ClaimedEmail
from shared.clock import FixedClock
from shared.database import Database
from shared.errors import Transient
from shared.web.client import ServiceClient
from tests.support.emails import EVERY, NAMES, TENANT, notification

AT = datetime(2026, 3, 1, tzinfo=UTC)
EMAIL = ClaimedEmail("acme", "m-1", "bo@acme.example", "Bo Ångström", "Überblick", "Grüße\n", "<p>Grüße</p>", [], None, 1, AT)
SENDER = "Seatpool <seatpool@vendor.example>"
DATE = "Sun, 01 Mar 2026 00:00:00 +0000"
NO_DATABASE = cast("Database", None)


def test_an_e_mail_has_text_and_html_and_is_marked_as_sent_automatically() -> None:
    message = message_from_bytes(build(EMAIL, SENDER, DATE).content, policy=policy.default)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().strip() for part in message.iter_parts()] == ["Grüße", "<p>Grüße</p>"]
    assert (message["Subject"], message["To"]) == ("Überblick", "Bo Ångström <bo@acme.example>")
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<m-1@vendor.example>", "auto-generated")
    assert message["List-Id"] == "<acme.seatpool.vendor.example>"


def test_an_invoice_is_attached_to_text_and_html() -> None:
    message = message_from_bytes(build(EMAIL, SENDER, DATE, [("2026-1.pdf", b"%PDF")]).content, policy=policy.default)
    assert message.get_content_type() == "multipart/mixed"
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("2026-1.pdf", b"%PDF")


HEADERS = (
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Id", "MIME-Version", "Content-Type",
)  # fmt: skip


def header_names(content: bytes) -> list[str]:
    """Return the header names without using an e-mail library: each line before the first empty one that does not continue a line."""
    head = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n\n")[0]
    return [line.partition(b":")[0].decode() for line in head.split(b"\n") if line[:1] not in (b" ", b"\t")]


@pytest.mark.parametrize("letter", ["Å", "a", "式", "a "])
def test_the_header_has_the_first_100_characters_of_a_name(letter: str) -> None:
    """The standard library takes quadratic time to write a name, and the event loop stands still meanwhile."""
    name = (letter * 500)[:500]
    begin = process_time()
    found = message_from_bytes(build(replace(EMAIL, recipient_name=name), SENDER, DATE).content, policy=policy.default)["To"]
    assert process_time() - begin < 0.25
    shown = found.addresses[0].display_name.replace(" ", "")  # the library puts a space between encoded words
    assert (shown, found.addresses[0].addr_spec) == (name[:100].replace(" ", ""), "bo@acme.example")


@pytest.mark.parametrize("evil", ["Hello\r\nBcc: all@acme.example", "Hello\nBcc: x", "a\x00b\x0b\u2028c"])
def test_no_name_and_no_subject_can_add_a_header(evil: str) -> None:
    content = build(replace(EMAIL, subject=evil, recipient_name=evil), SENDER, DATE).content
    assert header_names(content) == [*HEADERS]
    assert message_from_bytes(content, policy=policy.default)["To"].addresses[0].addr_spec == "bo@acme.example"


# A header and a body that a person would like to add to our e-mail, as encoded words of both kinds.
EVIL_WORDS = {
    "q": "=?utf-8?q?=0D=0AReply-To:_evil@evil.example=0D=0A=0D=0APlease_pay?=",
    "b": "=?utf-8?b?DQpSZXBseS1UbzogZXZpbEBldmlsLmV4YW1wbGUNCg0KUGxlYXNlIHBheQ==?=",
    "Q, in another case and charset": "=?ISO-8859-1?Q?=0d=0aReply-To:_evil@evil.example?=",
}


@pytest.mark.parametrize("encoding", EVIL_WORDS)
@pytest.mark.parametrize(("stream", "kind"), EVERY, ids=str)
def test_encoded_words_in_names_add_no_header_to_any_e_mail(stream: Stream, kind: Kind, encoding: str) -> None:
    """CVE-2024-6923. Whole in each name, and split over two names that one header may hold."""
    word = EVIL_WORDS[encoding]
    spellings = {(word, word, word)}
    for place in (1, 2, len(word) // 2):
        first, second = word[:place], word[place:]
        spellings |= {(first, second, second), (second, first, second), (second, second, first)}
    for person, company, module in spellings:
        names = Names(people={"u1": person}, modules={"time": module}, quotes=NAMES.quotes)
        tenant, recipient = replace(TENANT, name=company, support_contact=word), Recipient("bo@acme.example", person)
        found = render(stream, tenant, recipient, [notification(kind, stream)], names, Links(), AT)
        claimed = replace(EMAIL, tenant_id=word, subject=found.subject, recipient_name=person, body_text=found.text, body_html=found.html)
        assert header_names(build(claimed, SENDER, DATE).content) == [*HEADERS], (person, company, module)


def test_an_encoded_word_is_shown_as_it_was_typed_with_one_space_added() -> None:
    message = message_from_bytes(build(replace(EMAIL, subject="Why =?utf-8?q?x?=", recipient_name="=?utf-8?q?x?="), SENDER, DATE).content)
    assert (message["Subject"], message["To"]) == ("Why = ?utf-8?q?x?=", "= ?utf-8?q?x?= <bo@acme.example>")


def test_an_e_mail_with_an_unexpected_header_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished bytes are checked, independent of the library. Newer versions of the library refuse such headers themselves."""
    monkeypatch.setattr(message, "header_text", lambda text: text)
    for evil in EVIL_WORDS.values():
        for claimed in (replace(EMAIL, subject=evil), replace(EMAIL, recipient_name=evil)):
            with pytest.raises(Unsendable):
                build(claimed, SENDER, DATE)
    good = build(EMAIL, SENDER, DATE).content
    for wrong in (b"X-Evil: 1\r\n" + good, good.replace(b"Content-Transfer-Encoding", b"X-Evil: 1\r\nContent-Transfer-Encoding")):
        with pytest.raises(Unsendable, match="X-Evil"):
            check_headers(wrong)


@pytest.mark.parametrize(
    "address",
    ["no address", "a@b\r\nBcc: x@y", "", "<a@b>, c@d", "é b@c", "é@b\r\nBcc: x@y", *(f"{word}@b.example" for word in EVIL_WORDS.values())],
)
def test_an_e_mail_to_an_invalid_address_is_not_sent(address: str) -> None:
    with pytest.raises(Unsendable):
        build(replace(EMAIL, recipient=address), SENDER, DATE)


def test_an_e_mail_that_the_library_cannot_write_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise this e-mail would end the sender at each start, and no other e-mail would be sent."""

    def broken(*_: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'all_defects'")

    monkeypatch.setattr(message, "mailbox_of", broken)
    with pytest.raises(Unsendable, match="all_defects"):
        build(EMAIL, SENDER, DATE)


def test_an_address_may_have_letters_beyond_ascii() -> None:
    finished = build(replace(EMAIL, recipient="josé1@adventure-works.com"), SENDER, DATE)
    assert (finished.recipient, finished.utf8) == ("josé1@adventure-works.com", True)
    assert header_names(finished.content) == [*HEADERS]
    assert "<josé1@adventure-works.com>" in finished.content.decode()
    assert build(EMAIL, SENDER, DATE).content.isascii(), "what needs no extension of the mail server uses none"


def test_only_a_5xx_reply_to_an_e_mail_is_permanent() -> None:
    def recipients(*codes: int) -> aiosmtplib.SMTPRecipientsRefused:
        return aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(code, "no", "x@y") for code in codes])

    permanent_errors = [
        recipients(550),
        aiosmtplib.SMTPDataError(554, "spam"),
        aiosmtplib.SMTPSenderRefused(553, "no", "x"),
        Unsendable("x"),
    ]
    transient_errors = [
        recipients(451),
        aiosmtplib.SMTPDataError(452, "full"),
        aiosmtplib.SMTPAuthenticationError(535, "who?"),
        aiosmtplib.SMTPServerDisconnected("gone"),
        aiosmtplib.SMTPTimeoutError("slow"),
        ConnectionRefusedError(),
        Transient("invoice"),
    ]
    assert [permanent(error) for error in permanent_errors] == [True] * len(permanent_errors)
    assert [permanent(error) for error in transient_errors] == [False] * len(transient_errors)
    assert describe(recipients(550)) == "550 no"


def test_the_wait_between_attempts_doubles_up_to_15_minutes() -> None:
    assert [backoff_seconds(attempt, 0) for attempt in (1, 2, 3, 10, 99)] == [2, 4, 8, 900, 900]
    assert backoff_seconds(1, 0.5) == 2.5


def test_the_address_of_the_mail_server_is_read_and_its_password_is_not_shown() -> None:
    assert Server.from_url("smtp://mail.example:2525") == Server("mail.example", 2525, False)
    secure = Server.from_url("smtps://bo%40x:p%2Fw@mail.example")
    assert (secure.port, secure.tls, secure.user, secure.password) == (465, True, "bo@x", "p/w")
    assert "p/w" not in repr(secure)
    with pytest.raises(ValueError, match="smtp://host:port"):
        Server.from_url("mail.example:25")


async def test_an_invoice_that_is_not_made_yet_delays_no_other_e_mail() -> None:
    """The e-mail is tried again later. Asking again and again meanwhile would keep all others waiting, and a layout can fail for good."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return (
            httpx.Response(200, json={"access_token": "t", "expires_in": 300}) if request.url.path == "/v1/token" else httpx.Response(503)
        )

    settings = Settings(users_url="http://users", invoicing_url="http://invoicing", database_url=SecretStr(""))
    async with ServiceClient(settings, transport=httpx.MockTransport(answer)) as client:
        sender = Sender(NO_DATABASE, settings, FixedClock(AT), client)
        with pytest.raises(Transient):
            await sender.fetch_files("acme", "inv-1")
    assert asked.count("/v1/tenants/acme/invoices/inv-1/pdf") == FILE_ATTEMPTS == 2

"""A mail as it goes over the wire, and what an answer of the mail server means."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

import aiosmtplib
import pytest

from services.notifier.mail_store import Mail
from services.notifier.mailer import Server, Unsendable, backoff_s, build, describe, permanent
from shared.errors import Transient

AT = datetime(2026, 3, 1, tzinfo=UTC)
MAIL = Mail("acme", "m-1", "bo@acme.example", "Bo Ångström", "Überblick", "Grüße\n", "<p>Grüße</p>", [], 1, AT)
SENDER = "Seatpool <seatpool@vendor.example>"
DATE = "Sun, 01 Mar 2026 00:00:00 +0000"


def test_a_mail_has_both_forms_and_says_that_a_machine_sent_it() -> None:
    message = message_from_bytes(build(MAIL, SENDER, DATE).as_bytes(), policy=policy.default)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]  # type: ignore[attr-defined]
    assert [part.get_content().strip() for part in message.iter_parts()] == ["Grüße", "<p>Grüße</p>"]  # type: ignore[attr-defined]
    assert (message["Subject"], message["To"]) == ("Überblick", "Bo Ångström <bo@acme.example>")
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<m-1@vendor.example>", "auto-generated")
    assert message["List-Id"] == "<acme.seatpool.vendor.example>"


def test_an_invoice_is_attached_beside_both_forms() -> None:
    message = message_from_bytes(build(MAIL, SENDER, DATE, [("2026-1.pdf", b"%PDF")]).as_bytes(), policy=policy.default)
    assert message.get_content_type() == "multipart/mixed"
    (attached,) = message.iter_attachments()  # type: ignore[attr-defined]
    assert (attached.get_filename(), attached.get_content()) == ("2026-1.pdf", b"%PDF")


@pytest.mark.parametrize("evil", ["Hello\r\nBcc: all@acme.example", "Hello\nBcc: x", "a\x00b\x0b\u2028c"])
def test_no_name_or_subject_gets_a_header_of_its_own(evil: str) -> None:
    message = message_from_bytes(build(replace(MAIL, subject=evil, recipient_name=evil), SENDER, DATE).as_bytes(), policy=policy.default)
    assert message["Bcc"] is None
    assert set(message.keys()) >= {"From", "To", "Subject"}
    assert message["To"].addresses[0].addr_spec == "bo@acme.example"


@pytest.mark.parametrize("address", ["no address", "a@b\r\nBcc: x@y", "", "<a@b>, c@d", "é b@c", "é@b\r\nBcc: x@y"])
def test_what_is_no_address_can_not_be_sent(address: str) -> None:
    with pytest.raises(Unsendable):
        build(replace(MAIL, recipient=address), SENDER, DATE)


def test_a_local_part_beyond_ascii_is_an_address() -> None:
    assert str(build(replace(MAIL, recipient="josé1@adventure-works.com"), SENDER, DATE)["To"]).endswith("<josé1@adventure-works.com>")


def test_5xx_for_a_mail_is_for_good_and_everything_else_of_the_moment() -> None:
    def recipients(*codes: int) -> aiosmtplib.SMTPRecipientsRefused:
        return aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(code, "no", "x@y") for code in codes])

    for_good = [recipients(550), aiosmtplib.SMTPDataError(554, "spam"), aiosmtplib.SMTPSenderRefused(553, "no", "x"), Unsendable("x")]
    for_now = [
        recipients(451),
        aiosmtplib.SMTPDataError(452, "full"),
        aiosmtplib.SMTPAuthenticationError(535, "who?"),
        aiosmtplib.SMTPServerDisconnected("gone"),
        aiosmtplib.SMTPTimeoutError("slow"),
        ConnectionRefusedError(),
        Transient("invoice"),
    ]
    assert [permanent(error) for error in for_good] == [True] * len(for_good)
    assert [permanent(error) for error in for_now] == [False] * len(for_now)
    assert describe(recipients(550)) == "550 no"


def test_backoff_doubles_to_a_quarter_of_an_hour() -> None:
    assert [backoff_s(attempt, 0) for attempt in (1, 2, 3, 10, 99)] == [2, 4, 8, 900, 900]
    assert backoff_s(1, 0.5) == 2.5


def test_the_mail_servers_address_and_its_password() -> None:
    assert Server.from_url("smtp://mail.example:2525") == Server("mail.example", 2525, False)
    secure = Server.from_url("smtps://bo%40x:p%2Fw@mail.example")
    assert (secure.port, secure.tls, secure.user, secure.password) == (465, True, "bo@x", "p/w")
    assert "p/w" not in repr(secure)
    with pytest.raises(ValueError, match="smtp://host:port"):
        Server.from_url("mail.example:25")

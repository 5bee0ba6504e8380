"""An e-mail as the mail server gets it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import parseaddr
from html import escape

from services.notifier.store.emails import ClaimedEmail
from shared.text import one_line

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# The headers of an e-mail and of its parts: a finished e-mail may have no others.
HEADERS = (
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Id", "MIME-Version", "Content-Type",
)  # fmt: skip
PART_HEADERS = frozenset(("Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version"))

NAME_MAX = 100  # characters in the header: the library takes quadratic time, for 500 half a second in the event loop
LINK_PLACEHOLDER = "[the link is only in the e-mail that was sent]"
Attachment = tuple[str, bytes]  # (file name, PDF or XML)


class Unsendable(Exception):
    """This e-mail can never be sent: its address is not valid, or it cannot be written."""


@dataclass(frozen=True, slots=True)
class Finished:
    """An e-mail as the mail server gets it. `utf8`: an address beyond ASCII, which the server has to support (RFC 6531)."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool


def header_text(text: str) -> str:
    """Return the text on one line and without `=?`, with which an encoded word begins (RFC 2047).

    The standard library decodes encoded words when a header is set, and up to Python 3.11.9 it writes the line ends inside them as they
    are (CVE-2024-6923). The parts of a subject come from different people, so this is done to the whole text and not to its parts.
    """
    return one_line(text).replace("=?", "= ?")


def mailbox_of(name: str, address: str) -> Address:
    """Return the mailbox. Raises ValueError, MessageError or IndexError for an invalid address.

    A local part beyond ASCII is valid (RFC 6531), but the parser of the standard library calls it a defect. So the parser checks the
    address with those letters replaced.
    """
    if "=?" in address:
        raise ValueError("the address contains an encoded word")  # the parser would decode it
    if address.isascii():
        return Address(display_name=name, addr_spec=address)
    Address(addr_spec=_BEYOND_ASCII.sub("x", address))
    local, _, domain = address.rpartition("@")
    return Address(display_name=name, username=local, domain=domain)


def build(email: ClaimedEmail, sender: str, date: str, attachments: Sequence[Attachment] = (), link: str | None = None) -> Finished:
    """Return the e-mail as multipart/alternative (text, HTML), within multipart/mixed when there are PDFs. `link` replaces its placeholder.

    Raises Unsendable for an invalid address, and for an e-mail with a header that is not set here: no defect of the library that writes
    them, known or not, lets a name or a subject become a header or a body.
    """
    name, address = parseaddr(header_text(sender))
    utf8 = not (email.recipient.isascii() and address.isascii())
    try:
        message = _message(email, mailbox_of(name, address), date, attachments, utf8, link)
        content = message.as_bytes()
    except Exception as error:  # what the library cannot write delays no other e-mail
        raise Unsendable(f"cannot write the e-mail to {email.recipient[:100]!r}: {error}") from error
    check_headers(content)
    return Finished(address, email.recipient, content, utf8)


def _message(
    email: ClaimedEmail, sender: Address, date: str, attachments: Sequence[Attachment], utf8: bool, link: str | None
) -> EmailMessage:
    domain = sender.domain or "localhost"
    message = EmailMessage(policy=WIRE.clone(cte_type="7bit", utf8=utf8))
    message["From"] = sender
    message["To"] = mailbox_of(header_text(email.recipient_name)[:NAME_MAX], email.recipient)
    message["Subject"] = header_text(email.subject)
    message["Date"] = date
    message["Message-ID"] = f"<{email.email_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers to this
    message["X-Auto-Response-Suppress"] = "All"
    message["List-Id"] = f"<{re.sub('[^A-Za-z0-9-]', '-', email.tenant_id)}.seatpool.{domain}>"
    text, html = email.body_text, email.body_html
    if link is not None:
        text, html = text.replace(LINK_PLACEHOLDER, link), html.replace(LINK_PLACEHOLDER, escape(link))
    message.set_content(text, charset="utf-8")
    message.add_alternative(html, subtype="html", charset="utf-8")
    for filename, content in attachments:
        message.add_attachment(content, maintype="application", subtype=filename.rpartition(".")[2], filename=filename)
    return message


def check_headers(content: bytes) -> None:
    """Raise Unsendable unless the finished e-mail has exactly the headers that are set here, in this order."""
    whole = message_from_bytes(content)
    names = tuple(whole.keys())
    if names != HEADERS:
        raise Unsendable(f"the headers of the e-mail are not those that the notifier sets: {', '.join(names)[:300]}")
    for part in whole.walk():
        wrong = [name for name in part.keys() if part is not whole and name not in PART_HEADERS]  # noqa: SIM118 - a message is no dict
        if wrong:
            raise Unsendable(f"a part of the headers of the e-mail are not those that the notifier sets: {', '.join(wrong)[:300]}")

"""The local mailbox keeps what it gets and shows it without running it."""

import asyncio
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest
from aiosmtpd.smtp import SMTP

from deploy.local.mailbox import Sink, Store, make_app

PDF = b"%PDF-1.7 \x00\xff"


def mail(subject: str = "Invoice 2013-1", to: str = "anna@example.com") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "seatpool@example.com", to, subject
    message.set_content("EUR 39.00\n")
    message.add_alternative("<p>EUR <script>alert(1)</script>39.00</p>", subtype="html")
    message.add_attachment(PDF, maintype="application", subtype="pdf", filename='in"voïcł\n1.pdf'.replace("\n", ""))
    return message


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
async def http(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(store)), base_url="http://mailbox") as client:
        yield client


@pytest.fixture
async def smtp_port(store: Store) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(store), enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_long_subject_which_begins_on_a_second_line_is_shown_without_a_blank(http: httpx.AsyncClient, smtp_port: int) -> None:
    subject = "You do not have access to Production planning: all licences are in use"
    await aiosmtplib.send(mail(subject), hostname="127.0.0.1", port=smtp_port)
    (summary,) = (await http.get("/api/messages")).json()
    assert summary["subject"] == subject


async def test_a_mail_is_kept_with_envelope_text_and_attachment(http: httpx.AsyncClient, smtp_port: int) -> None:
    await aiosmtplib.send(mail(), hostname="127.0.0.1", port=smtp_port, recipients=["anna@example.com", "blind@example.com"])
    (summary,) = (await http.get("/api/messages")).json()
    assert summary["sender"] == "seatpool@example.com"
    assert summary["recipients"] == ["anna@example.com", "blind@example.com"]
    assert summary["subject"] == "Invoice 2013-1"
    assert summary["attachments"] == [{"name": 'in"voïcł1.pdf', "content_type": "application/pdf", "size_bytes": len(PDF)}]
    whole = (await http.get(f"/api/messages/{summary['id']}")).json()
    assert whole["text"].strip() == "EUR 39.00"
    attachment = await http.get(f"/api/messages/{summary['id']}/attachments/0")
    assert attachment.content == PDF
    assert attachment.headers["content-disposition"] == 'attachment; filename="in_vo_c_1.pdf"'
    assert (await http.get(f"/api/messages/{summary['id']}/attachments/1")).status_code == 404


async def test_the_list_is_newest_first_and_can_be_narrowed(store: Store, http: httpx.AsyncClient) -> None:
    for number, to in enumerate(["a@example.com", "b@example.com", "a@example.com"]):
        store.keep("s@example.com", [to], mail(f"number {number}", to).as_bytes())
    assert [found["subject"] for found in (await http.get("/api/messages")).json()] == ["number 2", "number 1", "number 0"]
    assert [found["subject"] for found in (await http.get("/api/messages?to=a@example.com")).json()] == ["number 2", "number 0"]
    assert [found["subject"] for found in (await http.get("/api/messages?subject=NUMBER 1")).json()] == ["number 1"]


def test_mails_are_there_again_after_a_restart(store: Store, tmp_path: Path) -> None:
    kept = store.keep("s@example.com", ["a@example.com"], mail().as_bytes())
    again = Store(tmp_path)
    assert again.summaries() == store.summaries()
    assert again.read(kept) == store.read(kept)


async def test_mails_are_deleted_one_by_one_or_all(store: Store, http: httpx.AsyncClient, tmp_path: Path) -> None:
    first, _, _ = (store.keep("s@example.com", ["a@example.com"], mail().as_bytes()) for _ in range(3))
    assert (await http.delete(f"/api/messages/{first}")).status_code == 204
    assert (await http.get(f"/api/messages/{first}")).status_code == 404
    assert len((await http.get("/api/messages")).json()) == 2
    assert (await http.delete("/api/messages")).status_code == 204
    assert list(tmp_path.iterdir()) == []


async def test_an_id_is_never_a_path(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/messages/..%2F..%2Fetc%2Fpasswd")).status_code == 404


async def test_pages_show_a_mail_and_run_nothing_of_it(store: Store, http: httpx.AsyncClient) -> None:
    kept = store.keep("s@example.com", ["a@example.com"], mail("<script>alert(2)</script>").as_bytes())
    for path in ("/", f"/messages/{kept}"):
        page = await http.get(path)
        assert "&lt;script&gt;alert(2)" in page.text
        assert "<script>" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
    framed = await http.get(f"/messages/{kept}/html")
    assert framed.headers["content-security-policy"].endswith("; sandbox")

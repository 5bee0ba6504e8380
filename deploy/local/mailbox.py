"""The local stack's mail server: accepts every e-mail, keeps it on disk, delivers none, and shows them on a page and as JSON.

usage: python -m deploy.local.mailbox FOLDER SMTP_PORT HTTP_PORT
"""

import asyncio
import html
import re
import sys
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from shared.clock import SystemClock
from shared.ids import new_id

MESSAGE_BYTES_MAX = 32 * 1024 * 1024
HOST = "127.0.0.1"
# An e-mail is HTML of somebody else: it runs no script and fetches nothing, and the page that frames it can do no more.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'"
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
iframe{width:100%;height:30rem;border:1px solid #ddd}pre{white-space:pre-wrap;background:#f6f6f6;padding:1rem}.dim{color:#666}
"""


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A row of the list. `recipients` are those of the envelope, so blind copies are among them."""

    id: str
    received_at: str
    sender: str
    recipients: list[str]
    subject: str
    attachments: list[Attachment]


class Store:
    """One file for each e-mail. Ids sort by time of arrival. Headers of the file contain the envelope, so nothing else is stored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._known = {path.stem: summarise(path.stem, parse(path.read_bytes())) for path in sorted(folder.glob("*.eml"))}

    def keep(self, sender: str, recipients: list[str], content: bytes) -> str:
        message_id = new_id()
        received = SystemClock().now().isoformat().replace("+00:00", "Z")
        head = f"X-Received-At: {received}\r\nX-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(recipients)}\r\n"
        data = head.encode() + content
        part = self._folder / f"{message_id}.part"
        part.write_bytes(data)
        part.replace(self._path(message_id))  # atomic: an e-mail answered with 250 is there as a whole
        self._known[message_id] = summarise(message_id, parse(data))
        return message_id

    def summaries(self) -> list[Summary]:
        """Return the e-mails, newest first."""
        return sorted(self._known.values(), key=lambda summary: summary.id, reverse=True)

    def read(self, message_id: str) -> bytes:
        if message_id not in self._known:  # which also keeps paths out of ids
            raise HTTPException(404, "no such message")
        return self._path(message_id).read_bytes()

    def remove(self, message_id: str) -> None:
        self.read(message_id)
        self._path(message_id).unlink()
        del self._known[message_id]

    def _path(self, message_id: str) -> Path:
        return self._folder / f"{message_id}.eml"


def parse(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=policy.default)


def attachment_parts(message: EmailMessage) -> list[EmailMessage]:
    return list(message.iter_attachments())


def payload_of(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else part.as_bytes()


def summarise(message_id: str, message: EmailMessage) -> Summary:
    return Summary(
        id=message_id,
        received_at=str(message.get("X-Received-At", "")),
        sender=str(message.get("X-Envelope-From", "")),
        recipients=[address for address in str(message.get("X-Envelope-To", "")).split(", ") if address],
        subject=str(message.get("Subject", "")).strip(),  # a long one begins on its second line
        attachments=[
            Attachment(part.get_filename() or f"attachment-{number}", part.get_content_type(), len(payload_of(part)))
            for number, part in enumerate(attachment_parts(message))
        ],
    )


def body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else None


class Sink:
    """The handler of aiosmtpd."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        content = envelope.content
        assert isinstance(content, bytes)
        message_id = self._store.keep(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        return f"250 kept as {message_id}"


def make_app(store: Store) -> FastAPI:
    app = FastAPI(title="Seatpool local mailbox", docs_url=None, redoc_url=None)
    add_json_routes(app, store)
    add_pages(app, store)
    return app


def add_json_routes(app: FastAPI, store: Store) -> None:
    """Add the routes for programs."""

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.get("/api/messages")
    async def messages(to: str | None = None, subject: str | None = None) -> list[dict[str, Any]]:
        """Return the e-mails, newest first; `to` is a whole address, `subject` a part of one."""
        return [
            asdict(summary)
            for summary in store.summaries()
            if (to is None or to in summary.recipients) and (subject is None or subject.casefold() in summary.subject.casefold())
        ]

    @app.delete("/api/messages", status_code=204)
    async def clear() -> None:
        for summary in store.summaries():
            store.remove(summary.id)

    @app.get("/api/messages/{message_id}")
    async def message(message_id: str) -> dict[str, Any]:
        parsed = parse(store.read(message_id))
        headers = [[name, str(value)] for name, value in parsed.items()]
        return asdict(summarise(message_id, parsed)) | {"headers": headers, "text": body(parsed, "plain"), "html": body(parsed, "html")}

    @app.delete("/api/messages/{message_id}", status_code=204)
    async def remove(message_id: str) -> None:
        store.remove(message_id)

    @app.get("/api/messages/{message_id}/raw")
    async def raw(message_id: str) -> Response:
        return PlainTextResponse(store.read(message_id))

    @app.get("/api/messages/{message_id}/attachments/{number}")
    async def attachment(message_id: str, number: int) -> Response:
        parsed = parse(store.read(message_id))
        parts = attachment_parts(parsed)
        if not 0 <= number < len(parts):
            raise HTTPException(404, "no such attachment")
        name = re.sub("[^A-Za-z0-9._-]", "_", summarise(message_id, parsed).attachments[number].name)  # a header holds no other letters
        # Always a download: an attached HTML page must not run as a page of this server.
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return Response(payload_of(parts[number]), media_type=parts[number].get_content_type(), headers=headers)


def add_pages(app: FastAPI, store: Store) -> None:
    """Add the web pages."""

    @app.get("/", response_class=HTMLResponse)
    async def index() -> Response:
        rows = "".join(
            f"<tr><td class=dim>{html.escape(summary.received_at)}</td><td>{html.escape(', '.join(summary.recipients))}</td>"
            f'<td><a href="/messages/{summary.id}">{html.escape(summary.subject) or "(no subject)"}</a></td>'
            f"<td>{'&#128206;' * bool(summary.attachments)}</td></tr>"
            for summary in store.summaries()
        )
        head = "<tr><th>received</th><th>to</th><th>subject</th><th></th></tr>"
        return page("Mailbox", f"<table>{head}{rows}</table>" if rows else "<p class=dim>No e-mail yet.</p>")

    @app.get("/messages/{message_id}", response_class=HTMLResponse)
    async def show(message_id: str) -> Response:
        parsed = parse(store.read(message_id))
        summary = summarise(message_id, parsed)
        lines = [("from", summary.sender), ("to", ", ".join(summary.recipients)), ("received", summary.received_at)]
        table = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in lines)
        links = "".join(
            f'<li><a href="/api/messages/{message_id}/attachments/{number}">{html.escape(attachment.name)}</a>'
            f" <span class=dim>{html.escape(attachment.content_type)}, {attachment.size_bytes} bytes</span></li>"
            for number, attachment in enumerate(summary.attachments)
        )
        text = f"<pre>{html.escape(body(parsed, 'plain') or '')}</pre>"
        frame = f'<iframe sandbox src="/messages/{message_id}/html"></iframe>' if body(parsed, "html") else ""
        source = f'<p><a href="/">All e-mails</a> · <a href="/api/messages/{message_id}/raw">source</a></p>'
        return page(summary.subject, f"<table>{table}</table><ul>{links}</ul>{frame or text}{text if frame else ''}{source}")

    @app.get("/messages/{message_id}/html", response_class=HTMLResponse)
    async def framed(message_id: str) -> Response:
        content = body(parse(store.read(message_id)), "html") or ""
        return HTMLResponse(content, headers={"Content-Security-Policy": f"{CONTENT_POLICY}; sandbox"})


def page(title: str, content: str) -> Response:
    title = html.escape(title)
    text = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{content}"
    return HTMLResponse(text, headers={"Content-Security-Policy": CONTENT_POLICY})


async def serve(folder: Path, smtp_port: int, http_port: int) -> None:
    store = Store(folder)
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(Sink(store), enable_SMTPUTF8=True, data_size_limit=MESSAGE_BYTES_MAX, hostname="mailbox.local", loop=loop),
        HOST,
        smtp_port,
    )
    async with smtp:
        await uvicorn.Server(uvicorn.Config(make_app(store), host=HOST, port=http_port, log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))

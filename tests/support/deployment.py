"""A made-up deployment for tests of the command line: every service's REST from a table of answers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.main import app

Answer = tuple[int, Any]


def _nothing_here(_: object) -> Answer:
    return 404, {"detail": "nothing here"}


class Deployment:
    """Answers every service's REST from a table, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answers: dict[tuple[str, str], Callable[[Any], Answer]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                body = json.loads(text) if text.startswith((b"{", b"[")) else text.decode()
                path = self.path.partition("?")[0]
                outer.asked.append((self.command, path, body))
                status, answer = outer.answers.get((self.command, path), _nothing_here)(body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status == httpx.codes.TOO_MANY_REQUESTS:
                    self.send_header("Retry-After", str(answer["retry_after_seconds"]))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that the base class looks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def made_up(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Deployment]:
    """The command line finds it by its settings."""
    deployment = Deployment()
    for service in ("USERS", "SEATS", "INVOICING", "NOTIFIER"):
        monkeypatch.setenv(f"SEATPOOL_{service}_URL", deployment.url)
    monkeypatch.setenv("SEATPOOL_TOKEN", "a-token")
    monkeypatch.setenv("SEATPOOL_OPERATOR_SECRET", "a-secret")
    monkeypatch.setenv("SEATPOOL_STATE_DIR", str(folder / "state"))
    thread = Thread(target=deployment.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield deployment
    finally:
        deployment.server.shutdown()
        deployment.server.server_close()
        thread.join()


def seatpool(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 - the runner's own word
    return CliRunner().invoke(app, list(arguments), input=input, env={"COLUMNS": "200"})

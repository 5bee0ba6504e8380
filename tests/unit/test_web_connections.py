"""Limits of connections, over real sockets: the time for a request, the time until its answer is read, and their number."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any
from unittest.mock import Mock

import pytest
import structlog
import uvicorn
from fastapi import Depends, FastAPI, Response
from fastapi.responses import StreamingResponse
from joserfc.jwk import KeySet
from prometheus_client import REGISTRY
from uvicorn.server import ServerState

from deploy.local import ports
from shared import runtime
from shared.settings import CommonSettings
from shared.web import Principal, Verifier, authenticated, connections, create_app, tenant_limits
from shared.web.app import HUNG_UP
from tests.support.apps import KEY, all_apps, bearer

SECONDS_MAX = 0.5
PATIENCE_SECONDS = 10  # for what happens at once or after SECONDS_MAX: the machine may be busy, and the real limits are 30 s
AUTHORIZED = f"authorization: {bearer('acme')}\r\ncontent-type: application/json\r\n"
BODY = b'{"a": 1}'
LARGE = 8 * 1024 * 1024  # more than the system keeps for a connection


def post(authorized: str = AUTHORIZED, length: int = len(BODY)) -> bytes:
    return f"POST /things HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n{authorized}\r\n".encode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: test\r\n{AUTHORIZED}\r\n".encode()


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def status(self, *parts: bytes) -> int:
        """Return the status of the answer to the parts that are sent."""
        for part in parts:
            self.writer.write(part)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")]
        await (self.reader.readexactly(lengths[0]) if lengths else self.reader.read())
        return int(head.split()[1])

    async def until_closed(self, trickle: bytes = b"") -> bytes:
        """What comes before the server ends the connection, while one byte after the other is sent."""
        got = asyncio.ensure_future(self.reader.read())
        for byte in trickle:
            if got.done():
                break
            with contextlib.suppress(ConnectionError):
                self.writer.write(bytes([byte]))
                await self.writer.drain()
            await asyncio.wait([got], timeout=0.05)
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await got
            except ConnectionResetError:  # a byte was on its way
                return b""


class Service:
    app: FastAPI

    def __init__(self, port: int) -> None:
        self.port, self.open, self.streaming = port, list[Connection](), asyncio.Event()

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.open.append(connection)
        return connection

    def requests(self) -> int:
        """Being answered, of the tenant of all callers."""
        limits: tenant_limits.TenantLimits = self.app.state.tenant_limits
        return limits._requests["acme"]

    @contextlib.asynccontextmanager
    async def asking(self, path: str, times: int = 1) -> AsyncIterator[socket.socket]:
        """A caller with small buffers who has asked, and reads nothing by itself."""
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(caller, ("127.0.0.1", self.port))
            await loop.sock_sendall(caller, get(path) * times)
            yield caller


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    async def ready() -> bool:
        return True

    monkeypatch.setattr(connections, "REQUEST_SECONDS_MAX", SECONDS_MAX)
    monkeypatch.setattr(connections, "ANSWER_SECONDS_MAX", SECONDS_MAX)
    monkeypatch.setattr(runtime, "CONNECTIONS_MAX", 5)
    settings = CommonSettings(host="127.0.0.1", port=ports.pick())
    app = create_app(title="sample", settings=settings, ready=ready, verifier=Verifier(keys=lambda: KeySet([KEY])))

    @app.post("/things")
    async def add(body: dict[str, int], principal: Annotated[Principal, Depends(authenticated)], seconds: float = 0) -> int:
        await asyncio.sleep(seconds)
        return len(body)

    made = Service(settings.port)
    made.app = app

    @app.get("/large", dependencies=[Depends(authenticated)])
    async def show() -> Response:
        return Response(bytes(LARGE))

    @app.get("/stream", dependencies=[Depends(authenticated)])
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            made.streaming.set()
            try:
                while True:
                    yield bytes(10_000)
                    await asyncio.sleep(0)  # as for rows from a database
            finally:
                made.streaming.clear()

        return StreamingResponse(parts())

    serving = asyncio.create_task(runtime.serve(app, settings))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(ConnectionError):
                await made.connect()
                break
            await asyncio.sleep(0.01)
    made.open.pop().writer.close()
    yield made
    for connection in made.open:
        connection.writer.close()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """Nothing worse than a warning is logged, neither by us nor by uvicorn nor by asyncio."""
    with structlog.testing.capture_logs() as logs:
        yield logs
    assert [line for line in logs if line["log_level"] in ("error", "critical") or "exc_info" in line] == []
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


def counted(status: int) -> float:
    labels = {"method": "POST", "route": "/things", "status": str(status)}
    return REGISTRY.get_sample_value("seatpool_http_request_seconds_count", labels) or 0


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize(
    ("begin", "trickle"),
    [
        pytest.param(b"", b"", id="nothing is sent"),
        pytest.param(b"POST /things HT", b"", id="headers break off"),
        pytest.param(b"POST /things HTTP/1.1\r\nx: ", b"y" * 100, id="headers never end"),
        pytest.param(post(), b"", id="the body is never sent"),
        pytest.param(post(length=1000), b" " * 100, id="the body never ends"),
        pytest.param(post() + BODY[:-1], b"", id="the body breaks off"),
        pytest.param(post() + BODY + post() + BODY[:-1], b"", id="the body of a second request, sent at once, breaks off"),
    ],
)
async def test_a_request_that_arrives_slowly_is_cut_off_after_its_time(service: Service, begin: bytes, trickle: bytes) -> None:
    errors, connection = counted(500), await service.connect()
    connection.writer.write(begin)
    began = asyncio.get_running_loop().time()
    answers = await connection.until_closed(trickle)
    assert SECONDS_MAX * 0.8 < asyncio.get_running_loop().time() - began < PATIENCE_SECONDS
    assert answers.count(b"HTTP/1.1") == answers.count(b"HTTP/1.1 200 OK") == begin.count(b"POST") - 1 if begin.count(BODY) else not answers
    assert counted(500) == errors


async def test_a_caller_who_hangs_up_is_information(service: Service, no_errors: list[Any]) -> None:
    before, connection = counted(HUNG_UP), await service.connect()
    connection.writer.write(post() + BODY[:3])
    await connection.writer.drain()
    connection.writer.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while counted(HUNG_UP) == before:
            await asyncio.sleep(0.01)
    assert [line["log_level"] for line in no_errors if line.get("status") == HUNG_UP] == ["info"]


@pytest.mark.usefixtures("no_errors")
async def test_without_a_token_the_answer_comes_at_once_and_the_unsent_body_is_not_waited_for(service: Service) -> None:
    connection = await service.connect()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await connection.status(post("", 1000)) == 401
    assert await connection.until_closed(b" " * 100) == b""


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize(("authorized", "answered"), [("", 401), (AUTHORIZED, 400)], ids=["no token", "token"])
async def test_a_body_that_breaks_the_protocol_is_answered_once(service: Service, authorized: str, answered: int) -> None:
    connection = await service.connect()
    connection.writer.write(f"POST /things HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n{authorized}\r\n".encode())
    if answered == 401:
        assert await connection.status() == 401
    connection.writer.write(b"no chunk\r\n")
    rest = await connection.until_closed()
    assert rest.startswith(b"HTTP/1.1 400") == (answered == 400)
    assert rest.count(b"HTTP/1.1") == (answered == 400)


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize(("authorized", "answered"), [("", 401), (AUTHORIZED, 400)], ids=["no token", "token"])
async def test_a_body_of_too_many_chunks_is_not_read_to_its_end(service: Service, authorized: str, answered: int) -> None:
    connection, head = await service.connect(), "POST /things HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n"
    connection.writer.write(f"{head}{authorized}\r\n".encode())
    if answered == 401:
        assert await connection.status() == 401
    connection.writer.write(b"1\r\n \r\n" * (connections.CHUNKS_MAX + 1))
    rest = await connection.until_closed()
    assert rest.count(b"HTTP/1.1 400") == rest.count(b"HTTP/1.1") == (answered == 400)


@pytest.mark.usefixtures("no_errors")
async def test_a_body_whose_length_is_stated_in_two_ways_is_refused_and_nothing_behind_it_is_read(service: Service) -> None:
    connection = await service.connect()
    head = post().replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.writer.write(head + b"0\r\n\r\n" + post() + BODY)
    rest = await connection.until_closed()
    assert rest.startswith(b"HTTP/1.1 400")
    assert rest.count(b"HTTP/1.1") == 1


@pytest.mark.usefixtures("no_errors")
async def test_each_body_has_as_many_chunks_as_are_allowed(service: Service) -> None:
    connection, head = await service.connect(), f"POST /things HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n{AUTHORIZED}\r\n"
    body = b"1\r\n \r\n" * (connections.CHUNKS_MAX - 1) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    for _ in range(2):
        assert await connection.status(head.encode(), body) == 200


@pytest.mark.usefixtures("no_errors")
async def test_answers_and_pauses_between_requests_have_their_own_time(service: Service) -> None:
    connection = await service.connect()
    slow = post().replace(b"/things", b"/things?seconds=%.1f" % (SECONDS_MAX * 2))
    assert await connection.status(slow, BODY) == 200, "it takes its time to answer"
    await asyncio.sleep(SECONDS_MAX * 1.5)
    assert await connection.status(post(), BODY) == 200


async def test_a_service_is_served_with_the_real_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests set smaller ones."""
    served: list[uvicorn.Server] = []

    async def note(server: uvicorn.Server) -> None:
        served.append(server)

    monkeypatch.setattr(runtime._Server, "serve", note)
    await runtime.serve(all_apps()["users"], CommonSettings())
    (server,) = served
    server.config.load()
    assert server.config.http_protocol_class is connections.LimitedProtocol
    assert (server.config.limit_concurrency, server.config.timeout_keep_alive) == (1_000 + 1, 30), "503 from connection 1,001"
    assert (connections.REQUEST_SECONDS_MAX, connections.ANSWER_SECONDS_MAX) == (30, 30)
    protocol = connections.LimitedProtocol(server.config, ServerState(), {}, loop := Mock())
    protocol.connection_made(transport := Mock(**{"get_extra_info.return_value": None, "get_write_buffer_size.return_value": 2**20}))
    protocol.pause_writing()
    assert [(each.args[0], each.args[1].__name__) for each in loop.call_later.mock_calls if each.args] == [
        (30, "_end"),
        (30, "_check_answer"),
    ]
    assert transport.get_write_buffer_size.called


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(caller: socket.socket) -> bool:
    """Whether the server has ended the connection, when everything that it sent is read."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while await loop.sock_recv(caller, 2**20):
                pass
        except ConnectionResetError:
            return True
    return True


@pytest.mark.parametrize(("path", "times"), [("/large", 1), ("/stream", 1), ("/large", 3)])
async def test_a_caller_who_reads_nothing_of_an_answer_is_cut_off(service: Service, no_errors: list[Any], path: str, times: int) -> None:
    began = asyncio.get_running_loop().time()
    async with service.asking(path, times) as caller:
        await until(lambda: any(line["event"] == "answer_not_read" for line in no_errors))
        assert SECONDS_MAX * 0.8 < asyncio.get_running_loop().time() - began < PATIENCE_SECONDS
        assert await ended(caller)
    await until(lambda: not service.streaming.is_set())
    assert await (await service.connect()).status(post(), BODY) == 200


async def test_a_caller_who_reads_slowly_gets_the_whole_answer(service: Service, no_errors: list[Any]) -> None:
    loop, got = asyncio.get_running_loop(), 0
    async with service.asking("/large") as caller:
        for eighth in range(1, 9):
            await asyncio.sleep(SECONDS_MAX / 4)
            while got < LARGE * eighth // 8:
                got += len(await loop.sock_recv(caller, 2**16))
    assert got >= LARGE
    assert [line for line in no_errors if line["event"] == "answer_not_read"] == []


async def test_a_large_answer_counts_for_its_tenant_until_it_is_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_limits, "REQUESTS_MAX", 2)
    async with service.asking("/large"), service.asking("/large"):
        await until(lambda: service.requests() == 2)
        assert await (await service.connect()).status(post(), BODY) == 429
        await until(lambda: service.requests() == 0)
        assert await (await service.connect()).status(post(), BODY) == 200, "they were cut off"


async def test_the_rest_of_a_complete_answer_is_not_kept_for_its_reader() -> None:
    """The application is ready and the connection is closed, and the system cannot take the last bytes."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(lambda: None, h11_max_incomplete_event_size=1000)
    config.load()
    protocol = connections.LimitedProtocol(config, ServerState(), {}, loop)
    transport = Mock(**{"get_write_buffer_size.return_value": 10, "is_closing.return_value": True, "get_extra_info.return_value": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "ANSWER_SECONDS_MAX", 0.01)
        protocol.connection_made(transport)
        protocol.on_response_complete()
        await until(lambda: bool(transport.abort.called))
        protocol.connection_lost(None)


@pytest.mark.usefixtures("no_errors")
async def test_a_process_has_a_limited_number_of_connections(service: Service) -> None:
    full = [await service.connect() for _ in range(5)]
    for connection in full:
        assert await connection.status(post(), BODY) == 200
    one_more = await service.connect()
    assert await one_more.status(post(), BODY) == 503
    full[0].writer.close()
    assert await one_more.until_closed() == b"", "the caller is told to come again"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await (await service.connect()).status(post(), BODY) != 200:
            await asyncio.sleep(0.01)

"""Limits of what a caller's connection may hold: how many there are, how long a request may take to arrive and in how many chunks, and how
long an answer may wait for its reader."""

import asyncio
from typing import Any, Final

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger(__name__)

CONNECTIONS_MAX: Final = 1_000  # of one process; more are for a proxy
REQUEST_SECONDS_MAX: Final = 30.0  # for headers and body, from the first byte to the last
ANSWER_SECONDS_MAX: Final = 30.0  # for the next part of an answer to be read: ANSWER_PART_BYTES, or all that waits if that is less
ANSWER_PART_BYTES: Final = 64 * 1024
CHUNKS_MAX: Final = 4_000  # of one body: each costs 10 to 20 µs, and 40,000 fit into what is read from a connection at once

_LENGTHS = {b"content-length", b"transfer-encoding"}  # with both, a proxy may see another request behind this one than h11 does
_UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE)


class _LimitedConnection(h11.Connection):
    """h11's parser with a limit of chunks, of which it reads any number, also of a body that nobody wants because the access was refused.
    A body whose length is stated in two ways is refused."""

    _chunks = 0
    written = 0  # bytes of all answers

    def send(self, event: Any) -> bytes | None:  # type: ignore[override]  # overloads: None for the end of the connection
        data: bytes | None = super().send(event)
        self.written += len(data or b"")
        return data

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = 0
            if {name for name, _ in event.headers} >= _LENGTHS:
                raise h11.RemoteProtocolError("a body with a length and in chunks")
        elif isinstance(event, h11.Data) and event.chunk_start:
            self._chunks += 1
            if self._chunks > CHUNKS_MAX:
                raise h11.RemoteProtocolError(f"a body of more than {CHUNKS_MAX} chunks")
        return event


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol, which limits only the time between two requests, with two timers more.

    One runs while a request is expected on a new connection, and while one has arrived in part. The other runs while an answer waits to be
    read: uvicorn waits for its reader without limit, also after it has closed the connection.
    """

    conn: _LimitedConnection
    _timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        size_max = self.config.h11_max_incomplete_event_size
        assert size_max is not None, "our own setting"
        self.conn = _LimitedConnection(h11.SERVER, size_max)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        in_part = self.conn.their_state is h11.SEND_BODY or (self.conn.their_state is h11.IDLE and self.conn.trailing_data[0])
        if not in_part or self.transport.is_closing():
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_answer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_answer()

    def send_400_response(self, msg: str) -> None:
        """What breaks off after its answer has begun gets no second one."""
        if self.conn.our_state in _UNANSWERED:
            super().send_400_response(msg)
        self.transport.close()
        self._watch_answer()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(REQUEST_SECONDS_MAX, self._end)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        log.info("request_too_slow", seconds_max=REQUEST_SECONDS_MAX)
        self.transport.close()
        self._watch_answer()

    def _watch_answer(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting and self._answer_timer is None:
            read_by_then = self.conn.written - waiting + min(waiting, ANSWER_PART_BYTES)
            self._answer_timer = self.loop.call_later(ANSWER_SECONDS_MAX, self._check_answer, read_by_then)

    def _check_answer(self, read_by_then: int) -> None:
        self._answer_timer = None
        if self.conn.written - self.transport.get_write_buffer_size() < read_by_then:
            log.info("answer_not_read", seconds_max=ANSWER_SECONDS_MAX)
            self.transport.abort()  # to close it would wait for the reader
        else:
            self._watch_answer()

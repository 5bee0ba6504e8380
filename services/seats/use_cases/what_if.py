"""What-if and forecast. Each question runs on a copy of the tenant in a thread, and its size is limited.

The event loop only reads the tenant's rows, a slice at a time. The copy, the decisions and the JSON are made in the thread; `main` sets
how long a thread can keep the loop waiting.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import orjson
from pydantic import ValidationError

from services.seats import domain
from services.seats.engine.engine import Live
from shared.errors import Invalid, Refused
from shared.schemas import topics
from shared.schemas.faults import expected_by, field_of, first_faults
from shared.schemas.registry import REGISTRY

BUDGET = 20_000  # rows touched and events emitted
COMMAND_BYTES_MAX = 64 * 1024  # several times what the largest command needs
ANSWER_BYTES_MAX = 4 * 1024 * 1024
ANSWER_SECONDS_MAX = 10.0  # a worker that forwards the question waits for 15 seconds
ROWS_AT_ONCE = 10_000  # about 10 ms
QUESTIONS_MAX = 2  # per worker: each takes memory, and processor time from the decisions
WAIT_SECONDS_MAX = 1.0
RETRY_AFTER_SECONDS = 2
COMMANDS_MAX = 100
KEPT_MAX = 256  # answers
KEPT_BYTES_MAX = 64 * 1024  # of one answer
NUMBER = 2**53 - 1 - COMMANDS_MAX  # above every number and revision in use


class Snapshot(NamedTuple):
    """A tenant between two batches of commands. `offset`: of the next command. `durable`: offset of the last command that is durable."""

    tenant: str
    rows: list[tuple[str, domain.Row]]
    clock_ms: int
    partition: int
    offset: int
    rules: int
    durable: int

    @property
    def position(self) -> dict[str, int]:
        return {"partition": self.partition, "offset": self.durable}


class ProposedCommand(NamedTuple):
    """A command as the caller writes it. `type` may lack its prefix."""

    type: str
    data: dict[str, Any]
    source: str


Answer = Callable[[Snapshot, domain.Budget], bytes]
BetweenBatches = AbstractAsyncContextManager[tuple[Live, domain.Tenant]]


class Questions:
    """Run at most one question per tenant and two per worker at once. A further one waits for a second and is then refused.

    The answer to a question that has a name is kept: until the next command of the partition is decided, it is the same.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Hashable], tuple[int, bytes]] = OrderedDict()  # with the offset of the next command
        self._tenants: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places = asyncio.Semaphore(QUESTIONS_MAX)

    async def ask(self, tenant: str, between_batches: BetweenBatches, answer: Answer, split: str, *, name: Hashable | None = None) -> bytes:
        """Return the answer in JSON. `between_batches` gives the tenant while nothing is decided.

        `split` tells the caller how to ask for less. `name`: two questions of this name have one answer, at the same position of the log.
        """
        lock = self._tenants.setdefault(tenant, asyncio.Lock())
        budget = domain.Budget(BUDGET)
        await self._enter(lock)
        try:
            offset, kept = self._kept.get((tenant, name), (None, b""))
            async with between_batches as (live, state):
                is_kept = live.decided + 1 == offset
                snapshot = None if is_kept else await _snapshot(live, state)
            if snapshot is None:
                self._leave(lock)
                return kept
            running = asyncio.ensure_future(asyncio.to_thread(answer, snapshot, budget))
        except BaseException:
            self._leave(lock)
            raise
        running.add_done_callback(lambda _: self._leave(lock))  # a thread cannot be cancelled: it keeps its place until it ends
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                text = await asyncio.shield(running)
            if name is not None:
                self._keep(tenant, name, snapshot.offset, text)
            return text
        except TimeoutError:
            raise _too_large(f"The answer takes longer than {ANSWER_SECONDS_MAX:.0f} seconds.", split) from None
        except domain.BudgetExceeded as error:
            raise _too_large(str(error), split) from None
        finally:
            budget.stopped = True

    async def _enter(self, lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await lock.acquire()
                try:
                    await self._places.acquire()
                except BaseException:
                    lock.release()
                    raise
        except TimeoutError:
            detail = (
                f"Other forecasts or what-ifs are running: at most one per tenant and {QUESTIONS_MAX} per worker at a time. "
                f"Try again in {RETRY_AFTER_SECONDS} seconds."
            )
            raise Refused("too-many-requests", detail, retry_after_seconds=RETRY_AFTER_SECONDS) from None

    def _keep(self, tenant: str, name: Hashable, offset: int, text: bytes) -> None:
        self._kept.pop((tenant, name), None)
        if len(text) <= KEPT_BYTES_MAX:
            self._kept[tenant, name] = offset, text
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def _leave(self, lock: asyncio.Lock) -> None:
        self._places.release()
        lock.release()


def _too_large(why: str, split: str) -> Refused:
    return Refused("too-large", f"{why} {split}", changes_max=BUDGET, bytes_max=ANSWER_BYTES_MAX)


async def _snapshot(live: Live, state: domain.Tenant) -> Snapshot:
    """Read the rows in slices, while no decision comes between them; the loop does other work after each slice."""
    left, rows = state.rows(), list[tuple[str, domain.Row]]()
    while slice_ := list(islice(left, ROWS_AT_ONCE)):
        rows += slice_
        await asyncio.sleep(0)
    return Snapshot(state.id, rows, live.clock_ms, live.number, live.decided + 1, live.rules, live.durable.marker.decided)


def forecast(snapshot: Snapshot, budget: domain.Budget, at_ms: int) -> bytes:
    """Return the answer in JSON. It runs in a thread."""
    seen = domain.forecast(snapshot.rows, snapshot.clock_ms, at_ms, budget, offset=snapshot.offset, rules=snapshot.rules)
    (events,) = _encoded([seen.events])
    return _bounded(
        {"position": snapshot.position, "at": domain.instant(seen.at), "pools": seen.pools, "events": events},
    )


def what_if(snapshot: Snapshot, budget: domain.Budget, proposed: Sequence[ProposedCommand]) -> bytes:
    """Return the answer in JSON. It runs in a thread. Raises Invalid with the command and its field."""
    commands = _commands(snapshot, proposed)
    decisions = domain.what_if(snapshot.rows, commands, snapshot.clock_ms, budget, rules=snapshot.rules)
    return _bounded({"position": snapshot.position, "decisions": _encoded(decisions)})


def _encoded(decisions: Iterable[list[domain.Event]]) -> list[list[orjson.Fragment]]:
    """Encode the events one by one. A large answer encoded at once would hold the interpreter's lock, and fill the memory before its
    size is known."""
    size, encoded = 0, list[list[orjson.Fragment]]()
    for events in decisions:
        encoded.append([])
        for event in events:
            text = orjson.dumps({"type": event.type, "data": event.body})
            size += len(text)
            if size > ANSWER_BYTES_MAX:
                raise _answer_too_large()
            encoded[-1].append(orjson.Fragment(text))
    return encoded


def _bounded(answer: dict[str, Any]) -> bytes:
    text = orjson.dumps(answer)
    if len(text) > ANSWER_BYTES_MAX:
        raise _answer_too_large()
    return text


def _answer_too_large() -> domain.BudgetExceeded:
    return domain.BudgetExceeded(f"The answer has more than {ANSWER_BYTES_MAX} bytes, which is the limit.")


def _commands(snapshot: Snapshot, proposed: Sequence[ProposedCommand]) -> list[domain.Command]:
    made = []
    for index, given in enumerate(proposed):
        name = given.type if "." in given.type else f"seatpool.seats.v1.{given.type}"
        entry = REGISTRY.get(name)
        if entry is None or entry.topic is not topics.SEATS_COMMANDS or name.endswith(("tick", "rules_activated")):
            raise Invalid(f"body.commands.{index}.type", given.type, "the type of a command of seats, such as add_licences")
        data = dict(given.data)
        for field in ("number", "revision", "from_revision", "to_revision"):
            if field in entry.model.model_fields:
                data.setdefault(field, NUMBER + index)
        encoded = orjson.dumps(data)
        if len(encoded) > COMMAND_BYTES_MAX:
            raise Invalid(f"body.commands.{index}.data", None, f"a command of at most {COMMAND_BYTES_MAX} bytes")
        try:
            payload = entry.model.model_validate_json(encoded)
        except ValidationError as error:
            first = first_faults(error)[0]
            field = f"body.commands.{index}.data.{field_of(first)}".removesuffix(".")
            raise Invalid(field, None if first["type"] == "missing" else first["input"], expected_by(first)) from None
        offset = snapshot.offset + index
        made.append(domain.Command(f"what-if-{index}", given.source, snapshot.tenant, payload, snapshot.partition, offset))
    return made

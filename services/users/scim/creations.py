"""Users whom several requests of a connection create at the same time are stored in one transaction.

Their transactions would wait for each other, since each makes sure that nobody else has its name. What waits while one of them is stored
is stored together with the next one, which waits a moment if several requests came at a time: those who were answered send their next ones.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from services.users.scim.callers import Caller
from shared.ids import new_id

MOMENT_SECONDS: Final = 0.025  # for the next requests of a client that sends several at a time
Document = dict[str, Any]
Store = Callable[[Sequence["Creation"]], Awaitable[Sequence[Document | Exception]]]


class Creation(NamedTuple):
    """A user as a client sent it, the id that the user gets, and the context of its request: log lines and messages about the user carry
    the ids of this request."""

    document: Document
    resource_id: str
    context: Context | None


@dataclass(eq=False, slots=True)
class _Waiting:
    creation: Creation
    is_alone: bool = False  # a transaction with others failed
    outcome: Document | Exception | None = field(default=None)


@dataclass(eq=False, slots=True)
class _Expected:
    """As many requests as there were at a time, and whether they are here or the moment is over."""

    count: int
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class Creations:
    """The users who wait to be stored in this process, by connection."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], list[_Waiting]] = defaultdict(list)
        self._expected: dict[tuple[str, str], _Expected] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def create(self, caller: Caller, document: Document, store: Store) -> Document:
        """Return what `store` returns for the document. Raises what it returns, or raises for the document alone.

        The id is drawn once: if the connection to the database breaks while it commits, nobody knows whether it did, and `store` finds the
        user who is stored already when it is called again.
        """
        mine = _Waiting(Creation(document, new_id(), copy_context()))
        key = (caller.tenant, caller.connection.connection)
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._waiting[key].append(mine)
        if (expected := self._expected.get(key)) is not None and len(self._unanswered(key)) >= expected.count:
            expected.is_over.set()
        try:
            async with lock:
                while mine.outcome is None:
                    await self._store(key, mine, store)
        finally:
            self._remove(key, mine)
        if isinstance(mine.outcome, Exception):
            raise mine.outcome
        return mine.outcome

    async def _store(self, key: tuple[str, str], mine: _Waiting, store: Store) -> None:
        """Store `mine`, and whatever waits with it. Those who wait find their outcome when they get the lock."""
        if not mine.is_alone and (expected := self._expected.get(key)) is not None:
            await expected.is_over.wait()
        together = [mine] if mine.is_alone else [each for each in self._unanswered(key) if not each.is_alone]
        try:
            outcomes = await store([each.creation for each in together])
        except Exception as error:
            if len(together) == 1:
                mine.outcome = error
            for each in together:
                each.is_alone = True
            return
        for each, outcome in zip(together, outcomes, strict=True):
            each.outcome = outcome
        self._expect(key, len(self._waiting[key]))

    def _unanswered(self, key: tuple[str, str]) -> list[_Waiting]:
        return [each for each in self._waiting[key] if each.outcome is None]

    def _expect(self, key: tuple[str, str], count: int) -> None:
        """Let the next one wait a moment for so many. One request at a time never waits."""
        self._expected.pop(key, None)
        if count > 1:
            self._expected[key] = _Expected(count)
            asyncio.get_running_loop().call_later(MOMENT_SECONDS, self._end, key, self._expected[key])

    def _end(self, key: tuple[str, str], expected: _Expected) -> None:
        expected.is_over.set()
        if self._expected.get(key) is expected:
            del self._expected[key]

    def _remove(self, key: tuple[str, str], mine: _Waiting) -> None:
        self._waiting[key].remove(mine)
        if not self._waiting[key]:
            del self._waiting[key]

"""Users whom several requests of a connection create at the same time are stored in one transaction.

Their transactions would wait for each other, since each makes sure that nobody else has its name. What waits while one of them is stored
is stored together with the next one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from services.users.scim.callers import Caller
from shared.ids import new_id

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


class Creations:
    """The users who wait to be stored in this process, by connection."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], list[_Waiting]] = defaultdict(list)
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
        together = [mine] if mine.is_alone else [each for each in self._waiting[key] if each.outcome is None and not each.is_alone]
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

    def _remove(self, key: tuple[str, str], mine: _Waiting) -> None:
        self._waiting[key].remove(mine)
        if not self._waiting[key]:
            del self._waiting[key]

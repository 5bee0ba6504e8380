"""Work with models of the library takes milliseconds for each user, in which this process answers nobody. It is done in small parts."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

AT_ONCE: Final = 10

Each = TypeVar("Each")


async def in_parts(items: Iterable[Each], at_once: int = AT_ONCE) -> AsyncIterator[Each]:
    """Yield the items; after each part of them, what else is due in this process comes first."""
    for number, item in enumerate(items):
        if number and number % at_once == 0:
            await asyncio.sleep(0)
        yield item

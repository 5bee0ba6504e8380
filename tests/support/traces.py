"""Where a database still holds a word: every table is searched, whatever the types of its columns."""

import base64
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

Execute = Callable[..., Awaitable[Sequence[Any]]]
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name"


async def traces(execute: Execute, words: Iterable[str]) -> list[tuple[str, str]]:
    """Return (table, word) for each word that a row of a table contains: as text, in bytes, or in base64 in bytes."""
    tables = [row[0] for row in await execute(_TABLES)]
    assert len(tables) > 5, "the tables of a service"
    found = []
    for table in tables:
        for word in words:
            forms = (word, word.encode().hex(), base64.b64encode(word.encode()).hex())
            condition = " OR ".join(f"strpos(lower(to_jsonb(t)::text), lower(${number})) > 0" for number in (1, 2, 3))
            if await execute(f"SELECT 1 FROM {table} AS t WHERE {condition} LIMIT 1", *forms):
                found.append((table, word))
    return found

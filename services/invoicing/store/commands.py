"""The commands that were sent to seats, and their answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Interval, Text, any_, bindparam, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas import registry
from shared.schemas.seats_v1 import CommandFailed, CommandRejected


@dataclass(frozen=True, slots=True)
class Command:
    kind: str
    reference: str  # what it is about: a module, an order, a period


NOT_DONE = [registry.type_of(answer) for answer in (CommandRejected, CommandFailed)]

COMMANDS = table_of("commands", Command, tenant_id=str, command=str, sent_at=datetime, answer=str, answered_at=datetime)

_OWN = COMMANDS.c.tenant_id == bindparam("tenant")
_ADD = insert(COMMANDS)
_ANSWER = (
    update(COMMANDS)
    .where(_OWN, COMMANDS.c.command == bindparam("of_command"), COMMANDS.c.answer.is_(None))
    .values(answer=bindparam("new_answer"), answered_at=func.now())
    .returning(*columns_of(Command, COMMANDS))
)
_LAST = (
    select(*columns_of(Command, COMMANDS), COMMANDS.c.answer)
    .ext(distinct_on(COMMANDS.c.kind, COMMANDS.c.reference))
    .where(_OWN, COMMANDS.c.kind == any_(bindparam("kinds", type_=ARRAY(Text))))
    .order_by(COMMANDS.c.kind, COMMANDS.c.reference, COMMANDS.c.sent_at.desc())
    .subquery()
)
_NOT_DONE = (
    select(_LAST.c.kind, _LAST.c.reference)
    .where(_LAST.c.answer == any_(bindparam("answers", NOT_DONE, type_=ARRAY(Text))))
    .order_by(_LAST.c.kind, _LAST.c.reference)
)
_COUNT_UNANSWERED = select(func.count()).where(
    COMMANDS.c.answer.is_(None), COMMANDS.c.sent_at < func.now() - bindparam("age", type_=Interval)
)

_ANY_UNANSWERED = select(exists().where(_OWN, COMMANDS.c.answer.is_(None), COMMANDS.c.kind == any_(bindparam("kinds", type_=ARRAY(Text)))))


async def add(connection: AsyncConnection, tenant_id: str, command: str, kind: str, reference: str) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id, "command": command, "kind": kind, "reference": reference})


async def answer(connection: AsyncConnection, tenant_id: str, command: str, answer: str) -> Command | None:
    """Return the command if it is ours and had no answer yet."""
    return await one(connection, _ANSWER, Command, tenant=tenant_id, of_command=command, new_answer=answer)


async def any_unanswered(connection: AsyncConnection, tenant_id: str, kinds: Sequence[str]) -> bool:
    """Return whether seats has not answered a command of one of these kinds yet."""
    return bool((await connection.execute(_ANY_UNANSWERED, {"tenant": tenant_id, "kinds": kinds})).scalar_one())


async def not_done(connection: AsyncConnection, tenant_id: str, kinds: Sequence[str]) -> list[Command]:
    """Return the commands of these kinds that seats rejected or failed at and that were not sent again since."""
    return await many(connection, _NOT_DONE, Command, tenant=tenant_id, kinds=kinds)


async def count_unanswered(connection: AsyncConnection, seconds: int) -> int:
    """Count the commands of all tenants that seats has not answered for so long."""
    return int((await connection.execute(_COUNT_UNANSWERED, {"age": timedelta(seconds=seconds)})).scalar_one())

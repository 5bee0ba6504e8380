"""What was sent to seats and how it was answered."""

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, row, rows
from shared.schemas import registry
from shared.schemas.seats_v1 import CommandFailed, CommandRejected


async def add(c: AsyncConnection, tenant_id: str, command: str, kind: str, reference: str) -> None:
    await insert(c, tenant_id, "commands", command=command, kind=kind, reference=reference)


async def answer(c: AsyncConnection, tenant_id: str, command: str, answer: str) -> RowMapping | None:
    """The command if it is ours and had no answer yet."""
    return await row(
        c,
        """UPDATE commands SET answer = :a, answered_at = now() WHERE tenant_id = :t AND command = :c AND answer IS NULL
           RETURNING kind, reference""",
        t=tenant_id,
        c=command,
        a=answer,
    )


async def not_done(c: AsyncConnection, tenant_id: str) -> list[tuple[str, str]]:
    """(kind, reference) of what the subscription lives by and seats rejected or failed at, and that was not sent again since."""
    found = await rows(
        c,
        """SELECT kind, reference FROM (
               SELECT DISTINCT ON (kind, reference) kind, reference, answer FROM commands
               WHERE tenant_id = :t AND kind IN ('open_pool', 'schedule_period') ORDER BY kind, reference, sent_at DESC
           ) AS last WHERE answer = ANY(:answers) ORDER BY kind, reference""",
        t=tenant_id,
        answers=[registry.type_of(answer) for answer in (CommandRejected, CommandFailed)],
    )
    return [(command["kind"], command["reference"]) for command in found]


async def count_unanswered(c: AsyncConnection, seconds: int) -> int:
    """Commands of all tenants that seats has not answered for so long."""
    found = await row(
        c,
        "SELECT count(*) AS n FROM commands WHERE answer IS NULL AND sent_at < now() - make_interval(secs => :s)",
        s=seconds,
    )
    assert found is not None
    return int(found["n"])

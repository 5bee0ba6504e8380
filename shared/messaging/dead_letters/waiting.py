"""Process dead letters again: at an operator's retry, or in the consumer for messages that waited behind one."""

import structlog

from shared.database import UnitOfWork
from shared.errors import Poison
from shared.messaging.batch import Group, Item
from shared.messaging.dead_letters import rows
from shared.messaging.dead_letters.rows import DeadLetter, Status

log = structlog.get_logger(__name__)


async def process(group: Group, uow: UnitOfWork, letter: DeadLetter, item: Item) -> Poison | None:
    """Run the handler, past watermark and inbox, and store the outcome: done, so that the next one that waits is ready; or open again
    with its reason, which is returned. The caller holds the tenant's lock."""
    poison = item.poison
    if poison is None and item.message is None:
        poison = Poison("unknown-type", f"this version handles no {item.envelope.type if item.envelope else 'such message'}")
    if item.message is not None:
        try:
            await group.handle(uow, item.message, savepoint=True)
        except Poison as error:
            poison = error
        await uow.scope(None)
    about = {"group": group.name, "id": letter.id, "tenant": letter.tenant}
    if poison is not None:
        await rows.mark_failed(uow, letter, poison)
        log.warning("dead_letter_failed", **about, reason=poison.reason, rule=poison.rule)
        return poison
    await rows.mark_done(uow, letter)
    log.info("dead_letter_done", **about)
    return None


async def process_next(group: Group, uow: UnitOfWork, tenant: str) -> bool:
    """Process the tenant's first message if it is ready; False when nothing more is to be done for the tenant now."""
    # The consumer of messages that arrive asks under the same lock whether the tenant is blocked.
    await rows.lock_tenants(uow, group.name, [tenant])
    first = await rows.first_of(uow, group.name, tenant)
    found = await rows.get(uow.connection, first, lock=True) if first is not None else None
    if found is None or found[0].status != Status.READY:
        return False
    letter, record = found
    return await process(group, uow, letter, await group.read(record)) is None

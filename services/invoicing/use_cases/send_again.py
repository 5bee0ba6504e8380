"""Which commands are sent to seats again, and how.

After a restore of this database, each command whose number seats has seen already is sent again with a higher one. A command that seats
rejected or failed at is sent again only when an operator asks for it (`resume`), and only if nobody else can: what a customer ordered (a
purchase, a module, a reduction, policies, that a subscription goes on) is refused instead, and the customer can order it again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from services.invoicing import store
from services.invoicing.store.commands import Command
from services.invoicing.use_cases import endings, expand_caps, plan_begins, policies, reductions, seats_commands
from services.invoicing.use_cases.added_modules import ADD_MODULE, send_module
from services.invoicing.use_cases.decided_policies import decided_policies
from services.invoicing.use_cases.locked_tenants import lock_tenant
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.schemas.envelope import Envelope
from shared.schemas.seats_v1 import OverLimit


class SendAgain(Protocol):
    """Send a command again, unchanged but for its number."""

    async def __call__(
        self, uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
    ) -> None: ...


SEND_AGAIN: Final[Mapping[str, SendAgain]] = {
    **dict.fromkeys(seats_commands.KINDS, seats_commands.send_again),
    **dict.fromkeys(reductions.KINDS, reductions.send_reduction_again),
    **dict.fromkeys(endings.KINDS, endings.send_ending_again),
    expand_caps.SET_POLICY: policies.send_policies_again,
    expand_caps.SET_CAP: expand_caps.send_cap_again,
    expand_caps.APPLY_PLAN: plan_begins.send_plan_again,
    ADD_MODULE: send_module,
}


RESUMED: Final = (
    seats_commands.OPEN_POOL,
    seats_commands.SCHEDULE_PERIOD,
    endings.END,
    endings.CLOSE_AGAIN,
    expand_caps.SET_CAP,
    expand_caps.SET_POLICY,  # only what follows from a plan or a price list
    expand_caps.APPLY_PLAN,
)


async def resume(uow: UnitOfWork, tenant_id: str, *, clock: Clock) -> list[str]:
    """Send the commands again that seats rejected or failed at and that nobody else can order again, and return what they are about.

    An operator asks for it after removing the cause: the same command in the same situation gets the same answer.
    """
    _, at = await lock_tenant(uow, tenant_id, clock)
    sent = list[str]()
    for command in await store.commands.not_done(uow.connection, tenant_id, RESUMED):
        if await _is_wanted(uow, tenant_id, command):
            if command.kind == seats_commands.OPEN_POOL:
                await store.subscriptions.set_status(uow.connection, tenant_id, "pending")
            await SEND_AGAIN[command.kind](uow, tenant_id, command.kind, command.reference, at, above=0, cause=None)
            sent.append(f"{command.kind} {command.reference}")
    return sent


async def is_plan_open(uow: UnitOfWork, tenant_id: str) -> bool:
    """Return whether seats has not done yet what the plan of the present period calls for."""
    kinds = (expand_caps.APPLY_PLAN,)
    rejected = await store.commands.not_done(uow.connection, tenant_id, kinds)
    return await store.commands.any_unanswered(uow.connection, tenant_id, kinds) or any(
        [await _is_wanted(uow, tenant_id, command) for command in rejected]
    )


async def _is_wanted(uow: UnitOfWork, tenant_id: str, command: Command) -> bool:
    """Return whether what a command asks for still has to be done. It can be of a former subscription."""
    c = uow.connection
    found, ending = await store.subscriptions.find(c, tenant_id), await store.endings.find(c, tenant_id)
    pools = await store.pools.reported(c, tenant_id)
    if command.kind == endings.END:
        return command.reference in await endings.modules_to_close(uow, tenant_id)
    if found is None or found.status == expand_caps.ENDED:
        return False
    match command.kind:
        case seats_commands.OPEN_POOL:
            missing = {each.module for each in await store.subscriptions.modules(c, tenant_id) if not each.opened}
            return found.status in endings.NOT_ACTIVE and command.reference in missing and ending is None
        case seats_commands.SCHEDULE_PERIOD:
            return command.reference == found.period_end.isoformat()
        case endings.CLOSE_AGAIN:
            return command.reference in pools and pools[command.reference].former_next_period is not None and ending is None
        case expand_caps.SET_CAP:
            own = (await decided_policies(uow, tenant_id)).get(command.reference)
            return command.reference in pools and own is not None and own.over_limit == OverLimit.EXPAND
        case expand_caps.APPLY_PLAN:
            return await plan_begins.is_wanted(uow, tenant_id, command.reference, found.contract)
        case _:
            assert command.kind == expand_caps.SET_POLICY
            change, _, module = command.reference.partition("/")
            known = await store.contract_changes.find(c, tenant_id, change)
            return known is not None and policies.is_follow_up(known) and known.status == "pending" and module in pools

"""How a worker is doing, for the vendor's operators."""

import asyncio

from fastapi import APIRouter, Depends

from services.seats.api.dependencies import Owned
from shared.errors import Transient
from shared.schemas.topics import SEATS_COMMANDS
from shared.version import VERSION
from shared.web.auth import operator
from shared.web.route import CheckedRoute
from shared.web.status_answers import BROKER_SECONDS_MAX, PATH, SUMMARY, DeadLettersStatus, GroupStatus, ServiceStatus, UnsentStatus

router = APIRouter(route_class=CheckedRoute, tags=["seats"], dependencies=[Depends(operator())])


@router.get(PATH, summary=SUMMARY)
async def show_status(owned: Owned) -> ServiceStatus:
    """The answer is about the partitions of this worker. seats keeps nothing unsent, and answers every command that it cannot decide:
    notifier lists those among its dead letters."""
    engine, behind = owned.worker.engine, None
    try:
        async with asyncio.timeout(BROKER_SECONDS_MAX):
            ends = await owned.worker.ends(list(engine.live))
            behind = sum(max(0, end - engine.position(number)) for number, end in ends.items() if number in engine.live)
    except (Transient, TimeoutError):
        pass
    return ServiceStatus(
        service="seats",
        version=VERSION,
        groups=[
            GroupStatus(group="seats", messages_behind=behind, topics_behind={SEATS_COMMANDS.name: behind} if behind else {}),
        ],
        unsent=UnsentStatus(messages=0, oldest_at=None),
        dead_letters=DeadLettersStatus(open=0, waiting=0),
    )

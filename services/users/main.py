"""The roles of users."""

import asyncio

from services.users.settings import Settings
from services.users.wiring import Users
from shared.database.migrate import upgrade
from shared.runtime import serve, together

ROLES = ("api", "consumer", "relay", "timers", "migrate", "all")


async def start(settings: Settings, role: str) -> None:
    """Run the role until cancelled; `migrate` returns."""
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "users", settings)
        if role == "migrate":
            return
    users = Users(settings)
    running = [serve(users.app() if role in ("api", "all") else users.probes(), settings)]
    if role in ("api", "all"):
        running.append(users.signing_keys.run())
    if role in ("consumer", "all"):
        running.append(users.consumer.run())
    if role in ("relay", "all"):
        running.append(users.relay.run())
    if role in ("timers", "all"):
        running += [job.run() for job in users.jobs]
    try:
        await together(*running)
    finally:
        await users.close()

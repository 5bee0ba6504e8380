"""The operator's list of what could not be handled, with the commands that seats rejected or could not decide.

Those are no dead letters: the command stands in the log for ever, answered, and its position is what a person needs. They cannot be run
again, only sent anew by whoever sent them.
"""

import builtins
from typing import Any

from services.notifier import log_store
from shared.errors import Conflict, NotFound
from shared.messaging import DeadLetters
from shared.schemas.topics import SEATS_COMMANDS

FIRST_ID = 10**15  # ids from here on are rejected commands; below 2^53, so that every JSON reader keeps them whole
GROUP = "seats"


class DeadLettersWithRejected(DeadLetters):
    async def list(
        self, tenant: str | None = None, status: str | None = "open", *, after: int = 0, limit: int = 100
    ) -> builtins.list[dict[str, Any]]:
        """Dead letters first, then rejected commands, each oldest first."""
        items = await super().list(tenant, status, after=after, limit=limit) if after < FIRST_ID else []
        if len(items) < limit and status != "done":
            async with self._database.unit_of_work(None) as uow:
                rejected = await log_store.rejected(uow, tenant, max(after - FIRST_ID, 0), limit - len(items))
            items += [_shown(row) for row in rejected]
        return items

    async def retry(self, letter_id: int) -> dict[str, Any]:
        """Of a rejected command always refused: an answered command is never decided again."""
        if letter_id <= FIRST_ID:
            return await super().retry(letter_id)
        async with self._database.unit_of_work(None) as uow:
            found = await log_store.rejected(uow, None, letter_id - FIRST_ID - 1, 1)
        if not found or found[0]["seq"] != letter_id - FIRST_ID:
            raise NotFound("dead letter")
        raise Conflict(
            "command-answered",
            f"seats has answered this command ({found[0]['type'].rpartition('.')[2]}); it is decided once. "
            "Its sender has to mend it and send a new one.",
            position={"partition": found[0]["partition"], "offset": found[0]["offset"]},
        )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    fields = {key: value for key, value in row.items() if key not in ("seq", "command")}
    return fields | {
        "id": FIRST_ID + row["seq"],
        "group": GROUP,
        "topic": SEATS_COMMANDS.name,
        "command": row["command"],
        "status": "open",
        "attempts": 0,
        "done_at": None,
        "value_base64": None,
    }

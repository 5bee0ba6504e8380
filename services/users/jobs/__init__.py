"""Background jobs."""

from typing import Protocol


class Job(Protocol):
    async def run(self) -> None:
        """Run until cancelled."""

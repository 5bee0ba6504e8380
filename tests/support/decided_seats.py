"""The real rules of seats, decided in process on the commands that users has sent about one tenant."""

from collections import Counter
from typing import Any

from services.seats import domain
from shared.schemas import seats_v1
from shared.schemas.base import Payload
from tests.support.users import NOON, Bench


class DecidedSeats:
    """Pools of so many licences each, with these policies."""

    def __init__(self, *modules: str, licences: int, **policies: Any) -> None:
        self._tenants: dict[str, domain.Tenant] = {}
        self._offset = self._taken = 0
        self._decide(seats_v1.OpenTenant(number=1, clock="real"))
        given = seats_v1.Policies(**policies)
        for number, module in enumerate(modules, start=2):
            self._decide(seats_v1.OpenPool(number=number, module=module, base=module == "time", licences=licences, policies=given))

    def _decide(self, payload: Payload) -> None:
        self._offset += 1
        command = domain.Command(f"c{self._offset}", "seatpool/test", "acme", payload, 0, self._offset)
        domain.decide(self._tenants, command, domain.to_ms(NOON))

    async def take(self, bench: Bench, tenant: str) -> dict[str, tuple[int, dict[str, int]]]:
        """Decide the commands that were sent since the last call; return the licences and the seats by state of each module."""
        needs = await bench.needs(tenant)
        for need in needs[self._taken :]:
            self._decide(need)
        self._taken = len(needs)
        pools, users = self._tenants["acme"].pools, self._tenants["acme"].users.values()
        return {
            module: (pool.row.licences, Counter(u.seats[module].state for u in users if module in u.seats))
            for module, pool in pools.items()
        }

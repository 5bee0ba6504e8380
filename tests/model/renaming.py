"""A history under other names: the same decisions, but for the names and the order of output."""

from collections.abc import Callable
from typing import Any

import orjson

from services.seats import domain
from tests.model.reference_model import Command

# Lists of an event in the order of names, which decides nothing.
BY_NAME = ("pools", "released", "from_released", "moved", "blocked_by", "licences", "former", "reduction_limited", "required", "reduced")
Shown = tuple[list[bytes], list[bytes]]  # events without their numbers, and rows, each in the order of its bytes


def reversing(*names: str) -> dict[str, str]:
    """First becomes last: a renaming that is its own way back."""
    return dict(zip(sorted(names), sorted(names, reverse=True), strict=True))


class Renamed:
    """A tenant that is sent the same commands with other names."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.live: dict[str, domain.Tenant] = {}

    def command(self, c: Command) -> Command:
        return self._renamed(c)  # type: ignore[no-any-return]

    def same(self, decision: domain.Decision, decide: Callable[[dict[str, domain.Tenant]], domain.Decision]) -> None:
        """Holds what it decides against the decision on the names as they were."""
        mine, theirs = self._shown(decide(self.live), self._renamed), self._shown(decision, lambda value: value)
        for got, expected in zip(mine, theirs, strict=True):
            assert got == expected, f"\nrenamed  {[line for line in got if line not in expected]}\nas it is {expected}\n{self.names}"

    def _renamed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.names.get(value, value)
        if isinstance(value, dict):
            return {key: self._renamed(its) for key, its in value.items()}
        return type(value)(map(self._renamed, value)) if isinstance(value, list | tuple) else value

    @staticmethod
    def _shown(decision: domain.Decision, renamed: Callable[[Any], Any]) -> Shown:
        events, rows = [], []
        for event in decision.events:
            body = renamed(event.body)
            listed = {field: sorted(body[field], key=orjson.dumps) for field in BY_NAME if field in body}
            events.append(orjson.dumps([event.type, body | listed], option=orjson.OPT_SORT_KEYS))
        for key, row in decision.changed.items():
            data = None if row is None else domain.to_json(key, row)
            if isinstance(row, domain.UserRow) and data is not None:
                data |= {field: sorted(renamed(data[field])) for field in ("v", "f", "l", "m") if field in data}
                if "d" in data:
                    data["d"] = renamed(data["d"])
                data |= {"n": renamed(data["n"]), "s": {renamed(module): seat for module, seat in data["s"].items()}}
            rows.append(orjson.dumps([renamed(key.split("|")), data], option=orjson.OPT_SORT_KEYS))
        return sorted(events), sorted(rows)

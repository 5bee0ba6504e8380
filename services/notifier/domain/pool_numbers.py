"""The numbers of a pool before and after an event of seats: `from` and `to` of the entries of the action log (M13)."""

from collections.abc import Mapping
from typing import NamedTuple

from shared.schemas import seats_v1


class PoolNumbers(NamedTuple):
    """The numbers of a pool as the log knows them; None: the log began after the pool was opened."""

    licences: int | None
    next_period: int | None
    policies: str | None


NO_POOL = PoolNumbers(0, 0, None)
Changed = Mapping[str, tuple[PoolNumbers, PoolNumbers]]  # module -> its numbers before and after
CHANGES_POOLS = (
    seats_v1.PoolOpened,
    seats_v1.PolicyChanged,
    seats_v1.LicencesAdded,
    seats_v1.LicencesReduced,
    seats_v1.PoolExpanded,
    seats_v1.PoolReduced,
    seats_v1.PoolRestored,
    seats_v1.ReductionScheduled,
    seats_v1.PoolCloseScheduled,
    seats_v1.PoolClosed,
    seats_v1.PeriodStarted,
)


def pools_changed(payload: seats_v1.SeatsEvent, known: Mapping[str, PoolNumbers]) -> dict[str, tuple[PoolNumbers, PoolNumbers]]:
    """Return the numbers of each pool that the event changed, before and after it.

    The event's `pools` show the end of the whole decision, in which a pool can be changed more than once (a leaver of yesterday, then an
    expansion). So the change that the event states is added to the numbers of the entry before.
    """
    return {module: _changed(payload, module, known.get(module)) for module in _modules_of(payload)}


def _modules_of(payload: seats_v1.SeatsEvent) -> list[str]:
    match payload:
        case seats_v1.LicencesAdded() | seats_v1.LicencesReduced() | seats_v1.ReductionScheduled():
            return [item.module for item in payload.items]
        case seats_v1.PeriodStarted():
            return [item.module for item in payload.licences]
        case _:
            return [payload.module]  # type: ignore[attr-defined]  # each other type of CHANGES_POOLS concerns one pool


def _changed(payload: seats_v1.SeatsEvent, module: str, known: PoolNumbers | None) -> tuple[PoolNumbers, PoolNumbers]:
    shown = next((pool for pool in payload.pools if pool.module == module), None)
    now = PoolNumbers(shown.licences if shown else None, shown.next_period if shown else None, known.policies if known else None)
    match payload:
        case seats_v1.PoolOpened():
            return known or NO_POOL, now._replace(policies=policies_text(payload.policies))
        case seats_v1.PoolClosed():
            before = known or PoolNumbers(None, None, None)
            return before, before._replace(licences=0, next_period=0)
        case seats_v1.PolicyChanged():
            before = known or now
            return before, before._replace(policies=policies_text(payload.policies))
        case seats_v1.LicencesAdded() | seats_v1.LicencesReduced():
            quantity = next(item.quantity for item in payload.items if item.module == module)
            return _moved(known, now, quantity if isinstance(payload, seats_v1.LicencesAdded) else -quantity, now.next_period)
        case seats_v1.PoolExpanded():
            following = known.next_period if known else None
            return _moved(known, now, payload.by, following + payload.by if following else now.next_period)
        case seats_v1.PoolReduced() if payload.reduce_at == "now":
            before, after = _moved(known, now, -payload.by, now.next_period)
            return before, after._replace(next_period=_least(before.next_period, after.licences, after.next_period))
        case seats_v1.PoolReduced():
            before = known or now._replace(next_period=now.next_period + payload.by if now.next_period is not None else None)
            return before, before._replace(next_period=before.next_period - payload.by if before.next_period is not None else None)
        case seats_v1.PoolRestored() if payload.reduce_at == "now":
            return _moved(known, now, payload.by, now.next_period)
        case seats_v1.PoolRestored():
            before = known or now._replace(next_period=now.next_period - payload.by if now.next_period is not None else None)
            return before, before._replace(next_period=before.next_period + payload.by if before.next_period is not None else None)
        case seats_v1.PoolCloseScheduled():
            before = known or now._replace(next_period=None)
            return before, before._replace(next_period=0)
        case seats_v1.ReductionScheduled():
            before = known or now._replace(next_period=None)
            return before, before._replace(next_period=next(item.quantity for item in payload.items if item.module == module))
        case _:
            assert isinstance(payload, seats_v1.PeriodStarted)
            number = next(item.quantity for item in payload.licences if item.module == module)
            return known or PoolNumbers(None, None, None), now._replace(licences=number, next_period=number)


def _moved(known: PoolNumbers | None, now: PoolNumbers, by: int, next_period: int | None) -> tuple[PoolNumbers, PoolNumbers]:
    """Return the numbers around a change of the licences by `by`. For a pool whose past is not known they are counted back from the end of
    the decision."""
    if known is None or known.licences is None:
        known = PoolNumbers(now.licences - by if now.licences is not None else None, None, now.policies)
    return known, known._replace(licences=known.licences + by if known.licences is not None else None, next_period=next_period)


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def policies_text(policies: seats_v1.Policies) -> str:
    return ", ".join(f"{key}={value}" for key, value in policies.model_dump(exclude_none=True).items())

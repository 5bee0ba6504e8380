"""Up to how many licences a module may be expanded: the tenant's own cap, and what else limits it.

Seats decides an expansion by the log alone. So whatever else limits expansions (overdue invoices, a budget) lowers the `expand_cap` of the
pool ahead of time.
"""

from collections.abc import Iterable

from shared.schemas.seats_v1 import OverLimit, Policies


def effective_cap(own: Policies, limits: Iterable[int | None]) -> int | None:
    """Return the cap that seats has to know: the lowest of the own one and the limits (None: no limit). None: the pool never expands."""
    if own.over_limit != OverLimit.EXPAND or own.expand_cap is None:
        return None
    return min([own.expand_cap, *(max(limit, 0) for limit in limits if limit is not None)])

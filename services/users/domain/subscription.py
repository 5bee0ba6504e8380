"""The modules of a tenant that are subscribed: those with an open pool, as soon as the subscription is active.

The pools of a new subscription count as open together, from its activation on: if people requested seats after each pool, those who came
first would not get all of their modules. Seats and invoicing publish to two topics, which can be read in any order, also years later by a
rebuilt database. So all of it is compared by decision ids: the activation names the decision that opened the last pool.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from shared.schemas.position import DecisionId


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as of the decision `decision_id`."""

    module: str
    base: bool
    open: bool
    decision_id: DecisionId


@dataclass(frozen=True, slots=True)
class Subscription:
    """`since` is the decision that opened a pool when none was open, `seen` the last decision that opened or closed one, and `activated`
    the one that the last activation names."""

    since: DecisionId | None = None
    seen: DecisionId | None = None
    activated: DecisionId | None = None

    @property
    def is_active(self) -> bool:
        """Return whether the pools count. A pool that is added to an active subscription counts at once."""
        if self.since is None or self.seen is None or self.activated is None:
            return False
        return self.since <= self.activated <= self.seen

    def with_pool(self, decision_id: DecisionId, *, opens: bool, others_are_open: bool) -> "Subscription":
        """Return the subscription after a pool was opened or closed."""
        since = decision_id if opens and not others_are_open else self.since
        return replace(self, since=since, seen=max(self.seen or decision_id, decision_id))

    def with_activation(self, decision_id: DecisionId) -> "Subscription":
        return replace(self, activated=max(self.activated or decision_id, decision_id))


def subscribed_modules(
    subscription: Subscription, pools: Iterable[Pool], requires: Mapping[str, Collection[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the subscribed modules, each with the modules that it requires."""
    if not subscription.is_active:
        return {}
    return {pool.module: tuple(sorted(requires.get(pool.module, ()))) for pool in pools if pool.open}


def requested(modules: Iterable[str], subscribed: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the modules that are requested: the subscribed ones whose required modules are requested too."""
    found = {module for module in modules if module in subscribed}
    while lacking := {module for module in found if not set(subscribed[module]) <= found}:
        found -= lacking
    return tuple(sorted(found))

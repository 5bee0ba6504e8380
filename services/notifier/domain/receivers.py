"""Who gets which of the notifications to the administrators.

    account:buy     limits, deadlines, purchases, reductions, invoices
    users:manage    refusals, reports of sources, invitations
    either          a seat that a person lost or got back

A notification that no holder of its right who can sign in gets goes to the contact address as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.notifier.domain.notifications import Kind, Notification, Stream
from shared.schemas.rights import ACCOUNT_BUY, USERS_MANAGE

_EITHER: Final = frozenset({Kind.REVOKED, Kind.WITHDRAWN, Kind.CLEARED, Kind.GRANTED})
DEADLINES: Final = frozenset({Kind.FLAGGED, Kind.GRACE_ENDING, Kind.CHANGES_STOPPED})  # nobody can switch them off


class Holder(Protocol):
    """A person with rights."""

    @property
    def rights(self) -> Collection[str]: ...
    @property
    def departments(self) -> tuple[str, ...] | None: ...  # those whose people this person sees; None: all
    @property
    def may_sign_in(self) -> bool: ...
    @property
    def digests(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Share:
    """The notifications that some of the holders get (their places in the list) in the same e-mail. No place: the contact address."""

    holders: tuple[int, ...]
    notifications: tuple[Notification, ...]
    departments: tuple[str, ...] | None  # whose people the e-mail names; None: all


def rights_for(notification: Notification) -> frozenset[str]:
    """Return the rights of which one is enough to get the notification."""
    if notification.kind in _EITHER:
        return frozenset({ACCOUNT_BUY, USERS_MANAGE})
    about_people = notification.kind is Kind.REFUSED or notification.stream is Stream.PEOPLE
    return frozenset({USERS_MANAGE if about_people else ACCOUNT_BUY})


def shares_of(notifications: Sequence[Notification], holders: Sequence[Holder]) -> list[Share]:
    """Divide the notifications of a digest among the holders. Each distinct e-mail is one share."""
    shares: dict[tuple[tuple[str, ...], tuple[str, ...] | None], tuple[list[int], tuple[Notification, ...]]] = {}
    for place, holder in enumerate(holders):
        mine = tuple(each for each in notifications if _gets(holder, each) and (holder.digests or each.kind in DEADLINES))
        if mine:
            shares.setdefault((tuple(each.key for each in mine), holder.departments), ([], mine))[0].append(place)
    found = [Share(tuple(places), mine, departments) for (_, departments), (places, mine) in shares.items()]
    left = tuple(each for each in notifications if not any(holder.may_sign_in and _gets(holder, each) for holder in holders))
    return [*found, Share((), left, None)] if left else found


def _gets(holder: Holder, notification: Notification) -> bool:
    return not rights_for(notification).isdisjoint(holder.rights)

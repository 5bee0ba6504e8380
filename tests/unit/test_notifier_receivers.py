"""Which holders of rights get which notification of a digest."""

from dataclasses import dataclass

from services.notifier.domain.notifications import Kind, Stream
from services.notifier.domain.receivers import shares_of
from shared.schemas.rights import ACCOUNT_BUY, LOG_READ, USERS_MANAGE
from tests.support.emails import notification


@dataclass(frozen=True)
class Person:
    rights: tuple[str, ...]
    departments: tuple[str, ...] | None = None
    may_sign_in: bool = True
    digests: bool = True


FLAGGED = notification(Kind.FLAGGED, Stream.SEATS)
REFUSED = notification(Kind.REFUSED, Stream.SEATS)
REVOKED = notification(Kind.REVOKED, Stream.SEATS)
STOPPED = notification(Kind.CHANGES_STOPPED, Stream.PEOPLE)
PURCHASED = notification(Kind.PURCHASED, Stream.BILLING)
ALL = [FLAGGED, REFUSED, REVOKED, STOPPED, PURCHASED]
BUYER, MANAGER, READER = Person((ACCOUNT_BUY,)), Person((USERS_MANAGE,)), Person((LOG_READ,))
OWNER = Person((ACCOUNT_BUY, USERS_MANAGE))


def found(*holders: Person) -> list[tuple[tuple[int, ...], list[Kind]]]:
    return [(share.holders, [each.kind for each in share.notifications]) for share in shares_of(ALL, holders)]


def test_each_right_gets_its_own_notifications_and_who_has_both_gets_one_e_mail() -> None:
    of_buyers, of_managers = [Kind.FLAGGED, Kind.REVOKED, Kind.PURCHASED], [Kind.REFUSED, Kind.REVOKED, Kind.CHANGES_STOPPED]
    assert found(BUYER, MANAGER, BUYER, READER) == [((0, 2), of_buyers), ((1,), of_managers)]
    assert found(OWNER, OWNER) == [((0, 1), [each.kind for each in ALL])]


def test_the_contact_address_gets_what_nobody_who_can_sign_in_gets() -> None:
    ended = Person((ACCOUNT_BUY, USERS_MANAGE), may_sign_in=False)
    everything = [each.kind for each in ALL]
    assert found() == [((), everything)]
    assert found(ended) == [((0,), everything), ((), everything)], "an administrator whose login has ended is not the only recipient"
    assert found(ended, MANAGER)[-1] == ((), [Kind.FLAGGED, Kind.PURCHASED])


def test_a_person_can_switch_off_digests_but_not_deadlines() -> None:
    quiet = Person((ACCOUNT_BUY, USERS_MANAGE), digests=False)
    assert found(quiet) == [((0,), [Kind.FLAGGED, Kind.CHANGES_STOPPED])]


def test_E9_holders_with_different_viewsets_get_different_e_mails() -> None:
    shares = shares_of(ALL, [OWNER, Person(OWNER.rights, ("Makers",)), Person(OWNER.rights, ("Makers",))])
    assert [(share.holders, share.departments) for share in shares] == [((0,), None), ((1, 2), ("Makers",))]

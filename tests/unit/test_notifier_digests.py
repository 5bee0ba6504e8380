"""A digest that cannot be made into an e-mail delays no other."""

from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from services.notifier.domain.notifications import Audience, Kind, Notification, Stream
from services.notifier.email.billed import Billed
from services.notifier.email.digests import DIGESTS_MAX, INVOICING_RETRY_SECONDS, RETRY_SECONDS, DigestSender, people_in
from services.notifier.store import notifications as store
from services.notifier.store.notifications import Digest
from shared.errors import Transient
from tests.support.emails import notification

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@asynccontextmanager
async def unit_of_work(_: object) -> Any:
    yield SimpleNamespace(connection=None)


@dataclass
class Clock:
    seconds: float = 1000.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds


def sender_of(
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    sent: list[str],
    errors: dict[str, Exception],
    *,
    digests: Sequence[Digest] = (),
    fetch: Any = None,
) -> DigestSender:
    digests = digests or [Digest(tenant, Audience.ADMINISTRATORS, Stream.BILLING, None, NOW) for tenant in ("acme", "globex")]

    async def nothing(*_: object) -> None: ...

    async def due(*given: Any) -> Sequence[Digest]:
        return digests[: given[-1]]

    async def send(_self: DigestSender, _connection: object, digest: Digest, _billed: Billed) -> None:
        sent.append(digest.tenant_id)
        if error := errors.get(digest.tenant_id):
            raise error

    monkeypatch.setattr(store, "wake_waiting", nothing)

    async def invoice(*_: object) -> list[Notification]:
        return [notification(Kind.INVOICE, Stream.INVOICES)]

    monkeypatch.setattr(store, "due_digests", due)
    monkeypatch.setattr(store, "notifications_of", invoice)
    monkeypatch.setattr(DigestSender, "_send", send)
    database: Any = SimpleNamespace(unit_of_work=unit_of_work)
    settings: Any = SimpleNamespace(digest_quiet_seconds=1, digest_longest_seconds=1, unknown_recipient_hours=1)
    given: Any = clock
    return DigestSender(database, settings, given, fetch or nothing)


async def test_a_digest_that_cannot_be_sent_delays_no_other_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, clock = list[str](), Clock()
    errors: dict[str, Exception] = {"acme": KeyError("plan")}
    sender = sender_of(monkeypatch, clock, sent, errors)
    assert await sender.run_once() == 1
    assert await sender.run_once() == 1
    assert sent == ["acme", "globex", "globex"]
    errors.clear()
    clock.seconds += RETRY_SECONDS
    assert await sender.run_once() == 2


async def test_a_transient_error_of_a_digest_is_left_to_the_loop_of_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = sender_of(monkeypatch, Clock(), [], {"acme": Transient("the database is away")})
    with pytest.raises(Transient):
        await sender.run_once()


async def test_A12_while_invoicing_is_down_the_e_mails_about_money_wait_and_no_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, clock, asked = list[str](), Clock(), list[str]()
    down = [True]

    async def fetch(tenant: str, _version: str | None) -> dict[str, Any] | None:
        asked.append(tenant)
        if down[0]:
            raise Transient("invoicing is down")
        return {"email": "billing@acme.example", "company": "Acme", "copy_to_administrators": True}

    digests = [
        Digest("acme", Audience.BILLED, Stream.INVOICES, None, NOW),
        Digest("globex", Audience.BILLED, Stream.INVOICES, None, NOW),
        Digest("initech", Audience.ADMINISTRATORS, Stream.BILLING, None, NOW),
    ]
    sender = sender_of(monkeypatch, clock, sent, {}, digests=digests, fetch=fetch)
    assert await sender.run_once() == 1
    assert (sent, asked) == (["initech"], ["acme"]), "it is asked once, not once for each tenant"
    down[0] = False
    clock.seconds += INVOICING_RETRY_SECONDS
    assert await sender.run_once() == 3
    assert sent == ["initech", "acme", "globex", "initech"]


async def test_A12_many_digests_that_wait_do_not_keep_the_others_from_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = list[str]()

    async def fetch(*_: object) -> None:
        raise Transient("invoicing is down")

    digests = [Digest(f"t{number}", Audience.BILLED, Stream.INVOICES, None, NOW) for number in range(DIGESTS_MAX)]
    digests.append(Digest("initech", Audience.ADMINISTRATORS, Stream.BILLING, None, NOW))
    sender = sender_of(monkeypatch, Clock(), sent, {}, digests=digests, fetch=fetch)
    assert [await sender.run_once() for _ in range(2)] == [0, 1]
    assert sent == ["initech"]


@pytest.mark.parametrize("kind", [Kind.PLAN_SCHEDULED, Kind.RENEWAL_FORECAST, Kind.REDUCTION_SCHEDULED, Kind.CONFLICT_FOUND])
def test_an_e_mail_names_the_people_over_the_limit_and_not_their_ids(kind: Kind) -> None:
    assert "u1" in people_in([notification(kind, Stream.BILLING, user=None)])


def test_an_e_mail_about_a_purchase_names_who_requested_and_who_approved_it() -> None:
    """The event can come from somebody else: the vendor's system lets a purchase expire and issues it again."""
    system = {"kind": "system", "id": "invoicing"}
    requested, approved = {"kind": "user", "id": "u1"}, {"kind": "user", "id": "u2"}
    expired = notification(Kind.QUOTE_EXPIRED, Stream.BILLING, user=None, requested_by=requested, actor=system)
    waiting = notification(Kind.APPROVAL_NEEDED, Stream.BILLING, user=None, requested_by=requested, approved_by=approved, actor=system)
    assert "u1" in people_in([expired])
    assert {"u1", "u2"} <= people_in([waiting])

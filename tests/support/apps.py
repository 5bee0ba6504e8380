"""The REST applications of all four services in this process, without broker and database, for what is decided before they are used."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from services.invoicing.api.app import make_app as make_invoicing
from services.notifier.api import make_app as make_notifier
from services.seats.api import make_app as make_seats
from services.seats.settings import Settings as SeatsSettings
from services.users.api import make_app as make_users
from shared.clock import SystemClock
from shared.settings import CommonSettings
from shared.web import Verifier

KEY = OKPKey.generate_key("Ed25519", {"kid": "k1"}, private=True)


def forged(key: OKPKey = KEY, **changed: Any) -> str:
    """Return an Authorization header for every tenant and right, but for what is `changed`; `key` signs it under the known key id."""
    now = int(SystemClock().now().timestamp())
    claims = {"iss": "seatpool", "aud": "seatpool", "sub": "ann", "rights": ["operator"], "kind": "client", "iat": now, "exp": now + 600}
    return "Bearer " + jwt.encode({"alg": "Ed25519", "kid": "k1"}, claims | changed, key, algorithms=["Ed25519"])


def bearer(tenant: str | None, *rights: str, departments: Sequence[str] | None = None) -> str:
    """Return an Authorization header that these applications accept for a day: tests that make one at import may run much later."""
    now = int(SystemClock().now().timestamp())
    claims: dict[str, Any] = {"iss": "seatpool", "aud": "seatpool", "sub": "ann", "rights": rights, "kind": "user" if tenant else "client"}
    claims |= {"iat": now, "exp": now + 86_400} | ({"tenant": tenant} if tenant else {})
    claims |= {} if departments is None else {"departments": list(departments)}
    return "Bearer " + jwt.encode({"alg": "Ed25519", "kid": "k1"}, claims, KEY, algorithms=["Ed25519"])


async def _ready() -> bool:
    return True


async def _support_contact(tenant: str) -> str | None:
    return f"help@{tenant}.example"


def all_apps(keys: KeySet | None = None) -> dict[str, FastAPI]:
    """Return the applications by service. Their routes refuse wrong requests; a request that gets further fails."""
    database, given = SimpleNamespace(ready=_ready), keys or KeySet([KEY])
    settings: Any = CommonSettings()
    consumer = SimpleNamespace(group=SimpleNamespace(name="group"))
    context: Any = SimpleNamespace(
        settings=settings,
        clock=SystemClock(),
        database=database,
        consumer=consumer,
        consumers=[consumer],
        keys=SimpleNamespace(public=lambda: given),
    )
    seats = SeatsSettings()
    engine = SimpleNamespace(live=dict.fromkeys(range(seats.seats_partitions)))  # it owns all partitions, and has read none
    worker: Any = SimpleNamespace(settings=seats, ready=True, engine=engine)
    apps = {
        "users": make_users(settings, context, None),  # type: ignore[arg-type]
        "seats": make_seats(worker, None),  # type: ignore[arg-type]
        "invoicing": make_invoicing(context),
        "notifier": make_notifier(context),
    }
    for app in apps.values():
        app.state.verifier = Verifier(keys=lambda: given)
        if app.state.support_contact is not None:  # a service reads it from its database
            app.state.support_contact = _support_contact
    return apps

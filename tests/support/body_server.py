"""A process with the request bodies of the services behind one application, for tests that measure what a body costs it.

`python -m tests.support.body_server <port>` prints a token for the tenant `acme` and serves until it is ended.
"""

import asyncio
import sys
import time
from typing import Annotated

from fastapi import Depends, FastAPI
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from pydantic import Field

from services.invoicing.api.requests import PlanBody
from services.seats.api.requests import WhatIf
from services.seats.use_cases.what_if import Snapshot, _commands
from services.users.api import hr
from services.users.api.requests import DEPARTMENTS_MAX, Department, HrEvents, NewPerson
from shared.runtime import serve
from shared.schemas.base import Id
from shared.settings import CommonSettings
from shared.web import Verifier, access, create_app
from shared.web.input_limits import checks_items_of, own_parts

KEY = OKPKey.generate_key("Ed25519", {"kid": "k1"}, private=True)
SNAPSHOT = Snapshot("acme", [], clock_ms=0, partition=0, offset=0, rules=1, durable=0)
CHECKED = [Depends(access("account:read"))]


def make_app(settings: CommonSettings) -> FastAPI:
    async def ready() -> bool:
        return True

    app = create_app(title="bodies", settings=settings, ready=ready, verifier=Verifier(keys=lambda: KeySet([KEY])))

    @app.post("/v1/tenants/{tenant}/people", dependencies=CHECKED)
    async def person(tenant: str, body: NewPerson) -> None: ...

    @app.post("/v1/tenants/{tenant}/plan", dependencies=CHECKED)
    async def plan(tenant: str, body: PlanBody) -> None: ...

    @app.post("/v1/tenants/{tenant}/mapping", dependencies=CHECKED)
    async def mapping(tenant: str, body: Annotated[dict[Department, Id | None], Field(max_length=DEPARTMENTS_MAX)]) -> None: ...

    @app.post("/v1/tenants/{tenant}/what-if", dependencies=CHECKED)
    async def what_if(tenant: str, body: WhatIf) -> None:
        _commands(SNAPSHOT._replace(tenant=tenant), body.proposed())

    @app.post("/v1/tenants/{tenant}/hr-events", dependencies=CHECKED)
    @checks_items_of(*own_parts(hr.take_events))
    async def take_events(tenant: str, body: HrEvents) -> int:
        return sum(isinstance(hr._read(event), list) for event in body.events)

    return app


def main() -> None:
    claims = {"iss": "seatpool", "aud": "seatpool", "sub": "ann", "tenant": "acme", "rights": ["account:read"], "kind": "user"}
    now = int(time.time())
    print(jwt.encode({"alg": "Ed25519", "kid": "k1"}, claims | {"iat": now, "exp": now + 3600}, KEY, algorithms=["Ed25519"]), flush=True)
    settings = CommonSettings(host="127.0.0.1", port=int(sys.argv[1]))
    asyncio.run(serve(make_app(settings), settings))


if __name__ == "__main__":
    main()

"""Access tokens, and the keys that verify them. These routes need no token."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Header, Request, Response
from pydantic import ValidationError

from services.users.api.dependencies import Context, InContext
from services.users.api.requests import TokenForm
from services.users.api.responses import PublicKeys, Token
from services.users.sign_in.tokens import Grant
from services.users.store import api_clients
from services.users.store.api_clients import KnownClient
from shared.errors import Refused
from shared.schemas.faults import expected_by
from shared.web import answer, refusals
from shared.web.route import FORM, FormRoute

router = APIRouter(route_class=FormRoute, tags=["access"])

FIELDS_MAX = 20


_FORM = {"requestBody": {"required": True, "content": {FORM: {"schema": TokenForm.model_json_schema()}}}}


@router.post(
    "/v1/token",
    response_model=Token,
    openapi_extra=_FORM,
    responses=refusals(401, 429),
    summary="Request an access token",
)
async def make_token(request: Request, context: InContext) -> Response:
    form = _parse(await request.body())
    scope = tuple(form.scope.split()) if form.scope is not None else None
    grant = Grant(form.client_id, form.client_secret, form.tenant, form.subject, scope, form.ttl_seconds)
    address = request.client.host if request.client is not None else ""
    token, seconds = context.issuer.issue(grant, context.clock.now(), address, await _api_client(form.client_id, context))
    return answer(Token(access_token=token, expires_in=seconds))


async def _api_client(client_id: str, context: Context) -> KnownClient | None:
    if context.issuer.knows(client_id):
        return None  # it is in the settings
    async with context.database.unit_of_work(None) as uow:
        return await api_clients.find(uow.connection, client_id)


def _parse(body: bytes) -> TokenForm:
    """Return the fields of a token request. Raises Refused, which names every wrong field but no value: one of them is a secret."""
    try:
        # Keep blank values: without them, a blank field would count as one that was left out, which can mean more.
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
        form = dict(pairs)
        if len(form) < len(pairs):
            raise _invalid({"body": "each field at most once"})
        return TokenForm.model_validate(form)
    except ValidationError as error:
        raise _invalid({".".join(map(str, ("body", *e["loc"]))): expected_by(e) for e in error.errors()}) from None
    except ValueError:
        raise _invalid({"body": f"a form of UTF-8 text with at most {FIELDS_MAX} fields"}) from None


def _invalid(expected: Mapping[str, str]) -> Refused:
    """Return the refusal of fields; `expected` says for each what is expected."""
    errors = [{"field": field, "value": None, "expected": words} for field, words in expected.items()]
    detail = f"These fields are not valid: {', '.join(expected)}. For each of them, `errors` says what is expected."
    return Refused("invalid", detail, errors=errors)


@router.get(
    "/.well-known/jwks.json",
    response_model=PublicKeys,
    responses={304: {"description": "The keys are those of the ETag in If-None-Match."}},
    summary="Get the public keys that verify access tokens",
)
async def show_keys(context: InContext, if_none_match: Annotated[str | None, Header(max_length=500)] = None) -> Response:
    """Request the keys every few seconds, with If-None-Match. A token is not valid if its key is no longer published."""
    document, etag = context.keys.document()
    headers = {"etag": etag}
    if if_none_match is not None and etag in map(str.strip, if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(document, headers=headers, media_type="application/json")

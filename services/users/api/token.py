"""Access tokens and the keys that verify them. Open to all: they are where access begins."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError

from services.users.api.context import Body, InContext
from services.users.tokens import TTL_MAX_S, Grant
from shared.errors import Invalid
from shared.schemas.base import Id
from shared.web import answer

router = APIRouter(tags=["access"])


class TokenForm(Body):
    """`application/x-www-form-urlencoded`, as RFC 6749, section 4.4 has it."""

    grant_type: Annotated[str, Field(pattern="^client_credentials$")]
    client_id: Annotated[str, Field(min_length=1, max_length=100)]
    client_secret: Annotated[str, Field(min_length=1, max_length=500)]
    tenant: Id | None = Field(None, description="Valid for this tenant only; default: for all of them.")
    subject: Id | None = Field(None, description="In whose name; default: the client's.")
    scope: Annotated[str, Field(max_length=500)] | None = Field(None, description="Rights, separated by spaces; default: `operator`.")
    ttl_seconds: Annotated[int, Field(ge=1, le=TTL_MAX_S)] | None = None


class Token(BaseModel):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a word of RFC 6749
    expires_in: int = Field(description="Seconds.")


_FORM = {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": TokenForm.model_json_schema()}}}}


@router.post("/v1/token", response_model=Token, openapi_extra=_FORM, summary="An access token for a client's credentials")
async def make_token(request: Request, context: InContext) -> Response:
    form = _parse(await request.body())
    scope = tuple(form.scope.split()) if form.scope is not None else None
    grant = Grant(form.client_id, form.client_secret, form.tenant, form.subject, scope, form.ttl_seconds)
    token, seconds = context.issuer.issue(grant, context.clock.now())
    return answer(Token(access_token=token, expires_in=seconds))


def _parse(body: bytes) -> TokenForm:
    """Raises Invalid naming every wrong field, and no field's value: one of them is a secret."""
    try:
        return TokenForm.model_validate(dict(parse_qsl(body.decode(), max_num_fields=20)))
    except ValidationError as error:
        errors = [{"field": ".".join(map(str, e["loc"])), "value": None, "expected": e["msg"]} for e in error.errors()]
        fields = ", ".join(str(e["field"]) for e in errors)
        raise _invalid(f"Not valid: {fields}.", errors) from None
    except ValueError as error:
        raise _invalid(f"The form cannot be read: {error}.", []) from None


def _invalid(detail: str, errors: list[dict[str, Any]]) -> Invalid:
    refusal = Invalid("body", None, detail)
    refusal.detail, refusal.extra = detail, {"errors": errors}
    return refusal


@router.get("/.well-known/jwks.json", summary="The public keys that access tokens are verified with")
async def show_keys(context: InContext) -> dict[str, Any]:
    return context.issuer.jwks()

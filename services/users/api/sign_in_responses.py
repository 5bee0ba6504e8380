"""The bodies of responses about signing in, tokens and operators."""

from typing import Any

from pydantic import BaseModel, Field

from shared.schemas.base import Instant


class Token(BaseModel):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a word of RFC 6749
    expires_in: int = Field(description="Seconds until the token expires.")
    issued_token_type: str | None = Field(None, description="Of a token exchange: the type of the token (RFC 8693).")


class SessionView(BaseModel):
    session_id: str
    user: str
    method: str = Field(description="How the person signed in: link or identity_provider.")
    created_at: Instant
    expires_at: Instant


class SessionList(BaseModel):
    sessions: list[SessionView]


class IdentityProviderView(BaseModel):
    issuer: str
    client_id: str
    has_secret: bool
    match_claims: list[str]
    trust_email: bool
    required: bool
    emergency_links: bool
    entered_by: str
    entered_at: Instant


class IdentityProviderViews(BaseModel):
    draft: IdentityProviderView | None = Field(description="The configuration that is used after a test sign-in; null if there is none.")
    effective: IdentityProviderView | None = Field(description="The configuration in use; null if there is none.")


class StartedSignIn(BaseModel):
    authorization_url: str = Field(description="Send the browser there.")
    flow: str = Field(description="Keep it in a cookie of this browser (HttpOnly, Secure, SameSite=Lax), and send it at the end.")
    expires_at: Instant


class IdentityView(BaseModel):
    issuer: str
    subject: str
    bound_at: Instant


class IdentityList(BaseModel):
    identities: list[IdentityView]


class LinkRequested(BaseModel):
    detail: str


class OperatorView(BaseModel):
    operator: str
    email: str
    name: str
    added_by: str
    added_at: Instant


class ChoiceView(BaseModel):
    tenant: str | None = Field(description="null: as an operator of the vendor.")
    tenant_name: str
    user: str
    login: str
    name: str


class LinkUsed(BaseModel):
    ticket: str = Field(description="It is valid once, for five minutes, to choose one of `choices`.")
    expires_at: Instant
    choices: list[ChoiceView] = Field(description="Where and as whom the person may sign in. The list can be empty.")


class NewSessionView(SessionView):
    tenant: str | None = Field(description="null: of an operator of the vendor.")
    secret: str = Field(description="It is shown only here. Exchange it for access tokens with `POST /v1/token`.")


class PublicKeys(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, Any]]

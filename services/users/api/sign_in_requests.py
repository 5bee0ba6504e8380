"""The bodies and forms of requests about signing in, tokens and operators."""

from typing import Annotated, Literal, Self

from pydantic import EmailStr, Field, SecretStr, StrictBool, model_validator

from services.users.api.requests import Body
from services.users.sign_in.tokens import TTL_SECONDS_MAX
from shared.schemas.base import Id, OptionalEmail, Text
from shared.schemas.faults import WrongFields


class SignInConfirmation(Body):
    login: Text | None = Field(description="The login of the person that you confirm; null: none.")
    email: OptionalEmail = Field(description="The e-mail address of the person that you confirm; empty: none.")


class TokenForm(Body):
    """The form of a token request, `application/x-www-form-urlencoded`, as in RFC 6749, section 4.4."""

    grant_type: Annotated[str, Field(pattern="^client_credentials$")]
    client_id: Annotated[str, Field(min_length=1, max_length=100)]
    client_secret: Annotated[str, Field(min_length=1, max_length=500)]
    tenant: Id | None = Field(
        None,
        description="The only tenant for which the token is valid. Without it, the token is for all tenants, with the scope `operator`. "
        "The token of an API client is always for the client's own tenant.",
    )
    subject: Id | None = Field(None, description="The name of the caller; default: the name of the client.")
    scope: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="The rights, separated by spaces. They are required. A service requests `operator`."
    )
    ttl_seconds: Annotated[int, Field(ge=1, le=TTL_SECONDS_MAX)] | None = None


TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a word of RFC 8693
SESSION_TYPE = "urn:seatpool:token-type:session"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a word of RFC 8693
ClaimName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/-]{1,100}$")]
Opaque = Annotated[str, Field(min_length=1, max_length=200)]


class TokenExchangeForm(Body):
    """The form that exchanges a session for an access token, as in RFC 8693, section 2.1."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token_type: Literal["urn:seatpool:token-type:session"]
    subject_token: Opaque = Field(description="The secret of the session.")


class IdTokenExchangeForm(Body):
    """The form that exchanges an ID token of the tenant's identity provider for an access token, as in RFC 8693, section 2.1."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:id_token"]
    subject_token: Annotated[str, Field(min_length=1, max_length=16_000)] = Field(description="The ID token.")
    tenant: Id | None = Field(
        None, description="The tenant whose identity provider made the ID token; without it, it is the vendor's, for its operators."
    )


class IdentityProviderBody(Body):
    issuer: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="The issuer of the identity provider, exactly as its tokens name it, for example https://login.example.com/acme."
    )
    client_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=300)]
    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Without it, the secret that is stored for this issuer and client stays. It is stored encrypted and never shown."
    )
    match_claims: Annotated[list[ClaimName], Field(min_length=1, max_length=5)] = Field(
        ["preferred_username", "email"],
        description="The claims that name the person at the first sign-in, in this order: `email` is compared with the e-mail address, any "
        "other claim with the login.",
    )
    trust_email: StrictBool = Field(
        False,
        description="If true, the claim `email` is believed also without `email_verified`. Set it only if the people cannot change their "
        "e-mail addresses at the identity provider (as in Entra ID with a managed directory).",
    )
    required: StrictBool = Field(True, description="If true, people cannot sign in by an e-mail link.")
    emergency_links: StrictBool = Field(
        True, description="If true, owners can sign in by an e-mail link all the same. All owners get an e-mail about each use."
    )


RedirectUri = Annotated[str, Field(min_length=1, max_length=1000)]


class StartTest(Body):
    redirect_uri: RedirectUri = Field(description="The page to which the identity provider sends the browser back.")


class StartSignIn(StartTest):
    tenant: Id


class CompletedSignIn(Body):
    flow: Opaque = Field(description="The `flow` of the answer that started the sign-in, from the cookie of the browser.")
    state: Opaque = Field(description="The `state` in the address to which the browser came back.")
    code: Annotated[str, Field(min_length=1, max_length=4000)] | None = Field(None, description="The `code` in that address.")
    error: Opaque | None = Field(None, description="The `error` in that address, which an identity provider sends instead of a `code`.")
    iss: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="The `iss` in that address, if there is one (RFC 9207): the issuer that sent the browser back."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.code is None) == (self.error is None):
            raise WrongFields({"code": None, "error": None}, "either `code` or `error`")  # without the values: a code is a secret
        return self


class NewOperator(Body):
    email: EmailStr = Field(description="The e-mail address with which the operator signs in.")
    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="The action log of a tenant that is opened shows it.")


class LinkRequest(Body):
    email: EmailStr = Field(description="The e-mail address of the person who wants to sign in.")


class LinkUse(Body):
    secret: Opaque = Field(description="The secret in the link.")


class LinkChoice(Body):
    ticket: Opaque = Field(description="The ticket that the use of the link gave.")
    tenant: Id | None = Field(None, description="The tenant to sign in to: one of `choices`. null: as an operator of the vendor.")
    user: Id = Field(description="The person to sign in as: one of `choices`.")


class LinkChoiceForm(Body):
    """The form of the page on which a person chooses; `choice` has the ids of tenant and person."""

    ticket: Opaque
    choice: Annotated[str, Field(min_length=3, max_length=300)]


class SignInConfirmationForm(Body):
    """The form of the page after a sign-in; it is sent with the session's cookie."""

    login: Annotated[str, Field(max_length=500)]
    email: Annotated[str, Field(max_length=500)]


class RevocationForm(Body):
    """The form that ends a session, as in RFC 7009, section 2.1."""

    token: Opaque = Field(description="The secret of the session.")
    token_type_hint: Annotated[str, Field(max_length=100)] | None = Field(None, description="It is ignored.")

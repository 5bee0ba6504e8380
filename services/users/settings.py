"""The settings of users."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port

SERVICES = ("users", "seats", "invoicing", "notifier")
SECRETS_KEY_CHARACTERS_MIN = 32


def _listed(given: str) -> Sequence[str]:
    return [each.strip() for each in given.split(",") if each.strip()]


def _networks(given: str) -> Sequence[IPv4Network | IPv6Network]:
    return [ip_network(each) for each in _listed(given)]


class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
    """Settings of users."""

    port: int = own_port(8001)
    signing_keys_folder: Path = Field(
        Path("signing-keys"),
        description="Folder of the keys that sign access tokens. If it is missing, users creates it, readable "
        "only by its owner. `seatpool keys` changes the keys.",
    )
    token_ttl_seconds: int = Field(900, ge=10, le=86_400, description="How long an access token is valid if the request names no time.")
    wrong_secrets_per_minute: int = Field(
        10,
        ge=1,
        le=1_000_000,
        description="Number of wrong secrets of a client, or of wrong tokens of invitations, from one address in a minute, after which the "
        "caller must wait.",
    )
    reevaluations_per_day: int = Field(
        200_000,
        ge=1,
        le=1_000_000_000,
        description="Maximum of people × changes of profiles and department mapping per tenant and day (UTC). The first is always allowed.",
    )
    sign_in_link_url: str = Field(
        "",
        description="Address of the page that a sign-in link opens, without a query. Default: the page of users, `/sign-in/link` below "
        "SEATPOOL_USERS_URL.",
    )
    sign_in_redirect_urls: str = Field(
        "",
        description="Addresses of the pages to which an identity provider may send people back, separated by commas. Any other address is "
        "refused.",
    )
    secrets_key: SecretStr = Field(
        SecretStr(""),
        description="Key that encrypts the secrets of identity providers in the database: 32 characters or more. Of several, separated by "
        "commas, the first encrypts and all decrypt. Without it, no such secret can be entered.",
    )
    identity_provider_networks: str = Field(
        "",
        description="Networks of identity providers that are not public addresses, separated by commas (10.0.0.0/8). From 127.0.0.0/8, "
        "plain http is allowed too. By default, only public addresses are asked.",
    )
    profiles_max: int = Field(1000, ge=1, le=1_000_000, description="Maximum number of profiles of a tenant.")
    operator_secret: SecretStr = Field(
        SecretStr(""), description="Secret of the client `operator`, which has all rights. If it is empty, there is no such client."
    )
    operator_issuer: str = Field(
        "", description="Issuer of the vendor's identity provider, with which operators sign in. If it is empty, they sign in by link only."
    )
    operator_client_id: str = Field("", description="Id of the client for which the ID tokens of operators are made.")
    operator_trust_email: bool = Field(
        False, description="Whether the claim `email` of an operator is believed if the token does not say that it is verified."
    )
    client_secret_users: SecretStr = Field(
        SecretStr(""), description="Secret of the users service at the token endpoint. If it is empty, the service gets no token."
    )
    client_secret_seats: SecretStr = Field(
        SecretStr(""), description="Secret of the seats service at the token endpoint. If it is empty, the service gets no token."
    )
    client_secret_invoicing: SecretStr = Field(
        SecretStr(""), description="Secret of the invoicing service at the token endpoint. If it is empty, the service gets no token."
    )
    client_secret_notifier: SecretStr = Field(
        SecretStr(""), description="Secret of the notifier service at the token endpoint. If it is empty, the service gets no token."
    )

    @field_validator("secrets_key")
    @classmethod
    def _check_keys(cls, given: SecretStr) -> SecretStr:
        if any(len(each) < SECRETS_KEY_CHARACTERS_MIN for each in given.get_secret_value().split(",") if given.get_secret_value()):
            raise ValueError(f"expected keys of {SECRETS_KEY_CHARACTERS_MIN} characters or more")
        return given

    @field_validator("identity_provider_networks")
    @classmethod
    def _check_provider_networks(cls, given: str) -> str:
        _networks(given)
        return given

    def redirect_urls(self) -> frozenset[str]:
        return frozenset(_listed(self.sign_in_redirect_urls))

    def secrets_keys(self) -> Sequence[str]:
        return _listed(self.secrets_key.get_secret_value())

    def provider_networks(self) -> Sequence[IPv4Network | IPv6Network]:
        return _networks(self.identity_provider_networks)

    def link_page_url(self) -> str:
        return self.sign_in_link_url or f"{self.users_url}/sign-in/link"

    def client_secrets(self) -> Mapping[str, SecretStr]:
        """Return the secrets of the clients that exist: a client without a secret does not exist."""
        secrets = {"operator": self.operator_secret} | {name: getattr(self, f"client_secret_{name}") for name in SERVICES}
        return {name: secret for name, secret in secrets.items() if secret.get_secret_value()}

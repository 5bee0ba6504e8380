"""The settings of users."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr

from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port

SERVICES = ("users", "seats", "invoicing", "notifier")


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
    profiles_max: int = Field(1000, ge=1, le=1_000_000, description="Maximum number of profiles of a tenant.")
    operator_secret: SecretStr = Field(
        SecretStr(""), description="Secret of the client `operator`, which has all rights. If it is empty, there is no such client."
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

    def client_secrets(self) -> Mapping[str, SecretStr]:
        """Return the secrets of the clients that exist: a client without a secret does not exist."""
        secrets = {"operator": self.operator_secret} | {name: getattr(self, f"client_secret_{name}") for name in SERVICES}
        return {name: secret for name, secret in secrets.items() if secret.get_secret_value()}

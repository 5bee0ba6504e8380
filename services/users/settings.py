"""What users can be told from outside."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr

from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port

SERVICES = ("users", "seats", "invoicing", "notifier")


class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
    port: int = own_port(8001)
    signing_keys_folder: Path = Field(
        Path("signing-keys"),
        description="Folder of the keys that sign access tokens, one for all users processes; made, readable by its owner alone, when "
        "missing. `seatpool keys` changes it.",
    )
    token_ttl_seconds: int = Field(900, ge=10, le=86_400, description="How long an access token is valid when its caller names no time.")
    wrong_secrets_per_minute: int = Field(
        10, ge=1, le=1_000_000, description="How often a client's secret may be wrong in a minute from one address, before it has to wait."
    )
    reevaluations_per_day: int = Field(
        200_000,
        ge=1,
        le=1_000_000_000,
        description="People × changes of profiles and department mapping of a tenant on one day (UTC) at most; its first is always taken.",
    )
    profiles_max: int = Field(1000, ge=1, le=1_000_000, description="Profiles of one tenant at most.")
    operator_secret: SecretStr = Field(
        SecretStr(""), description="Secret of the client `operator`, who may do everything; empty: no such client."
    )
    client_secret_users: SecretStr = Field(SecretStr(""), description="Secret of the users service at the token endpoint; empty: none.")
    client_secret_seats: SecretStr = Field(SecretStr(""), description="Secret of the seats service at the token endpoint; empty: none.")
    client_secret_invoicing: SecretStr = Field(
        SecretStr(""), description="Secret of the invoicing service at the token endpoint; empty: none."
    )
    client_secret_notifier: SecretStr = Field(
        SecretStr(""), description="Secret of the notifier service at the token endpoint; empty: none."
    )

    def client_secrets(self) -> Mapping[str, SecretStr]:
        """Of the clients that exist: one without a secret does not."""
        secrets = {"operator": self.operator_secret} | {name: getattr(self, f"client_secret_{name}") for name in SERVICES}
        return {name: secret for name, secret in secrets.items() if secret.get_secret_value()}

"""Settings of the command line."""

from pydantic import Field, SecretStr

from deploy.local.settings import StateSettings
from shared.settings import ScimSettings


def _url(service: str) -> str:
    found: str = Field("", description=f"Base address of {service}. Default: that of the running local stack.")
    return found


class CliSettings(StateSettings, ScimSettings):
    users_url: str = _url("users")
    seats_url: str = _url("seats")
    invoicing_url: str = _url("invoicing")
    notifier_url: str = _url("notifier")
    token: SecretStr = Field(SecretStr(""), description="Access token for the services. Default: that of the running local stack.")
    session: SecretStr = Field(
        SecretStr(""), description="Session of an operator, as `seatpool operator sign-in` prints it. A token takes precedence."
    )
    operator_secret: SecretStr = Field(
        SecretStr(""), description="Secret with which `seatpool token` requests tokens. Default: that of the running local stack."
    )

"""The settings of the console."""

import secrets
from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urlsplit

import structlog
from pydantic import Field, SecretStr, field_validator

from shared.settings import CommonSettings, ScimSettings, own_port

log = structlog.get_logger(__name__)

KEY_CHARACTERS_MIN = 32
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


class Settings(CommonSettings, ScimSettings):
    """Settings of the console."""

    port: int = own_port(8005)
    console_url: str = Field(
        "http://127.0.0.1:8005",
        description="Address at which browsers open the console. It begins with https://; http:// is allowed on this machine only.",
    )
    console_secret_key: SecretStr = Field(
        SecretStr(""),
        description="Key of the forms' tokens and of what the console keeps sealed in the browser: 32 characters or more, the same for all "
        "processes of the console. Of several, separated by commas, the first seals and all open. Without it, each start makes one, and "
        "forms that were open before have to be sent again.",
    )

    @field_validator("console_url")
    @classmethod
    def _check_url(cls, given: str) -> str:
        parts = urlsplit(given)
        if parts.path.strip("/") or parts.query or not parts.hostname:
            raise ValueError("expected an address without a path, such as https://console.example.com")
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS):
            raise ValueError("expected an address that begins with https://: a browser sends no session over plain http")
        return given.rstrip("/")

    @field_validator("console_secret_key")
    @classmethod
    def _check_keys(cls, given: SecretStr) -> SecretStr:
        if any(len(each.strip()) < KEY_CHARACTERS_MIN for each in given.get_secret_value().split(",") if given.get_secret_value()):
            raise ValueError(f"expected keys of {KEY_CHARACTERS_MIN} characters or more")
        return given

    @cached_property
    def keys(self) -> Sequence[str]:
        """Return the keys. The first seals."""
        found = [each.strip() for each in self.console_secret_key.get_secret_value().split(",") if each.strip()]
        if not found:
            log.warning("console_secret_key_missing", setting="SEATPOOL_CONSOLE_SECRET_KEY")
            found = [secrets.token_urlsafe(KEY_CHARACTERS_MIN)]
        return found

    @property
    def is_secure(self) -> bool:
        """Tell whether browsers use https, so that cookies are sent over https only."""
        return urlsplit(self.console_url).scheme == "https"

"""Settings of the local stack. The services have their own; the stack passes its environment on to them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from deploy.local.supervisor import StartFailed

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:18"
Port = Annotated[int | None, Field(ge=1, le=65535)]


def _port(part: str) -> Any:
    return Field(None, description=f"Port of {part} in the local stack. Default: a free port, which stays the same.")


class StateSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SEATPOOL_", extra="ignore", frozen=True)

    state_dir: Path = Field(Path(".seatpool"), description="Folder in which the local stack keeps its data, logs and addresses.")


class StackSettings(StateSettings):
    """Settings that the stack reads for itself."""

    local_services: str | None = Field(
        None, description="Names of the services to start, separated by commas, so that you can run the others yourself. Default: all."
    )
    database_prefix: str = Field(
        "seatpool_", description="Prefix of the names of databases and roles, so that several stacks can share a PostgreSQL server."
    )
    port_kafka: Port = _port("the broker")
    port_kafka_controller: Port = _port("the broker's controller")
    port_postgres: Port = _port("PostgreSQL")
    port_mailbox: Port = _port("the mailbox's web page")
    port_mailbox_smtp: Port = _port("the mailbox's SMTP server")
    port_users: Port = _port("users")
    port_seats: Port = _port("seats")
    port_invoicing: Port = _port("invoicing")
    port_notifier: Port = _port("notifier")
    port_console: Port = _port("the console")
    port_identity_provider: Port = _port("the identity provider for development")
    identity_provider: Literal["1"] | None = Field(
        None,
        validation_alias="IDENTITY_PROVIDER",
        description="1: start an identity provider for development, with which anybody signs in as anybody.",
    )
    backend: Literal["docker"] | None = Field(
        None,
        validation_alias="BACKEND",
        description="docker: run the broker and PostgreSQL in containers, whose data is not kept.",
    )
    kafka_image: str = Field(KAFKA_IMAGE, validation_alias="KAFKA_IMAGE", description="Image of the broker, for BACKEND=docker.")
    postgres_image: str = Field(POSTGRES_IMAGE, validation_alias="POSTGRES_IMAGE", description="Image of PostgreSQL, for BACKEND=docker.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the values that `read` passes: they need not be this process's environment."""
        return (init_settings,)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings from these variables. Raises StartFailed, which names the variable and its value."""
        given: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            alias = field.validation_alias if isinstance(field.validation_alias, str) else None
            value = environment.get(alias or f"SEATPOOL_{name.upper()}")
            if value is not None and (value or name == "local_services"):
                given[alias or name] = value
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            variable = name if name in environment else f"SEATPOOL_{name.upper()}"
            raise StartFailed(f"{variable} is {first['input']!r}. {first['msg']}") from error

    def port(self, part: str) -> int | None:
        found: int | None = getattr(self, f"port_{part}")
        return found

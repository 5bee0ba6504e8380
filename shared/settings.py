"""Settings from the environment (`SEATPOOL_…`), flat names; `seatpool settings` prints every field with its description.

A service's own `Settings` inherits what it needs: `class Settings(CommonSettings, KafkaSettings, DatabaseSettings)`.
"""

import ssl
import sys
from ipaddress import ip_network
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.schemas.topics import Topic

S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read the settings from the environment. Missing or wrong ones end the process (exit code 2). All are named at once, without
    values, because some are secrets."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "").upper()
        wrong = "".join(f"  {prefix}{str(e['loc'][0]).upper()}: {e['msg']}\n" for e in error.errors())
        sys.stderr.write(f"These settings are missing or not valid. `seatpool settings` documents them:\n{wrong}")
        sys.exit(2)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SEATPOOL_", extra="ignore", frozen=True)


def own_port(number: int) -> Any:
    """Return the field with the default port of one service, at which the defaults of `<service>_url` look for it."""
    return Field(number, ge=0, le=65535, description="Port on which this process listens; 0 chooses a free one.")


class CommonSettings(_Settings):
    """Settings of every service."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is logged.")
    log_format: Literal["json", "console"] = Field(
        "json", description="json: one object per line, for programs; console: coloured text, for people."
    )
    host: str = Field("127.0.0.1", description="Address on which this process listens for REST, probes and metrics.")
    port: int = own_port(8000)
    users_url: str = Field("http://127.0.0.1:8001", description="Base address of the users service (keys, access tokens).")
    seats_url: str = Field("http://127.0.0.1:8002", description="Base address of the seats service.")
    invoicing_url: str = Field("http://127.0.0.1:8003", description="Base address of the invoicing service.")
    notifier_url: str = Field("http://127.0.0.1:8004", description="Base address of the notifier service.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of the reverse proxies in front of this process, separated by commas (10.0.0.7,10.1.0.0/16). "
        "The header X-Forwarded-For is believed only from them. By default it is believed from no address, not even from this machine.",
    )
    client_id: str = Field("", description="Name with which this service requests tokens from users.")
    client_secret: SecretStr = Field(SecretStr(""), description="Secret with which this service requests tokens from users.")

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, given: str) -> str:
        """Check the networks: uvicorn would accept a name or a typing error and trust nobody, and with `*` it would trust everybody."""
        if not given.strip():
            return ""
        try:
            return ",".join(str(ip_network(each.strip())) for each in given.split(","))
        except ValueError as error:
            raise ValueError(f"expected addresses or networks, separated by commas: {error}") from error


class ScimSettings(_Settings):
    """Settings of what tells people how to set up an identity provider: the console and the command."""

    scim_url: str = Field(
        "",
        description="Address at which identity providers reach SCIM, which the console and `seatpool scim` show. By default /scim/v2 of "
        "SEATPOOL_USERS_URL, which is right only where identity providers reach that address.",
    )

    @field_validator("scim_url")
    @classmethod
    def _check_scim_url(cls, given: str) -> str:
        parts = urlsplit(given)
        if given and (parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("expected an address such as https://users.example.com/scim/v2")
        return given.rstrip("/")

    def scim_base_url(self, users_url: str) -> str:
        """Return the address that an identity provider is set up with."""
        return self.scim_url or f"{users_url}/scim/v2"


class KafkaSettings(_Settings):
    """Settings of every process that uses the broker."""

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, `host:port`, separated by commas.")
    kafka_topic_prefix: str = Field(
        "", description="Prefix of the names of all topics and consumer groups, so that deployments can share a cluster."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol of the connections to the brokers."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, for SASL_PLAINTEXT and SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="User name for SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Password for SASL.")
    kafka_ssl_cafile: str | None = Field(
        None, description="File with the trusted certificates, for SSL; default: the certificates of the system."
    )
    seats_partitions: int = Field(
        24, ge=1, description="Number of partitions of the seats topics. It cannot be changed after the topics were created."
    )
    kafka_replication: int = Field(1, ge=1, description="Replication factor of the topics; use 3 in production.")

    def topic_name(self, topic: Topic) -> str:
        return f"{self.kafka_topic_prefix}{topic.name}"

    def group_name(self, group: str) -> str:
        return f"{self.kafka_topic_prefix}{group}"

    def partitions(self, topic: Topic) -> int:
        return topic.partitions or self.seats_partitions

    def client_options(self) -> dict[str, Any]:
        """Return the options of every aiokafka client. Metadata is refreshed every 10 s: with the default of 5 minutes a client that has
        no committed offset can stall that long after a leader moved."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka_bootstrap,
            "security_protocol": self.kafka_security_protocol,
            "metadata_max_age_ms": 10_000,
            "request_timeout_ms": 15_000,
        }
        if self.kafka_security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
        if self.kafka_security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": self.kafka_sasl_username,
                "sasl_plain_password": self.kafka_sasl_password.get_secret_value() if self.kafka_sasl_password else None,
            }
        return options


class DatabaseSettings(_Settings):
    database_url: SecretStr = Field(
        SecretStr("postgresql://localhost/seatpool"),
        description="postgresql://user:password@host:port/database: the database and the role of this service. The role is no superuser.",
    )
    migration_database_url: SecretStr | None = Field(
        None,
        description="URL of the same database with the role that owns it and its tables (seatpool_<service>_owner), for `migrate` and "
        "`all`. Default: SEATPOOL_DATABASE_URL, with a warning.",
    )
    database_pool_size: int = Field(
        12,
        ge=8,
        description="Maximum number of database connections of a process. One tenant can use a third of them.",
    )

"""Settings from the environment (`SEATPOOL_…`), flat names; `seatpool settings` prints every field with its description.

A service's own `Settings` inherits what it needs: `class Settings(CommonSettings, KafkaSettings, DatabaseSettings)`.
"""

import ssl
import sys
from ipaddress import ip_network
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.schemas.topics import Topic

S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """From the environment. What is missing or wrong ends the process (exit code 2) and is named all at once, without values: some are
    secrets."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "").upper()
        wrong = "".join(f"  {prefix}{str(e['loc'][0]).upper()}: {e['msg']}\n" for e in error.errors())
        sys.stderr.write(f"Settings are missing or wrong; `seatpool settings` says what each is for:\n{wrong}")
        sys.exit(2)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SEATPOOL_", extra="ignore", frozen=True)


def own_port(number: int) -> Any:
    """Of one service: where the others look for it when nobody says otherwise (`<service>_url`)."""
    return Field(number, ge=0, le=65535, description="Port that this process listens on; 0 takes a free one.")


class CommonSettings(_Settings):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="json: one object a line; console: coloured, for people.")
    host: str = Field("127.0.0.1", description="Address that this process listens on for REST, probes and metrics.")
    port: int = own_port(8000)
    users_url: str = Field("http://127.0.0.1:8001", description="Base address of the users service (keys, access tokens).")
    seats_url: str = Field("http://127.0.0.1:8002", description="Base address of the seats service.")
    invoicing_url: str = Field("http://127.0.0.1:8003", description="Base address of the invoicing service.")
    notifier_url: str = Field("http://127.0.0.1:8004", description="Base address of the notifier service.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of the reverse proxies in front of this process, separated by commas (10.0.0.7,10.1.0.0/16). "
        "X-Forwarded-For counts only from them; default: from nobody, not even this machine.",
    )
    client_id: str = Field("", description="This service's name at the token endpoint of users.")
    client_secret: SecretStr = Field(SecretStr(""), description="This service's secret at the token endpoint of users.")

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, given: str) -> str:
        """uvicorn would take a name or a misprint as it is and trust nobody, and would trust everybody for `*`."""
        if not given.strip():
            return ""
        try:
            return ",".join(str(ip_network(each.strip())) for each in given.split(","))
        except ValueError as error:
            raise ValueError(f"expected addresses or networks, separated by commas: {error}") from error


class KafkaSettings(_Settings):
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Brokers to begin with: host:port, separated by commas.")
    kafka_topic_prefix: str = Field("", description="Stands before each topic's and group's name, so that deployments can share a cluster.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are spoken to."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="Used with SASL_PLAINTEXT and SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="User at the broker, with SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Password at the broker, with SASL.")
    kafka_ssl_cafile: str | None = Field(None, description="File of the certificates to trust, with SSL; default: the system's.")
    seats_partitions: int = Field(24, ge=1, description="Partitions of the seats topics; fixed for life once the topics exist.")
    kafka_replication: int = Field(1, ge=1, description="Copies of each partition; 3 in production.")

    def topic_name(self, topic: Topic) -> str:
        return f"{self.kafka_topic_prefix}{topic.name}"

    def group_name(self, group: str) -> str:
        return f"{self.kafka_topic_prefix}{group}"

    def partitions(self, topic: Topic) -> int:
        return topic.partitions or self.seats_partitions

    def client_options(self) -> dict[str, Any]:
        """What every aiokafka client is made with. Metadata is refreshed every 10 s: with the default of 5 minutes a client that has
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
        description="postgresql://user:password@host:port/database: this service's own database and role (no superuser).",
    )
    migration_database_url: SecretStr | None = Field(
        None,
        description="The same database as the role that owns it and its tables (seatpool_<service>_owner), for `migrate` and `all`; "
        "default: `database_url`, with a warning.",
    )
    database_pool_size: int = Field(
        12,
        ge=8,
        description="Connections that one process keeps at most; with fewer its parts would wait for each other. One tenant has a third.",
    )

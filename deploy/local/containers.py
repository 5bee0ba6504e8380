"""The broker and PostgreSQL as containers (`BACKEND=docker`, testcontainers), with the images of deploy/compose.yaml."""

import secrets
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from deploy.local import ports


def why_no_engine() -> str | None:
    """Return None if a container engine answers, else the reason as a sentence for people."""
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env(timeout=5)) as client:
            client.ping()
    except (DockerException, OSError) as error:
        return f"no container engine answers ({type(error).__name__}). Install Docker, or set DOCKER_HOST"
    return None


def start_kafka(image: str) -> tuple[str, Callable[[], None]]:
    """Start a broker; return its bootstrap address and a function that ends it. It blocks: call it in a thread."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    # Clients are sent to the advertised address, so the port on the host has to be known before the start.
    port = ports.pick()
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:29093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:29093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "3",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_MAX_TIMEOUT_MS": "60000",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "2000",
        "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
    }
    container: Any = DockerContainer(image).with_bind_ports(9092, port)
    for name, value in settings.items():
        container = container.with_env(name, value)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(180))
    _start(container)
    return f"127.0.0.1:{port}", lambda: _end(container)


def start_postgres(image: str) -> tuple[str, Callable[[], None]]:
    """Start a server; return the superuser's URL and a function that ends it. It blocks: call it in a thread."""
    from testcontainers.community.postgres import PostgresContainer

    container: Any = PostgresContainer(image, username="postgres", password=secrets.token_hex(12), dbname="postgres", driver=None)
    container.with_command("-c max_connections=200")
    _start(container)
    return str(container.get_connection_url()), lambda: _end(container)


def _start(container: Any) -> None:
    try:
        container.start()
    except BaseException:
        _end(container)  # one that runs but did not get ready in time
        raise


def _end(container: Any) -> None:
    from docker.errors import DockerException

    with suppress(DockerException):  # an engine that went away took its containers with it
        container.stop()


if __name__ == "__main__":
    sys.exit(why_no_engine())

"""Fixtures of the whole suite. What they give, and what they take it from, is told in tests/support/backing.py."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from shared.settings import KafkaSettings
from tests.support import backing

BACKING = pytest.StashKey[backing.Backing]()
SEATS_PARTITIONS = 4
T = TypeVar("T")


def pytest_report_header() -> str:
    return backing.description()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[BACKING] = backing.Backing()


def pytest_unconfigure(config: pytest.Config) -> None:
    if owned := config.stash.get(BACKING, None):
        owned.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["backing"] = list(node.config.stash[BACKING].start())


@pytest.fixture(scope="session")
def ask_backing(request: pytest.FixtureRequest) -> Callable[..., str]:
    """`ask_backing("kafka")` -> bootstrap, `ask_backing("postgres")` -> the superuser's URL. Starts what is not there yet."""
    worker = getattr(request.config, "workerinput", None)
    host, port = worker["backing"] if worker else request.config.stash[BACKING].start()
    return lambda operation, **details: backing.ask((host, port), operation, **details)


def in_thread(function: Callable[[], T]) -> T:
    """Fixtures may be used inside a running event loop, where another cannot be run: so in a thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture(scope="session")
def kafka_bootstrap(ask_backing: Callable[..., str]) -> str:
    """The run's broker."""
    return ask_backing("kafka")


@pytest.fixture(scope="session")
def postgres_url(ask_backing: Callable[..., str]) -> str:
    """The run's PostgreSQL, as its superuser."""
    return ask_backing("postgres")


def create_topics(ask_backing: Callable[..., str]) -> KafkaSettings:
    from shared.messaging import create_topics as create

    prefix = f"t{secrets.token_hex(4)}."
    settings = KafkaSettings(kafka_bootstrap=ask_backing("kafka"), kafka_topic_prefix=prefix, seats_partitions=SEATS_PARTITIONS)
    in_thread(lambda: asyncio.run(create(settings)))
    return settings


@pytest.fixture
def kafka_settings(ask_backing: Callable[..., str]) -> Iterator[KafkaSettings]:
    """Topics of this test's own (4 seats partitions), on the run's broker under a prefix of their own."""
    settings = create_topics(ask_backing)
    yield settings
    ask_backing("forget_topics", prefix=settings.kafka_topic_prefix)


@pytest.fixture(scope="session")
def make_kafka_settings(ask_backing: Callable[..., str]) -> Iterator[Callable[[], KafkaSettings]]:
    """Each call gives topics under another prefix; for fixtures of a wider scope, and for tests with two deployments."""
    made: list[KafkaSettings] = []

    def make() -> KafkaSettings:
        made.append(create_topics(ask_backing))
        return made[-1]

    yield make
    for settings in made:
        ask_backing("forget_topics", prefix=settings.kafka_topic_prefix)


@pytest.fixture(scope="session")
def make_database(ask_backing: Callable[..., str]) -> Callable[[str], str]:
    """`make_database("users")` -> URL of a new, migrated database of that service, as its own role (no superuser)."""
    return lambda service: ask_backing("database", service=service)

"""Fixtures of the whole suite. tests/support/backing.py describes what they give, and where it comes from."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog

from shared.settings import KafkaSettings
from tests.support import backing
from tests.support.documented import every_status_documented
from tests.support.stack import RunningStack

BACKING = pytest.StashKey[backing.Backing]()
SEATS_PARTITIONS = 4
STACK_FIXTURES = {"stack", "make_stack"}
T = TypeVar("T")


def pytest_report_header() -> str:
    return backing.description()


def pytest_configure(config: pytest.Config) -> None:
    # By itself structlog draws an exception in colours, with the source and all locals around each frame: seconds of CPU for each one.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    if not hasattr(config, "workerinput"):
        config.stash[BACKING] = backing.Backing()


def pytest_unconfigure(config: pytest.Config) -> None:
    if owned := config.stash.get(BACKING, None):
        owned.stop()


@pytest.fixture(autouse=True)
def own_log_configuration() -> Iterator[None]:
    """Restore the configuration of logs after a test: a command that runs in process changes it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True, scope="session")
def statuses_are_documented() -> Iterator[None]:
    with every_status_documented():
        yield


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that run a whole stack first, in one process: the other tests run in the second process meanwhile."""
    for item in items:
        if STACK_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("stack"))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["backing"] = list(node.config.stash[BACKING].start())


@pytest.fixture(scope="session")
def ask_backing(request: pytest.FixtureRequest) -> Callable[..., str]:
    """`ask_backing("kafka")` -> bootstrap, `ask_backing("postgres")` -> the superuser's URL. It starts what is missing."""
    worker = getattr(request.config, "workerinput", None)
    host, port = worker["backing"] if worker else request.config.stash[BACKING].start()
    return lambda operation, **details: backing.ask((host, port), operation, **details)


def in_thread(function: Callable[[], T]) -> T:
    """Run the function in a thread: a fixture may be used inside a running event loop, where no other loop can run."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture(scope="session")
def kafka_bootstrap(ask_backing: Callable[..., str]) -> str:
    """Return the bootstrap address of the run's broker."""
    return ask_backing("kafka")


@pytest.fixture(scope="session")
def postgres_url(ask_backing: Callable[..., str]) -> str:
    """Return the URL of the run's PostgreSQL, for its superuser."""
    return ask_backing("postgres")


def create_topics(ask_backing: Callable[..., str]) -> KafkaSettings:
    from shared.kafka import create_topics as create

    prefix = f"t{secrets.token_hex(4)}."
    settings = KafkaSettings(kafka_bootstrap=ask_backing("kafka"), kafka_topic_prefix=prefix, seats_partitions=SEATS_PARTITIONS)
    in_thread(lambda: asyncio.run(create(settings)))
    return settings


@pytest.fixture
def kafka_settings(ask_backing: Callable[..., str]) -> Iterator[KafkaSettings]:
    """Create topics for this test alone (4 seats partitions), on the run's broker with a prefix of their own."""
    settings = create_topics(ask_backing)
    yield settings
    ask_backing("forget_topics", prefix=settings.kafka_topic_prefix)


@pytest.fixture(scope="session")
def make_kafka_settings(ask_backing: Callable[..., str]) -> Iterator[Callable[[], KafkaSettings]]:
    """Return a function that creates topics with another prefix, for fixtures of a wider scope and tests with two deployments."""
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


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("stack")).start()
    yield running
    running.stop()


@pytest.fixture
async def stack(shared_stack: RunningStack) -> RunningStack:
    """Return the whole local stack, one for all tests: each test has tenants of its own. Every part is up at the start."""
    await shared_stack.until_ready()
    return shared_stack


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., RunningStack]]:
    """Return a function that starts another stack, which ends with the test. Its arguments are those of RunningStack."""
    started: list[RunningStack] = []
    numbers = itertools.count()

    def make(**options: Any) -> RunningStack:
        running = RunningStack(tmp_path / f"stack-{next(numbers)}", **options).start()
        started.append(running)
        return running

    yield make
    for running in started:
        running.stop()

"""Fixtures of the whole suite. tests/support/backing.py describes what they give, and where it comes from."""

import asyncio
import gc
import itertools
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
import structlog

from shared.settings import KafkaSettings
from tests.support import backing, chromium
from tests.support.documented import every_status_documented
from tests.support.stack import RunningStack

BACKING = pytest.StashKey[backing.Backing]()
SHARED_STACK = pytest.StashKey[RunningStack]()
SEATS_PARTITIONS = 4
# The process of pytest in which a test runs: the tests of one group run one after the other. These groups take the longest and begin first.
STACK, OWN_STACK = "stack", "own stack"
BROWSER = "browser"
GROUPS_OF_FIXTURES = {"shared_stack": STACK, "make_stack": OWN_STACK, "chromium": BROWSER}
T = TypeVar("T")
# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile(
    "any machine", hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
gc.disable()  # until the tests are collected: see pytest_collection


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-sizes", action="store_true", help="run tests with many people with as many as the issues ask for, which takes longer"
    )


@pytest.fixture
def full_sizes(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full-sizes"))


def pytest_report_header() -> list[str]:
    return [backing.description(), chromium.description()]


def pytest_configure(config: pytest.Config) -> None:
    # By itself structlog draws an exception in colours, with the source and all locals around each frame: seconds of CPU for each one.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    if not hasattr(config, "workerinput"):
        config.stash[BACKING] = backing.Backing()


def pytest_unconfigure(config: pytest.Config) -> None:
    end_shared_stack(config)
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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[Any]:
    """Let the garbage collector never scan what all test files import and declare: it lives until the end."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run the tests of the shared stack, another one those that start stacks of their own, and any process each file whose
    tests share a service: otherwise each process would start it."""
    for item in items:
        if group := _group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_place_of)


def _group_of(item: pytest.Item) -> str | None:
    for fixture in getattr(item, "fixturenames", ()):
        if fixture in GROUPS_OF_FIXTURES:
            return GROUPS_OF_FIXTURES[fixture]
    asyncio_mark = item.get_closest_marker("asyncio")
    shares = asyncio_mark is not None and asyncio_mark.kwargs.get("loop_scope") == "module"
    return item.nodeid.partition("::")[0] if shares else None


def _place_of(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    order = (STACK, OWN_STACK)
    return len(order) + 1 if mark is None else order.index(mark.args[0]) if mark.args[0] in order else len(order)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run with releases in which pytest-xdist does not see the groups: each process would start a stack of its own."""
    is_grouped = getattr(session.config.option, "loadgroup", False)
    if is_grouped and any(item.get_closest_marker("xdist_group") and "@" not in item.nodeid for item in session.items):
        raise pytest.UsageError(
            "these releases of pytest and pytest-xdist do not group tests by the mark xdist_group: use those of the lock"
        )


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


@pytest.fixture
def shared_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningStack:
    """Return one stack for all tests in a row that use it: nobody else needs what its processes do while they wait."""
    stash = request.config.stash
    if SHARED_STACK not in stash:
        stash[SHARED_STACK] = RunningStack(tmp_path_factory.mktemp("stack"), extra={"IDENTITY_PROVIDER": "1"}).start()
    return stash[SHARED_STACK]


@pytest.hookimpl(trylast=True)  # after the fixtures of the test
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if "shared_stack" not in getattr(nextitem, "fixturenames", ()):
        end_shared_stack(item.config)


def end_shared_stack(config: pytest.Config) -> None:
    if running := config.stash.get(SHARED_STACK, None):
        del config.stash[SHARED_STACK]
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

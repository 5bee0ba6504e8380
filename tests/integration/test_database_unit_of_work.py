"""Transactions, migrations and transient errors on a real PostgreSQL."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from shared.clock import FixedClock
from shared.database import Database, migrate
from shared.database.engine import REST_SECONDS
from shared.database.errors import is_of_the_data
from shared.database.prune import prune
from shared.errors import Poison, Transient
from tests.support.messaging import NOON, facts, left, rows
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack

ADD = "INSERT INTO facts (tenant_id, said, message_id) VALUES ('acme', $1, 'm')"


async def test_an_exception_rolls_everything_back(plain_database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await _add_and_fail(plain_database)
    assert await facts(plain_database) == []


async def _add_and_fail(database: Database) -> None:
    async with database.unit_of_work("acme") as uow:
        await uow.connection.exec_driver_sql(ADD, ("never",))
        raise ZeroDivisionError


async def test_nested_savepoints_roll_back_to_their_own_beginning(plain_database: Database) -> None:
    async with plain_database.unit_of_work("acme") as uow, uow.savepoint():
        await uow.connection.exec_driver_sql(ADD, ("outer",))
        with pytest.raises(DBAPIError):
            await _violate_in_savepoint(uow)
        await uow.connection.exec_driver_sql(ADD, ("after",))
    assert await facts(plain_database) == ["outer", "after"]


async def _violate_in_savepoint(uow: Any) -> None:
    async with uow.savepoint():
        await uow.connection.exec_driver_sql(ADD, ("inner",))
        await uow.connection.exec_driver_sql("INSERT INTO facts (tenant_id, said, message_id) VALUES ('acme', NULL, 'm')")


async def test_a_server_that_is_away_is_a_transient_error(plain_database_url: str) -> None:
    away = Database(make_url(plain_database_url).set(port=1).render_as_string(hide_password=False), application_name="test")
    with pytest.raises(Transient):
        await away.ready()
    await away.dispose()


async def test_a_connection_that_is_cut_is_a_transient_error(plain_database: Database, plain_database_url: str) -> None:
    other = Database(plain_database_url, application_name="other")
    with pytest.raises(Transient):
        await _cut_in_the_middle(plain_database, other)
    assert await plain_database.ready()  # the pool notices and connects again
    await other.dispose()


async def _cut_in_the_middle(database: Database, other: Database) -> None:
    async with database.unit_of_work("acme") as uow:
        pid = (await uow.connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
        async with other.unit_of_work(None) as killer:
            await killer.connection.exec_driver_sql("SELECT pg_terminate_backend($1)", (pid,))
        await uow.connection.exec_driver_sql(ADD, ("never",))


async def test_only_a_connection_that_has_rested_is_asked_whether_it_works(
    plain_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FixedClock(NOON)
    database = Database(plain_database_url, application_name="test", clock=clock)
    asked: list[object] = []
    monkeypatch.setattr(database.engine.dialect, "do_ping", asked.append)
    for _ in range(3):
        await database.ready()
    assert asked == []
    clock.seconds += REST_SECONDS
    for _ in range(3):
        await database.ready()
    assert len(asked) == 1
    await database.dispose()


@pytest.mark.parametrize("rested", [0, REST_SECONDS])
async def test_connections_that_the_server_has_closed_are_replaced_before_they_are_used(plain_database_url: str, rested: int) -> None:
    clock, other = FixedClock(NOON), Database(plain_database_url, application_name="other")
    database = Database(plain_database_url, application_name="test", clock=clock)
    async with database.engine.connect() as connection:
        pid = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
        driver: Any = (await connection.get_raw_connection()).driver_connection
    async with other.unit_of_work(None) as killer:
        await killer.connection.exec_driver_sql("SELECT pg_terminate_backend($1, 5000)", (pid,))
    clock.seconds += rested
    if not rested:
        await wait_until(driver.is_closed, what="the end of the connection")
    await facts(database)
    await database.dispose()
    await other.dispose()


async def test_a_deadlock_is_a_transient_error_for_one_and_no_error_for_the_other(plain_database: Database) -> None:
    async with plain_database.unit_of_work("acme") as uow:
        await uow.connection.exec_driver_sql(ADD, ("a",))
        await uow.connection.exec_driver_sql(ADD, ("b",))
    both = asyncio.Barrier(2)

    async def change(first: str, second: str) -> None:
        async with plain_database.unit_of_work("acme") as uow:
            await uow.connection.exec_driver_sql("UPDATE facts SET message_id = 'x' WHERE said = $1", (first,))
            await both.wait()
            await uow.connection.exec_driver_sql("UPDATE facts SET message_id = 'x' WHERE said = $1", (second,))

    results = await asyncio.gather(change("a", "b"), change("b", "a"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "Transient"]


async def test_one_tenants_slow_transactions_leave_connections_to_all_others(plain_database: Database) -> None:
    """As requests do that wait for the lock of a row: of eight connections a tenant holds two, and the rest of it waits for these."""
    go, holding = asyncio.Event(), 0

    async def hold() -> None:
        nonlocal holding
        async with plain_database.unit_of_work("acme"):
            holding += 1
            await go.wait()

    held = [asyncio.ensure_future(hold()) for _ in range(20)]
    await wait_until(lambda: holding == 2, what="two connections")
    async with asyncio.timeout(30):
        for _ in range(10):
            await _run(plain_database, "SELECT 1", tenant="other")
    assert holding == 2
    go.set()
    await asyncio.gather(*held)
    assert holding == 20


@pytest.mark.parametrize("said", ["a\0b", None])
async def test_a_value_that_cannot_be_stored_is_an_error_of_the_data(plain_database: Database, said: str | None) -> None:
    with pytest.raises(DBAPIError) as caught:
        await _add(plain_database, said)
    assert is_of_the_data(caught.value)


async def test_a_message_that_its_topic_does_not_take_is_poison_before_it_blocks_the_outbox(plain_database: Database) -> None:
    large = left().model_copy(update={"reason": "x" * 1_100_000})
    async with plain_database.unit_of_work("acme") as uow:
        with pytest.raises(Poison, match="too-large"):
            uow.publish(large, source="hr/test", tenant="acme", time=NOON)
    assert await rows(plain_database, "outbox") == []


async def test_a_wrong_statement_is_a_bug_and_no_error_of_the_data(plain_database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        await _run(plain_database, "SELECT nothing FROM facts")
    assert not is_of_the_data(caught.value)


async def _add(database: Database, said: str | None) -> None:
    async with database.unit_of_work("acme") as uow:
        await uow.connection.exec_driver_sql(ADD, (said,))


async def _run(database: Database, statement: str, tenant: str = "acme") -> None:
    async with database.unit_of_work(tenant) as uow:
        await uow.connection.exec_driver_sql(statement)


async def test_pruning_deletes_old_rows_and_nothing_else(plain_database: Database) -> None:
    async with plain_database.unit_of_work(None) as uow:
        add = "INSERT INTO inbox (consumer_group, source, message_id, handled_at) VALUES ('g', 's', $1, now() - $2::text::interval)"
        await uow.connection.exec_driver_sql(add, ("old", "31 days"))
        await uow.connection.exec_driver_sql(add, ("young", "29 days"))
        letter = (
            "INSERT INTO dead_letters (consumer_group, topic, partition, record_offset, timestamp_ms, reason, detail, headers, blocks,"
            " status, discarded_at, done_at) SELECT 'g', $1, 0, $2, 0, 'r', 'd', '[]', false, $3, CASE WHEN $3 = 'discarded' THEN at END,"
            " CASE WHEN $3 = 'done' THEN at END FROM (SELECT now() - $4::text::interval AS at) AS a"
        )
        topics = ("hr.events.v1.acme", "discarded"), ("seats.events.v1", "done"), ("seats.events.v1", "discarded"), ("hr.events.v1", "open")
        for offset, (topic, status) in enumerate(topics):
            for days in (89, 91):
                await uow.connection.exec_driver_sql(letter, (topic, offset * 100 + days, status, f"{days} days"))
    deleted = await prune(plain_database)
    assert (deleted["inbox"], deleted["dead_letters"]) == (1, 2)
    assert [row.message_id for row in await rows(plain_database, "inbox")] == ["young"]
    kept = [row.record_offset for row in await rows(plain_database, "dead_letters")]
    assert sorted(kept) == [89, 189, 289, 291, 389, 391], "what may be read again from the topic, and what is open, stays"


ENV = "from alembic import context\nfrom shared.database.migrate import run_env\n\nrun_env(context)\n"
FIRST = """
from alembic import op
from shared.database import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    tables.create(op)
    op.execute("SELECT pg_sleep(0.3)")


def downgrade() -> None:
    raise NotImplementedError
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A service with one migration, which takes long enough for two processes to meet."""
    versions = tmp_path / "sample" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").write_text(ENV)
    (versions / "0001_first.py").write_text(FIRST)
    monkeypatch.setattr(migrate, "_ROOT", tmp_path)
    return "sample"


async def test_two_processes_that_start_at_once_migrate_once(service: str, make_empty_database: Callable[[], Awaitable[str]]) -> None:
    url = await make_empty_database()
    script = (
        "import pathlib\nfrom shared.database import migrate\nfrom shared.settings import DatabaseSettings\n"
        f"migrate._ROOT = pathlib.Path({str(migrate._ROOT)!r})\nmigrate.upgrade('sample', DatabaseSettings(database_url={url!r}))\n"
    )
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.PIPE) for _ in range(2)]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    database = Database(url, application_name="test")
    assert [row.version_num for row in await rows(database, "alembic_version")] == ["0001"]
    assert await rows(database, "inbox") == []
    await database.dispose()
    third = await asyncio.create_subprocess_exec(sys.executable, "-c", f"{script}import sys\nassert 'alembic' not in sys.modules\n")
    assert await third.wait() == 0, "nothing was left to migrate"

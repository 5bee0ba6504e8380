"""The local stack's own promises, on the real broker, the real PostgreSQL and the mailbox; the services have their tests in tests/e2e."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from deploy.local import ports, postgres
from deploy.local.kafka import Broker, cluster_id_at
from deploy.local.stack import LocalStack
from deploy.local.state import AlreadyRunning
from deploy.local.supervisor import StartFailed
from tests.support.stack import RunningStack
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.xdist_group("own stack"),
    pytest.mark.skipif(
        bool({"BACKEND", "SEATPOOL_KAFKA_BOOTSTRAP", "SEATPOOL_DATABASE_URL"} & set(os.environ)), reason="about the stack's own parts"
    ),
]
MakeStack = Callable[..., RunningStack]


@pytest.fixture
def foreground(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m deploy.local` without services, as a process of its own."""
    env = os.environ | {"SEATPOOL_STATE_DIR": str(tmp_path / "state"), "SEATPOOL_LOCAL_SERVICES": ""}
    process = subprocess.Popen([sys.executable, "-m", "deploy.local"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


async def running(state: Path) -> dict[str, int]:
    """The process ids in stack.json, once everything is ready."""

    def found() -> dict[str, int]:
        path = state / "stack.json"
        noted: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"ready": False}
        return {name: int(note["pid"]) for name, note in noted["processes"].items()} if noted["ready"] else {}

    return await wait_until(found, seconds=120, what="the stack runs")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
async def test_kill_9_of_the_supervisor_leaves_nothing_behind(foreground: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pids = await running(tmp_path / "state")
    assert set(pids) == {"kafka", "postgres", "mailbox"}
    children = [child.pid for pid in pids.values() for child in psutil.Process(pid).children(recursive=True)]
    foreground.kill()
    foreground.wait()
    await wait_until(lambda: all(gone(pid) for pid in [*pids.values(), *children]), what="every process ended")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
async def test_kill_9_of_make_ends_the_stack_that_it_runs(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"run:\n\t@{sys.executable} -m deploy.local\n")
    env = os.environ | {"SEATPOOL_STATE_DIR": str(tmp_path / "state"), "SEATPOOL_LOCAL_SERVICES": ""}
    make = subprocess.Popen(["make", "-f", str(tmp_path / "Makefile"), "run"], env=env, stdout=subprocess.DEVNULL)
    try:
        pids = await running(tmp_path / "state")
        (supervisor,) = psutil.Process(make.pid).children()
    finally:
        make.kill()
        make.wait()
    try:
        await wait_until(lambda: gone(supervisor.pid), what="the supervisor ended")
    finally:
        with suppress(psutil.NoSuchProcess):
            supervisor.kill()
    assert all(gone(pid) for pid in pids.values())
    assert not (tmp_path / "state" / "stack.json").exists(), "ended in order, not at once"


async def test_one_signal_ends_everything_and_stack_json(foreground: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pids = await running(tmp_path / "state")
    foreground.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(foreground.wait, 30) == 0
    assert all(gone(pid) for pid in pids.values())
    assert not (tmp_path / "state" / "stack.json").exists()


async def test_two_stacks_run_side_by_side_and_a_second_of_one_folder_is_refused(make_stack: MakeStack) -> None:
    one, two = await asyncio.gather(*(asyncio.to_thread(make_stack, services=()) for _ in range(2)))
    for key in ("kafka_bootstrap", "postgres_url", "mailbox_url", "smtp_url"):
        assert one.addresses[key] != two.addresses[key]
    found = [await cluster_id_at(stack.addresses["kafka_bootstrap"]) for stack in (one, two)]
    assert None not in found
    assert found[0] != found[1]
    with pytest.raises(AlreadyRunning):
        async with LocalStack(one.folder, services=()):
            pytest.fail("a second stack started in the same folder")


async def test_data_and_ports_are_the_same_after_a_stop_and_a_start(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, services=(), durable=False) as stack:
        connection = await asyncpg.connect(stack.addresses["postgres_url"])
        await connection.execute("create table kept as select 42 as answer")
        await postgres.ensure_role(stack.addresses["postgres_url"], "nobody", "secret")  # as each service's
        open_to_all = await connection.fetch(
            "select datname from pg_database where datallowconn and has_database_privilege('nobody', oid, 'CONNECT')"
        )
        assert open_to_all == []
        for name in ("postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"permission denied for database .{name}"):
                await asyncpg.connect(stack.addresses["postgres_url"], user="nobody", password="secret", database=name)
        await connection.close()
        first = dict(stack.addresses)
    async with LocalStack(tmp_path, services=(), durable=False) as stack:
        connection = await asyncpg.connect(stack.addresses["postgres_url"])
        assert await connection.fetchval("select answer from kept") == 42
        await connection.close()
        assert stack.addresses == first


async def test_a_killed_broker_and_a_killed_server_come_back_with_their_data(make_stack: MakeStack) -> None:
    stack = await asyncio.to_thread(make_stack, services=())
    cluster = await cluster_id_at(stack.addresses["kafka_bootstrap"])
    noted = json.loads((stack.folder / "stack.json").read_text())
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{noted['mailbox_url']}/api/messages")).json() == []
    for part in ("kafka", "postgres", "mailbox"):
        stack.kill(part)
    await stack.until_ready()
    assert [stack.starts(part) for part in ("kafka", "postgres", "mailbox")] == [2, 2, 2]
    assert await cluster_id_at(stack.addresses["kafka_bootstrap"]) == cluster


async def test_a_foreign_broker_on_the_port_is_not_accepted(kafka_bootstrap: str, tmp_path: Path) -> None:
    other = Broker(tmp_path, int(kafka_bootstrap.rpartition(":")[2]), ports.pick())
    assert await cluster_id_at(kafka_bootstrap) is not None
    assert not await other.is_ready()


async def test_a_service_gets_a_role_that_row_level_security_binds(postgres_url: str) -> None:
    role, password = f"role_{secrets.token_hex(4)}", 'it\'s "quoted"'
    await postgres.ensure_role(postgres_url, role, "another")
    await postgres.ensure_role(postgres_url, role, password)  # as at a second start: the password is set again
    await postgres.ensure_database(postgres_url, role, role)
    try:
        connection = await asyncpg.connect(postgres_url, user=role, password=password, database=role)
        row = await connection.fetchrow(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = current_user"
        )
        await connection.close()
        assert row is not None
        assert not any(row.values())
    finally:
        await postgres.drop_database(postgres_url, role)


async def test_the_addresses_of_the_environment_are_used(tmp_path: Path, kafka_bootstrap: str, postgres_url: str) -> None:
    environment = {
        "SEATPOOL_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "SEATPOOL_DATABASE_URL": postgres_url,
        "SEATPOOL_SMTP_URL": "smtp://127.0.0.1:2525",
        "SEATPOOL_KAFKA_TOPIC_PREFIX": "external.",
    }
    async with LocalStack(tmp_path, services=(), environment=environment) as stack:
        assert stack.supervisor.pids() == {}
        assert stack.addresses["smtp_url"] == "smtp://127.0.0.1:2525"
        assert stack.taken["kafka"] == f"the broker at {kafka_bootstrap} (SEATPOOL_KAFKA_BOOTSTRAP)"
        assert str(urlsplit(postgres_url).password) not in stack.taken["postgres"]
    assert await cluster_id_at(kafka_bootstrap) is not None  # what is not its own goes on living


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SEATPOOL_DATABASE_URL": "garbage"}, "SEATPOOL_DATABASE_URL.*invalid DSN"),
        ({"SEATPOOL_DATABASE_URL": "postgresql://nobody:s3cret@127.0.0.1:1/postgres"}, "SEATPOOL_DATABASE_URL.*Connect"),
        ({"SEATPOOL_PORT_POSTGRES": "x"}, "SEATPOOL_PORT_POSTGRES is 'x'"),
        ({"BACKEND": "podman"}, "BACKEND is 'podman'"),
        ({"SEATPOOL_SEATS_PARTITIONS": "four"}, "SEATPOOL_SEATS_PARTITIONS is 'four'; it must be a number"),
    ],
)
async def test_an_address_or_number_that_is_wrong_is_named(
    tmp_path: Path, kafka_bootstrap: str, changed: dict[str, str], said: str
) -> None:
    environment = {"SEATPOOL_KAFKA_BOOTSTRAP": kafka_bootstrap, "SEATPOOL_SMTP_URL": "smtp://127.0.0.1:2525"}
    with pytest.raises(StartFailed, match=said) as refused:
        async with LocalStack(tmp_path, services=(), environment=environment | changed):
            pytest.fail("it started")
    assert "s3cret" not in str(refused.value)


async def test_a_server_that_lets_nobody_in_says_why(tmp_path: Path, kafka_bootstrap: str, postgres_url: str) -> None:
    wrong = postgres_url.replace(f":{urlsplit(postgres_url).password}@", ":s3cret@")
    environment = {
        "SEATPOOL_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "SEATPOOL_DATABASE_URL": wrong,
        "SEATPOOL_SMTP_URL": "smtp://127.0.0.1:2525",
    }
    with pytest.raises(StartFailed, match=r"SEATPOOL_DATABASE_URL.*password authentication failed"):
        async with LocalStack(tmp_path, services=(), environment=environment):
            pytest.fail("it started")

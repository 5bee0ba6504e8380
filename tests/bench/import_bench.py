"""People/s of an import end to end: from the HR event at the door to the decision stored in users; and what each Python process takes.
Then 10,000 hires in an HR file to the decisions stored in users, the same file again, which changes nobody and sends nothing, and 10,000
hires that an HR system writes to its topic.

`python -m tests.bench.import_bench [--people 3000] [--in-file 10000]`, part of `make bench`. A stack of its own, durable as in production
(fsync on).
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import asyncpg
import orjson
import psutil

from cli.hr.importing import Wanted, perform
from shared.clock import SystemClock
from shared.hr_files.company import read_company
from shared.ids import new_id
from shared.kafka import make_producer, partition_of, started
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.schemas.topics import HR_EVENTS, SEATS_COMMANDS, USERS_EVENTS
from tests.support.log import read_topic, seat_log
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, Tenant, kafka_of, open_rest, open_tenant

PEOPLE = 3_000
PEOPLE_IN_FILE = 10_000
OVER_LIMIT_PERCENT = 5
SECONDS_MAX = 600
POLL_SECONDS = 0.25
NOT_PYTHON = ("kafka", "postgres")
ANSWERED = "SELECT count(*) FROM people WHERE tenant_id = $1 AND revision > 0 AND answered >= revision"


@dataclass(frozen=True, slots=True)
class ImportFigures:
    people: int
    accepted_seconds: float  # until the door had taken the last event
    stored_seconds: float  # until users had stored the last decision
    settled_seconds: float  # until every service had read everything and every mail was out
    people_per_second: int
    resident_mb: Mapping[str, int]  # of each Python process, at its highest
    resident_mb_max: int
    cores: int
    load_before: float


@dataclass(frozen=True, slots=True)
class FileFigures:
    people: int
    read_seconds: float  # the file to people
    applied_seconds: float  # until the command said that it is imported; with reading
    stored_seconds: float  # until users had stored the last decision; with reading
    unchanged_seconds: float  # the whole import of the same file again
    unchanged_messages: int  # that it published
    users_cpu_seconds: float  # of users, until the last decision was stored: it hardly depends on the load


@dataclass(frozen=True, slots=True)
class TopicFigures:
    people: int
    written_seconds: float  # until the broker had the last event
    stored_seconds: float  # until users had stored the last decision
    users_cpu_seconds: float
    load_before: float


class Watch:
    """The highest resident memory of each part's process group."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self.highest: dict[str, int] = {}

    def look(self) -> None:
        for part, pid in self._stack.pids().items():
            if part in NOT_PYTHON:
                continue
            try:
                process = psutil.Process(pid)
                resident = sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
            except psutil.NoSuchProcess:
                continue
            self.highest[part] = max(self.highest.get(part, 0), resident // 1024 // 1024)


async def measure(stack: RunningStack, count: int) -> ImportFigures:
    clock, watch, load = SystemClock(), Watch(stack), os.getloadavg()[0]
    users = await asyncpg.connect(database_of(stack, "users"))
    try:
        async with await open_rest(stack) as rest:
            licences = count - count * OVER_LIMIT_PERCENT // 100
            tenant = await open_tenant(stack, rest, licences=licences, extra_licences=count)
            began = clock.monotonic()
            sending = asyncio.create_task(tenant.send(tenant.people(count)))
            accepted = stored = 0.0
            async with asyncio.timeout(SECONDS_MAX):
                while not stored:
                    watch.look()
                    if sending.done() and not accepted:
                        assert (await sending).accepted == count
                        accepted = clock.monotonic() - began
                    if await users.fetchval(ANSWERED, tenant.id) >= count:
                        stored = clock.monotonic() - began
                    await asyncio.sleep(POLL_SECONDS)
            await sending
            await tenant.stage.until_idle()
            watch.look()
            settled = clock.monotonic() - began
            await check(stack, tenant, count, licences)
    finally:
        await users.close()
    return ImportFigures(
        people=count,
        accepted_seconds=round(accepted or stored, 1),
        stored_seconds=round(stored, 1),
        settled_seconds=round(settled, 1),
        people_per_second=round(count / stored),
        resident_mb=watch.highest,
        resident_mb_max=max(watch.highest.values(), default=0),
        cores=os.cpu_count() or 0,
        load_before=round(load, 2),
    )


async def measure_file(stack: RunningStack, count: int, path: Path) -> FileFigures:
    clock = SystemClock()
    users = await asyncpg.connect(database_of(stack, "users"))
    try:
        async with await open_rest(stack) as rest:
            tenant = await open_tenant(stack, rest, licences=count, extra_licences=count)
            write_file(path, count)
            wanted = Wanted(path, tenant.id, tenant.source)
            began, cpu = clock.monotonic(), cpu_of_users(stack)
            company = read_company(path)
            read = clock.monotonic() - began
            outcome = await perform(rest, company, wanted)
            applied = clock.monotonic() - began
            assert (outcome.applied, outcome.people.changed) == (True, count)
            async with asyncio.timeout(SECONDS_MAX):
                while await users.fetchval(ANSWERED, tenant.id) < count:
                    await asyncio.sleep(POLL_SECONDS)
            stored, cpu = clock.monotonic() - began, cpu_of_users(stack) - cpu
            await tenant.stage.until_idle()
            await check(stack, tenant, count, count)
            published = await messages(stack, tenant)
            began = clock.monotonic()
            outcome = await perform(rest, read_company(path), replace(wanted, complete=True))
            unchanged = clock.monotonic() - began
            assert (outcome.applied, outcome.people.unchanged) == (True, count)
            await tenant.stage.until_idle()
            more = await messages(stack, tenant) - published
    finally:
        await users.close()
    return FileFigures(count, round(read, 1), round(applied, 1), round(stored, 1), round(unchanged, 1), more, round(cpu, 1))


async def measure_topic(stack: RunningStack, count: int) -> TopicFigures:
    clock, load, kafka = SystemClock(), os.getloadavg()[0], kafka_of(stack)
    users = await asyncpg.connect(database_of(stack, "users"))
    try:
        async with await open_rest(stack) as rest, started(make_producer(kafka)) as producer:
            tenant = await open_tenant(stack, rest, licences=count, extra_licences=count)
            topic, partition = kafka.topic_name(HR_EVENTS), partition_of(tenant.id.encode(), kafka.partitions(HR_EVENTS))
            began, cpu = clock.monotonic(), cpu_of_users(stack)
            for fact in tenant.people(count):
                envelope = Envelope(new_id(), tenant.source, type_of(type(fact)), clock.now(), tenant=tenant.id)
                value, headers = fact.model_dump_json().encode(), envelope.headers()
                await producer.send(topic, value, key=envelope.key, headers=headers, partition=partition)
            await producer.flush()
            written = clock.monotonic() - began
            async with asyncio.timeout(SECONDS_MAX):
                while await users.fetchval(ANSWERED, tenant.id) < count:
                    await asyncio.sleep(POLL_SECONDS)
            stored, cpu = clock.monotonic() - began, cpu_of_users(stack) - cpu
            await tenant.stage.until_idle()
            await check(stack, tenant, count, count)
    finally:
        await users.close()
    return TopicFigures(count, round(written, 1), round(stored, 1), round(cpu, 1), round(load, 2))


def cpu_of_users(stack: RunningStack) -> float:
    times = psutil.Process(stack.pids()["users"]).cpu_times()
    return times.user + times.system


def write_file(path: Path, count: int) -> None:
    departments = ("Makers", *("Everybody",) * 9)
    rows = (f"{n},2020-01-{n % 28 + 1:02},,{departments[n % 10]},p{n},p{n}@company.example,Person {n}\n" for n in range(count))
    path.write_text("employee_id,start_date,end_date,department,login,email,name\n" + "".join(rows))


async def messages(stack: RunningStack, tenant: Tenant) -> int:
    """Those of users about this tenant."""
    return sum([len(await read_topic(kafka_of(stack), topic, tenant.id)) for topic in (USERS_EVENTS, SEATS_COMMANDS)])


def database_of(stack: RunningStack, service: str) -> str:
    """As the superuser, whom row-level security does not hold: a count of every tenant's people is what is wanted."""
    name = stack.addresses["database_urls"][service].rpartition("/")[2].partition("?")[0]
    return f"{stack.addresses['postgres_url'].rpartition('/')[0]}/{name}"


async def check(stack: RunningStack, tenant: Tenant, count: int, licences: int) -> None:
    """A fast import that lost someone is no figure."""
    log = await seat_log(kafka_of(stack), tenant.id)
    assert (log.unanswered, log.answered_twice, log.conflicting) == ((), (), ())
    pools = {pool["module"]: pool for pool in (await tenant.rest.get("seats", tenant.stage.path("pools")))["items"]}
    assert (pools[BASE]["active"], pools[BASE]["flagged"]) == (licences, count - licences)


def run(count: int = PEOPLE, in_file: int = PEOPLE_IN_FILE) -> tuple[ImportFigures, FileFigures, TopicFigures]:
    with tempfile.TemporaryDirectory(prefix="seatpool-bench-", ignore_cleanup_errors=True) as folder:
        stack = RunningStack(Path(folder) / "stack", durable=True).start()
        try:
            figures = asyncio.run(measure(stack, count))
            file_figures = asyncio.run(measure_file(stack, in_file, Path(folder) / "people.csv"))
            return figures, file_figures, asyncio.run(measure_topic(stack, in_file))
        finally:
            stack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--in-file", type=int, default=PEOPLE_IN_FILE)
    given = parser.parse_args()
    figures, file_figures, topic_figures = run(given.people, given.in_file)
    found = asdict(figures) | {"file": asdict(file_figures), "topic": asdict(topic_figures)}
    sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()

"""Speed of invoicing: the month-end of many subscriptions without rendering, quotes, and purchases from the approval to the document.

`pytest tests/bench/bench_invoicing.py -s`. Two workers (consumer and relay, in processes of their own), a real broker and PostgreSQL.
`python -m tests.bench.bench_invoicing` is such a worker.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import orjson
import psutil
import pytest
import uvloop
from pydantic import SecretStr

from deploy.local import ports
from deploy.local.stack import EXAMPLE_SELLER
from services.invoicing.settings import Settings
from services.invoicing.wiring import make_wiring
from shared.clock import SystemClock
from shared.database import Database
from shared.messaging import Relay
from shared.observability.logs import configure_logging
from shared.schemas import topics
from shared.schemas.invoicing_v1 import InvoiceIssued
from shared.schemas.seats_v1 import LicencesAdded
from shared.settings import KafkaSettings
from tests.bench.speed import at_rate, percentile
from tests.support.invoicing import NOVEMBER, Bench, running_bench, settings_of
from tests.support.invoicing_process import environment_of, kill, published_keys, start
from tests.support.month_end import MODULES, begin_periods, copy_tenant
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]

SUBSCRIPTIONS = int(os.environ.get("SEATPOOL_BENCH_SUBSCRIPTIONS", "10000"))
PER_SECOND, MEMORY_MB = 300, 400
WORKERS = int(os.environ.get("SEATPOOL_BENCH_WORKERS", "2"))
TENANTS, SECONDS, QUOTES_PER_SECOND, PURCHASES_PER_SECOND = 50, 10, 20, 50


def names(count: int) -> list[str]:
    return [f"customer-{number}" for number in range(count)]


async def test_month_end(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> None:
    url, kafka = make_database("invoicing"), make_kafka_settings()
    tenants = names(SUBSCRIPTIONS)
    async with running_bench(settings_of(url, kafka)) as bench:
        await bench.catalogue(**MODULES)
        modules = [{"module": module, "licences": 10} for module in MODULES]
        template = await bench.subscribed(NOVEMBER, {}, "2013-11-01", billed_until="2013-12-01", modules=modules)
        await copy_tenant(url, template, tenants, kafka.seats_partitions)
    # The bench's own consumer has ended here; the worker below does the month-end alone.
    await begin_periods(kafka, tenants)
    figures = await _measure(url, kafka, len(tenants))
    sys.stdout.buffer.write(b"\n" + orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


async def _measure(url: str, kafka: KafkaSettings, documents: int) -> dict[str, Any]:
    environment = (
        os.environ
        | EXAMPLE_SELLER
        | {
            "SEATPOOL_DATABASE_URL": url,
            "SEATPOOL_KAFKA_BOOTSTRAP": kafka.kafka_bootstrap,
            "SEATPOOL_KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
            "SEATPOOL_SEATS_PARTITIONS": str(kafka.seats_partitions),
        }
    )
    database = await asyncpg.connect(url)
    await database.execute("SELECT set_config('seatpool.tenant', '*', false)")
    command = (sys.executable, "-m", "tests.bench.bench_invoicing")
    workers = [await asyncio.create_subprocess_exec(*command, env=environment) for _ in range(WORKERS)]
    try:

        async def issued(least: int) -> bool:
            assert all(worker.returncode is None for worker in workers), "a worker has ended"
            return int(await database.fetchval("SELECT count(*) FROM invoices")) >= least

        await wait_until(lambda: issued(1), seconds=120, what="the first documents")  # a batch is one transaction
        cpu_before, began = sum(_cpu_seconds(worker.pid) for worker in workers), time.perf_counter()
        before = int(await database.fetchval("SELECT count(*) FROM invoices"))
        await wait_until(lambda: issued(documents), seconds=600, what="all documents")
        seconds, cpu = time.perf_counter() - began, sum(_cpu_seconds(worker.pid) for worker in workers) - cpu_before
        memory = max(psutil.Process(worker.pid).memory_info().rss / 2**20 for worker in workers)
        numbers = await database.fetchrow("SELECT count(DISTINCT tenant_id), min(sequence), max(sequence), count(*) FROM invoices")
    finally:
        for worker in workers:
            worker.terminate()
            await worker.wait()
        await database.close()
    assert tuple(numbers) == (documents, 1, documents, documents), "each tenant has one document, and no number is missing"
    return {
        "documents": documents,
        "workers": WORKERS,
        "seconds": round(seconds, 1),
        "documents_per_second": round((documents - before) / seconds),
        "workers_cpu_ms_per_document": round(1000 * cpu / (documents - before), 2),
        "resident_mb": round(memory),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "goal": {"documents_per_second": PER_SECOND, "resident_mb": MEMORY_MB},
    }


def _cpu_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


async def test_quotes_and_purchases(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> None:
    """Invoicing is a process of its own with all its roles; the client and a stand-in for seats that answers at once are here."""
    url, kafka, port = make_database("invoicing"), make_kafka_settings(), ports.pick()
    async with AsyncExitStack() as stack:
        environment = environment_of(url, kafka, port, await stack.enter_async_context(published_keys()))
        process = await start(environment)
        stack.push_async_callback(kill, process)
        opened = running_bench(settings_of(url, kafka), address=f"http://127.0.0.1:{port}")
        bench = await stack.enter_async_context(opened)
        await bench.catalogue(**MODULES)
        modules = [{"module": module, "licences": 10} for module in MODULES]
        tenants: list[str] = []
        while len(tenants) < TENANTS:  # a few at once: a tenant waits at most five seconds for its events
            some = [bench.subscribed(NOVEMBER, {}, "2013-11-01", billed_until="2013-12-01", modules=modules) for _ in range(5)]
            tenants += await asyncio.gather(*some)
        items = {"items": [{"module": "time", "add": 1}]}

        async def quote(number: int) -> dict[str, Any]:
            return dict(await bench.ok("POST", f"/v1/tenants/{tenants[number % TENANTS]}/quotes", items))

        quotes = await at_rate(QUOTES_PER_SECOND, SECONDS, quote)
        # A quote fits until the next purchase of its tenant, so each tenant buys one thing after the other.
        turns = [asyncio.Lock() for _ in tenants]

        async def buy(number: int) -> None:
            async with turns[number % TENANTS]:
                offered = await quote(number)
                decided = await bench.ok("POST", offered["approve_url"], {}, prefer="wait=10")
                while decided["status"] == "pending":
                    decided = await bench.ok("GET", decided["status_url"], prefer="wait=10")
                assert decided["invoice"] is not None

        used = _cpu_seconds(process.pid)
        purchases = await at_rate(PURCHASES_PER_SECOND, SECONDS, buy)
        used = _cpu_seconds(process.pid) - used
        documents = await _decision_to_document(bench)
    figures = {
        "quote_ms": {"p50": percentile(quotes, 0.5), "p99": percentile(quotes, 0.99), "per_second": QUOTES_PER_SECOND, "goal_p99": 50},
        "quote_approval_decision_document_ms": {
            "p50": percentile(purchases, 0.5),
            "p99": percentile(purchases, 0.99),
            "per_second": PURCHASES_PER_SECOND,
        },
        # By the broker's clock: from the decision in the log to the invoice in the log, so with its transaction and the relay.
        "decision_to_document_ms": {"p50": percentile(documents, 0.5), "p99": percentile(documents, 0.99), "goal_p99": 3_000},
        "invoicing_cpu_ms_per_purchase": round(1000 * used / len(purchases), 1),
        "load": os.getloadavg()[0],
    }
    sys.stdout.buffer.write(b"\n" + orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


async def _decision_to_document(bench: Bench) -> list[float]:
    """Return the milliseconds from each decision about a purchase to the invoice that it caused."""
    decided = {sent.envelope.id: sent for sent in await bench.topic(topics.SEATS_EVENTS) if isinstance(sent.payload, LicencesAdded)}
    issued = [sent for sent in await bench.topic(topics.INVOICING_EVENTS) if isinstance(sent.payload, InvoiceIssued)]
    return [float(sent.written_ms - decided[sent.envelope.causation or ""].written_ms) for sent in issued]


async def work() -> None:
    settings = Settings(client_id="invoicing", client_secret=SecretStr("x"), log_level="ERROR")
    configure_logging("bench", settings)
    database = Database(settings.database_url.get_secret_value(), application_name="bench", pool_size=8)
    wiring = make_wiring(settings, SystemClock(), database, None)  # type: ignore[arg-type]  # nobody asks seats here
    await asyncio.gather(wiring.consumer.run(), Relay(database=database, kafka=settings).run())


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    if profile := os.environ.get("SEATPOOL_BENCH_PROFILE"):
        import cProfile
        import signal

        profiler = cProfile.Profile()

        def stop(*_: object) -> None:
            profiler.disable()
            profiler.dump_stats(str(profile))
            os._exit(0)

        signal.signal(signal.SIGTERM, stop)
        profiler.enable()
    asyncio.run(work())

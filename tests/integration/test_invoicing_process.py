"""`python -m services.invoicing all` as its own process, killed in the middle of a purchase."""

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from deploy.local import ports
from shared.schemas import invoicing_v1, seats_v1
from shared.settings import KafkaSettings
from tests.support.invoicing import NOVEMBER, running_bench, settings_of
from tests.support.invoicing_process import environment_of, kill, published_keys, start
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack
MEMORY_MAX_MB = 300
TENANTS = 8


@pytest.mark.parametrize("killed", ["never", "after the approval", "after the decision"])
async def test_a_purchase_is_charged_once_although_the_process_is_killed(
    make_database: Callable[[str], str], kafka_settings: KafkaSettings, killed: str
) -> None:
    url, port = make_database("invoicing"), ports.pick()
    async with published_keys() as users_url:
        environment = environment_of(url, kafka_settings, port, users_url)
        process = await start(environment)
        try:
            async with running_bench(settings_of(url, kafka_settings), address=f"http://127.0.0.1:{port}") as bench:
                await bench.catalogue(time=1200)
                tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
                await bench.advance_clock(tenant, NOVEMBER + timedelta(days=3))
                bench.answering.clear()
                quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 6}]})
                order = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {})
                if killed == "after the approval":
                    process = await again(process, environment)
                bench.answering.set()
                if killed == "after the decision":
                    await wait_until(lambda: bench.pools[tenant].licences["time"] == 16, what="the decision")
                    process = await again(process, environment)
                order = await bench.ok("GET", f"/v1/tenants/{tenant}/orders/{order['order']}", prefer="wait=10")
                assert (order["status"], order["invoice"] is not None) == ("completed", True)
                await bench.until_settled(tenant)
                assert (await bench.call("GET", f"/v1/tenants/{tenant}/invoices/{order['invoice']}/pdf")).content.startswith(b"%PDF-")
                figures = await bench.statistics(tenant)
                assert (figures["invoices"], figures["net_minor"], figures["charges"]) == (1, 3120, 1)
                assert len(await bench.commands(tenant, seats_v1.AddLicences)) == 1
                assert len({event.invoice for event in await bench.events(tenant, invoicing_v1.InvoiceIssued)}) == 1
            memory_mb = psutil.Process(process.pid).memory_info().rss / 2**20
            assert memory_mb < MEMORY_MAX_MB
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 30) == 0
        finally:
            await kill(process)


async def again(process: asyncio.subprocess.Process, environment: dict[str, str]) -> asyncio.subprocess.Process:
    await kill(process)
    return await start(environment)


async def test_T11_T16_renewals_of_many_tenants_are_invoiced_once_by_two_workers_although_one_is_killed(
    make_database: Callable[[str], str], kafka_settings: KafkaSettings
) -> None:
    """The partitions of the log share the tenants out among any number of workers, and each period begins in one transaction."""
    url, port = make_database("invoicing"), ports.pick()
    december = datetime(2013, 11, 30, 23, tzinfo=UTC)
    async with published_keys() as users_url, running_bench(settings_of(url, kafka_settings)) as bench:
        environment = environment_of(url, kafka_settings, port, users_url)
        await bench.catalogue(time=1200)
        subscribed = [
            bench.subscribed(NOVEMBER, {"time": number}, "2013-11-01", billed_until="2013-12-01") for number in range(1, TENANTS + 1)
        ]
        tenants = await asyncio.gather(*subscribed)
        mine = bench.wiring.consumer._pumps
        alone = len(mine)
        other = await start(environment)
        try:
            await wait_until(lambda: 0 < len(mine) < alone, what="the other worker to take its partitions")
            for tenant in tenants:
                await bench.send(seats_v1.ClockAdvanced(number=1, to=december), tenant)

            async def renewed() -> bool:
                ((count,),) = await bench.execute("SELECT count(*) FROM invoices")
                return int(count) > 0

            await wait_until(renewed, what="the first renewal")
        finally:
            await kill(other)
        for number, tenant in enumerate(tenants, 1):
            await bench.until_settled(tenant, at=december)
            (renewal,) = {each.invoice: each for each in await bench.events(tenant, invoicing_v1.InvoiceIssued)}.values()
            assert (renewal.reason, renewal.net_minor) == ("renewal", 1200 * number)
        rows = await bench.execute("SELECT sequence FROM invoices ORDER BY sequence")
        assert [sequence for (sequence,) in rows] == list(range(1, TENANTS + 1))

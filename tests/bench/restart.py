"""A worker with many people: how fast it comes back, what it takes, how fast it answers, and how fast another takes over."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from shared.settings import KafkaSettings
from tests.bench.fill import fill
from tests.support.keys import bearer, published_keys
from tests.support.seats import WorkerProcess, answered, commands_to, tenant_in
from tests.support.wait import wait_until

TENANTS = 20
MODULES = ("time", "documents")
DECIDE_SECONDS_MAX = 900
CHECK_SECONDS, CHECK_CLIENTS = 3.0, 8
SESSION_SECONDS = 6.0


async def measure(kafka: KafkaSettings, folder: Path, people: int) -> dict[str, Any]:
    """`people` with two seats each."""
    written = await fill(kafka, people, TENANTS, MODULES)
    with published_keys() as users_url:
        settings = {"users_url": users_url, "seats_session_seconds": SESSION_SECONDS}
        one, two = (WorkerProcess.make(kafka, folder, name, **settings) for name in ("restart-one", "restart-two"))
        try:
            one.start()
            await _decided(one, people)
            one.kill()
            began = time.monotonic()
            one.start()
            await wait_until(lambda: len(one.logged("owns")) == 2, seconds=DECIDE_SECONDS_MAX, what="the restart")
            ready = time.monotonic() - began
            (restored,) = one.logged("restored")[-1:]
            await _decided(one, people)
            assert one.process is not None
            process = psutil.Process(one.process.pid)
            checks = await _access_checks(one, process)
            memory = process.memory_info()
            found = {
                "people": people,
                "rows": restored["rows"],
                "recovery_rows_per_second": round(restored["rows"] / restored["seconds"]),
                "start_to_ready_seconds": round(ready, 1),
                "resident_mb": memory.rss // 2**20,
            }
            return found | checks | await _take_over(kafka, one, two) | {"commands": written}
        finally:
            one.kill()
            two.kill()


async def _decided(worker: WorkerProcess, people: int) -> None:
    """All of them, as the worker itself says."""
    tenant = "tenant-0"
    async with httpx.AsyncClient(timeout=30) as client:

        async def seated() -> bool:
            try:
                answer = await client.get(f"{worker.url}/v1/tenants/{tenant}/pools/documents", headers=bearer(tenant, "account:read"))
            except httpx.HTTPError:
                return False
            if answer.status_code != 200:
                return False
            pool = answer.json()
            return bool(pool["active"] + pool["flagged"] == people // TENANTS)

        await wait_until(seated, seconds=DECIDE_SECONDS_MAX, what="everybody's seats")


async def _access_checks(worker: WorkerProcess, process: psutil.Process) -> dict[str, float]:
    """Checks/s is what this client gets out of it; the worker's CPU time for each says what one core could answer."""
    tenant = "tenant-0"
    url = f"{worker.url}/v1/tenants/{tenant}/access/0193a0aa-0000-7000-8000-{0:012d}/time"
    end = time.monotonic() + CHECK_SECONDS

    async def ask() -> int:
        count = 0
        async with httpx.AsyncClient(timeout=30, headers=bearer(tenant, "account:read")) as client:
            while time.monotonic() < end:
                assert (await client.get(url)).json()["allowed"]
                count += 1
        return count

    before = process.cpu_times()
    done = sum(await asyncio.gather(*[ask() for _ in range(CHECK_CLIENTS)]))
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return {"access_checks_per_second": round(done / CHECK_SECONDS), "access_check_cpu_us": round(cpu / done * 1e6)}


async def _take_over(kafka: KafkaSettings, one: WorkerProcess, two: WorkerProcess) -> dict[str, Any]:
    """From kill -9 of one of two workers until its partitions decide again."""
    two.start()
    await wait_until(lambda: any(len(entry["partitions"]) == 2 for entry in two.logged("owns")), seconds=180, what="a half each")
    await wait_until(lambda: len(one.logged("owns")[-1]["partitions"]) == 2, seconds=180, what="a half each")
    lost = one.logged("owns")[-1]["partitions"]
    async with commands_to(kafka) as commands:
        tenants = [tenant_in(partition, kafka.seats_partitions, "after") for partition in lost]
        one.kill()
        began = time.monotonic()
        positions = [await commands.open(tenant) for tenant in tenants]
        await wait_until(lambda: len(two.logged("owns")[-1]["partitions"]) == 4, seconds=180, what="the take-over")
        owned = time.monotonic() - began
        for position in positions:
            await answered(kafka, position)
    half, all_of_it = (said["rows"] for said in two.logged("restored")[-2:])
    return {"take_over_seconds": round(owned, 1), "session_seconds": SESSION_SECONDS, "rows_moved": all_of_it - half}

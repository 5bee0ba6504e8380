"""Speed of the seats worker beside baselines of the same run.

`python -m tests.bench.seats_bench [--commands n] [--people n] [--only part,…]`, part of `make bench`. Every figure is meant relative to
its baseline: the machine, and what else runs on it, is in the last line. `--json` prints the figures instead of the table. The goal for
memory needs `--people 500000`, which takes some minutes more.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import structlog
from rich.console import Console

from deploy.local import ports
from deploy.local.kafka import Broker
from deploy.local.supervisor import Supervisor
from shared.settings import KafkaSettings
from tests.bench import latency, postgres, report, restart
from tests.bench.fill import fill
from tests.bench.runners import WARM
from tests.support.seats import ROOT, worker_environment

PARTITIONS = 4
TENANTS = 10_000
RUNNER_SECONDS_MAX = 600.0


class Bench:
    def __init__(self, bootstrap: str, folder: Path, commands: int, people: int) -> None:
        self.bootstrap, self.folder, self.commands, self.people = bootstrap, folder, commands, people
        self.found: dict[str, Any] = {}

    def kafka(self, name: str) -> KafkaSettings:
        return KafkaSettings(kafka_bootstrap=self.bootstrap, kafka_topic_prefix=f"{name}.", seats_partitions=PARTITIONS)

    async def runner(self, name: str, kafka: KafkaSettings, commands: int, warm: int = WARM, **settings: object) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.runners", name, str(commands), str(warm)),
            cwd=ROOT,
            env=worker_environment(kafka, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        out, _ = await asyncio.wait_for(process.communicate(), RUNNER_SECONDS_MAX)
        answer: dict[str, Any] = orjson.loads(out.splitlines()[-1])
        return answer

    # -- parts ----------------------------------------------------------------------------------------------------------

    async def throughput(self) -> None:
        """Commands/s of one worker on one core: one hot pool, and 10,000 tenants of five people at least."""
        for name, tenants, hires in (("hot_pool", 1, self.commands), ("many_tenants", TENANTS, max(self.commands, 5 * TENANTS))):
            kafka = self.kafka(name)
            written = await fill(kafka, hires, tenants)
            warm = max(WARM, written - hires)  # people are measured, not the opening of tenants
            first = await self.runner("seats", kafka, written, warm)
            bare = await self.runner("bare", kafka, written, warm)
            idle = await self.runner("faust", kafka, warm + hires // 3, warm)
            self.found[name] = {"seats": first, "bare": bare, "faust_agent_that_does_nothing": idle}
            self.found[name] |= {
                "of_bare": round(first["per_second"] / bare["per_second"], 2),
                "of_bare_cpu": round(bare["cpu_us"] / first["cpu_us"], 2),
                "of_faust": round(first["per_second"] / idle["per_second"], 2),
            }

    async def sql(self) -> None:
        """PostgreSQL deciding the same stream: one guarded UPDATE for each command, 16 connections, one hot pool."""
        self.found["postgresql"] = await postgres.guarded_updates(self.folder, max(2000, self.commands // 10))
        if "hot_pool" in self.found:
            speed = self.found["hot_pool"]["seats"]["per_second"]
            times = {mode: round(speed / self.found["postgresql"][f"synchronous_commit_{mode}"], 1) for mode in ("on", "off")}
            self.found["postgresql"] |= {f"seats_is_times_{mode}": value for mode, value in times.items()}

    async def growth(self) -> None:
        """The same number of commands on pools of 1, 10 and 100 times as many people: nothing may grow with the pool but a logarithm."""
        grown = {}
        for times in (1, 10, 100):
            kafka = self.kafka(f"growth{times}")
            tenants = max(1, 100 // times)
            written = await fill(kafka, self.commands, tenants)
            speed = await self.runner("seats", kafka, written)
            grown[f"{self.commands // tenants} people a pool"] = speed["cpu_us"]
        self.found["growth_cpu_us"] = grown

    async def latency(self) -> None:
        """From command sent to decision read, at 500 commands/s; the bare loop's beside it."""
        self.found["latency_ms"] = await latency.measure(self.kafka("latency"), self.folder)

    async def restart(self) -> None:
        """Recovery, memory, access checks, and the take-over after kill -9."""
        self.found["restart"] = await restart.measure(self.kafka("restart"), self.folder, self.people)


async def run(commands: int, people: int, only: list[str], console: Console) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="seatpool-bench-") as name:
        folder = Path(name)
        broker = Broker(folder / "kafka", ports.pick(), ports.pick())
        supervisor = Supervisor([broker.part()], lambda _part, _line: None)
        await supervisor.start()
        try:
            bench = Bench(broker.bootstrap, folder, commands, people)
            parts: dict[str, Callable[[], Awaitable[None]]] = {
                "throughput": bench.throughput,
                "sql": bench.sql,
                "growth": bench.growth,
                "latency": bench.latency,
                "restart": bench.restart,
            }
            for number, part in enumerate(only or parts, start=1):
                console.print(f"{number}/{len(only or parts)} {part}, load {os.getloadavg()[0]:.1f} ...")
                await parts[part]()
            return bench.found
        finally:
            await supervisor.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.seats_bench", description=__doc__)
    parser.add_argument("--commands", type=int, default=30_000)
    parser.add_argument("--people", type=int, default=20_000, help="with two seats each, for recovery and memory")
    parser.add_argument("--only", default="", help="throughput, sql, growth, latency, restart; default: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    console = Console(stderr=True)
    load = os.getloadavg()[0]
    found = asyncio.run(run(options.commands, options.people, [part for part in options.only.split(",") if part], console))
    found["machine"] = {"cores": os.cpu_count(), "load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1)}
    if options.json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        report.show(found, Console(width=None if sys.stdout.isatty() else 140))


if __name__ == "__main__":
    main()

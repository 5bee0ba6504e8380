"""The goals of the seats service's speed beside what was measured."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

OF_BARE, OF_POSTGRES, LATENCY_TIMES = 0.6, 5.0, 3.0
GROWTH_TIMES = 1.5  # at 100 times the people in a pool: room for a logarithm and for what else runs on the machine
ROWS_PER_SECOND, MEMORY_MB, MEMORY_PEOPLE, TAKE_OVER_SECONDS = 25_000, 900, 500_000, 3.0

Found = Mapping[str, Any]


class Line(NamedTuple):
    """`met` None: there is no goal, or this run cannot say."""

    what: str
    goal: str
    measured: str
    met: bool | None


def lines(found: Found) -> Iterator[Line]:
    for part, make in PARTS.items():
        if part in found:
            yield from make(found[part])


def _throughput(what: str, found: Found) -> Iterator[Line]:
    seats, bare = found["seats"], found["bare"]
    measured = f"{found['of_bare']} ({seats['per_second']:,} of {bare['per_second']:,} commands/s)"
    yield Line(f"{what}: of the bare loop, by time", f">= {OF_BARE}", measured, found["of_bare"] >= OF_BARE)
    measured = f"{found['of_bare_cpu']} ({seats['cpu_us']} to {bare['cpu_us']} us a command)"
    yield Line(f"{what}: of the bare loop, by CPU time", f">= {OF_BARE}", measured, found["of_bare_cpu"] >= OF_BARE)
    yield Line(f"{what}: of a Faust agent that does nothing", "-", f"{found['of_faust']} times", None)


def _hot(found: Found) -> Iterator[Line]:
    return _throughput("one hot pool", found)


def _many(found: Found) -> Iterator[Line]:
    return _throughput("many tenants", found)


def _postgresql(found: Found) -> Iterator[Line]:
    for mode in ("on", "off"):
        times = found.get(f"seats_is_times_{mode}")
        name = f"synchronous_commit_{mode}"
        measured = f"{times} ({name}: {found[name]:,}/s)" if times is not None else f"{name}: {found[name]:,}/s"
        yield Line(f"one hot pool: times PostgreSQL, commit {mode}", f">= {OF_POSTGRES}", measured, times and times >= OF_POSTGRES)


def _growth(found: Found) -> Iterator[Line]:
    first, *_, last = found.values()
    measured = ", ".join(f"{name}: {cpu} us" for name, cpu in found.items())
    yield Line("growth with the people of a pool", f"<= {GROWTH_TIMES} times", measured, last <= GROWTH_TIMES * first)


def _latency(found: Found) -> Iterator[Line]:
    times, seats, bare = found["p99_is_times"], found["seats"], found["bare"]
    measured = f"{times} ({seats['p99']} to {bare['p99']} ms; p50 {seats['p50']} to {bare['p50']} ms)"
    yield Line("p99 at 500/s: times the bare loop's", f"<= {LATENCY_TIMES}", measured, times <= LATENCY_TIMES)


def _restart(found: Found) -> Iterator[Line]:
    speed, memory, people = found["recovery_rows_per_second"], found["resident_mb"], found["people"]
    yield Line("recovery", f">= {ROWS_PER_SECOND:,} rows/s", f"{speed:,} rows/s ({found['rows']:,} rows)", speed >= ROWS_PER_SECOND)
    met = memory <= MEMORY_MB if people >= MEMORY_PEOPLE else None
    yield Line(f"memory, {MEMORY_PEOPLE:,} people, two seats each", f"<= {MEMORY_MB} MB", f"{memory} MB with {people:,} people", met)
    yield Line("access checks over HTTP", "-", f"{found['access_checks_per_second']:,}/s, {found['access_check_cpu_us']} us CPU each", None)
    allowed = found["session_seconds"] + found["rows_moved"] / ROWS_PER_SECOND + TAKE_OVER_SECONDS
    took = found["take_over_seconds"]
    yield Line("take-over after kill -9", f"<= {allowed:.1f} s", f"{took} s ({found['rows_moved']:,} rows moved)", took <= allowed)


PARTS = {
    "hot_pool": _hot,
    "many_tenants": _many,
    "postgresql": _postgresql,
    "growth_cpu_us": _growth,
    "latency_ms": _latency,
    "restart": _restart,
}


def show(found: Found, console: Console) -> None:
    table = Table(title="Speed of one seats worker", show_lines=False)
    for name in ("what", "goal", "measured", "met"):
        table.add_column(name)
    for line in lines(found):
        table.add_row(line.what, line.goal, line.measured, "-" if line.met is None else "yes" if line.met else "NO")
    console.print(table)
    machine = found["machine"]
    console.print(f"{machine['cores']} cores, load {machine['load_before']} before and {machine['load_after']} after")

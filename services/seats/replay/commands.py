"""The command line of `replay`, `verify` and `activate-rules`. Results go to standard output, logs to standard error."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import orjson

from services.seats import domain
from services.seats.domain.policies import shown as policies_of
from services.seats.engine.frames import Row
from services.seats.replay.replay import Differs, Replay, Unclear, canonical
from services.seats.settings import Settings
from services.seats.use_cases.activate_rules import activate
from shared.errors import SeatpoolError
from shared.observability.logs import configure_logging
from shared.settings import load

T = TypeVar("T")


def run_replay(arguments: list[str]) -> None:
    """Run `seatpool replay`: print the rows, or compare them with the live table."""
    parser = argparse.ArgumentParser(prog="seatpool replay", description="Rebuild the seats of a tenant from the topics alone.")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--until", help="a command (partition-offset), or an instant of the tenant's time (2026-03-01T12:00:00Z)")
    parser.add_argument("--rows", action="store_true", help="print the rows of the table, one on a line, for programs")
    parser.add_argument("--compare", action="store_true", help="compare with the live table instead; exit code 1 if a row differs")
    options = parser.parse_args(arguments)
    if options.compare and options.until is not None:
        parser.error("--compare and --until cannot be used together: the live table has only the present state")
    replay = Replay(_settings())
    if options.compare:
        count = _run(replay.compare(options.tenant)) or sys.exit(_nothing(options.tenant))
        print_line(f"{options.tenant}: {count} rows are equal to the live table")
        return
    rows = _run(replay.state(options.tenant, until=options.until))
    if not rows:
        sys.exit(_nothing(options.tenant, options.until))
    for line in canonical_lines(rows) if options.rows else shown(options.tenant, rows):
        print_line(line)


def run_verify(arguments: list[str]) -> None:
    text = "Decide every command again, and compare the decisions and the live table with the result."
    parser = argparse.ArgumentParser(prog="seatpool verify", description=text)
    parser.add_argument("--tenant", help="compare only the rows of this tenant; default: all tenants")
    options = parser.parse_args(arguments)
    report = _run(Replay(_settings()).verify(options.tenant))
    if options.tenant is not None and report.clean and not report.counts["tenants"]:
        sys.exit(_nothing(options.tenant))
    print_line(orjson.dumps(report.as_json()).decode())
    sys.exit(0 if report.clean else 1)


def _nothing(tenant: str, until: str | None = None) -> str:
    """Return the error text for a tenant without decisions: a typing error in its id must not look like a clean result."""
    return f"Seats has decided nothing for {tenant}{'' if until is None else f' until {until}'}. Check the tenant's id."


def run_activate(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="seatpool activate-rules", description="Decide with this version of the rules from now on.")
    parser.add_argument("rules", type=int, help="first deploy a release that knows it to all workers: a worker that does not know it stops")
    rules = parser.parse_args(arguments).rules
    if rules not in domain.RULES:  # the record would stay in the log, and no worker of this release could pass it
        sys.exit(f"This release does not know version {rules} of the rules. It knows: {', '.join(map(str, sorted(domain.RULES)))}.")
    offsets = _run(activate(_settings(), rules))
    print_line(orjson.dumps({"rules": rules, "from": {str(p): offset for p, offset in offsets.items()}}).decode())


def print_line(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe (`| head`); the rest of the buffer would raise again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def canonical_lines(rows: Mapping[str, Row]) -> list[str]:
    return [f"{orjson.dumps(key).decode()}: {row.decode()}" for key, row in sorted(canonical(rows).items())]


def shown(tenant: str, rows: Mapping[str, Row]) -> list[str]:
    """Return lines for a person: the tenant, its pools as a table, and the seats of each person."""
    state = domain.load(rows.items())[tenant]
    clock = f"test clock at {domain.instant(state.row.time)}" if state.row.test_clock else "real clock"
    scheduled = [f"next period {entry.period} from {domain.instant(entry.starts_at)}" for entry in state.row.scheduled]
    period = f"current period {state.row.period}" if state.row.period else "no current period"
    lines = [", ".join([f"{tenant}: {clock}", period, *scheduled]), ""]
    names = ("licences", "next_period", "active", "flagged", "held", "waiting", "available")
    wide = max([len("module"), *map(len, state.pools)])
    lines.append("  ".join(["module".ljust(wide), *names, "policies"]))
    for module in sorted(state.pools):
        pool = state.pools[module]
        seen = domain.pool_state(pool)
        counts = [str(seen[name]).rjust(len(name)) for name in names]
        base = ["base"] if pool.row.base else []
        ends = ["ends with the subscription"] if pool.row.ending else []
        defaults = domain.PoolRow._field_defaults
        given = {name: value for name, value in policies_of(pool.row).items() if name == "over_limit" or value != defaults[name]}
        policies = [f"{name}={value}" for name, value in given.items()]
        lines.append("  ".join([module.ljust(wide), *counts, " ".join([*base, *ends, *policies])]))
    lines.append("")
    wide = max(map(len, state.users), default=0)
    lines += [f"{user.ljust(wide)}  {_person(state.users[user])}" for user in sorted(state.users)]
    return lines


def _person(row: domain.UserRow) -> str:
    seats = []
    for module in sorted(row.seats):
        seat = row.seats[module]
        since = f" since {domain.instant(seat.since)}" if seat.since else ""
        until = f" until {domain.instant(seat.deadline)}" if seat.deadline is not None else ""
        seats.append(f"{module} {seat.state}{since}{until}")
    seats += [f"{entry.module} revoked at {domain.instant(entry.at)}" for entry in row.revoked]
    if row.release is not None:
        seats.append(f"from {domain.instant(row.release.at)} only {', '.join(row.release.modules) or 'nothing'}")
    return "; ".join(seats) or "nothing"


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (Unclear, Differs, SeatpoolError) as error:
        sys.exit(str(error))


def _settings() -> Settings:
    settings = load(Settings)
    configure_logging("seats", settings)
    for handler in logging.getLogger().handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(sys.stderr)  # programs read what these roles print
    return settings

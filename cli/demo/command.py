"""`seatpool demo`: start the local stack, play the first weeks of a company, compare the statistics of the services, stop the stack.

On a terminal the stack stays up at the end, until Ctrl-C, and sign-in links to the console are printed. `--into-running` plays the company
into a stack that runs already.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import typer
from rich.markup import escape

from cli.console import CliError, fail, out, run
from cli.demo.keepsakes import read_mailbox, save
from cli.demo.plan import Plan, plan_without_file, read_plan
from cli.demo.screen import Screen
from cli.demo.sign_in import Door, doors
from cli.demo.stage import Stage
from cli.demo.statistics import Closing, ask_everybody, close
from cli.demo.story import TOKEN_SECONDS, play
from cli.hr.screen import show_bad_rows
from cli.names import ALL_RIGHTS
from cli.rest import Addresses, Rest, kafka_environment, read_stack, stack_file
from cli.token import fetch_token
from shared.clock import SystemClock
from shared.hr_files.columns import FilesUnusable
from shared.hr_files.company import Company, read_company
from shared.ids import new_id

if TYPE_CHECKING:
    from deploy.local.stack import LocalStack

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE, SAMPLE_PLAN = EXAMPLES / "alpenrose", EXAMPLES / "alpenrose.toml"
TAIL_LINES = 15
LINE_MAX = 600
# A day of the story ends when its e-mails are sent: digests are collected as usual, but not for 2 s.
QUICK = {"SEATPOOL_DIGEST_QUIET_SECONDS": "0.5"}
LOUD = ('"level":"error"', '"level":"critical"', "FATAL", " ERROR ")  # of the services, of PostgreSQL, of Kafka
KEPT_STACKS = "On a terminal, `make demo` leaves the stack running until Ctrl-C. `make run` starts one that keeps its data."
# Variables that name a broker or server of the user's own: the demo does not touch what is there.
EXTERNAL = ("SEATPOOL_KAFKA_BOOTSTRAP", "SEATPOOL_DATABASE_URL")


def demo(hr: Path | None, plan: Path | None, keep: Path, *, stay: bool | None, into_running: bool) -> None:
    try:
        company = read_company(hr or SAMPLE)
    except FilesUnusable as error:
        fail(str(error), "examples/alpenrose shows the three files.")
    if company.bad_rows:
        show_bad_rows(company.bad_rows)
    if stay is None:
        stay = sys.stdin.isatty() and sys.stdout.isatty()
    plan_file = plan or (SAMPLE_PLAN if hr is None else None)
    if run(_prepare_and_perform(company, plan_file, keep, stay=stay, into_running=into_running)).differences:
        raise typer.Exit(1)


async def _prepare_and_perform(company: Company, plan_file: Path | None, keep: Path, *, stay: bool, into_running: bool) -> Closing:
    plan = read_plan(plan_file, company) if plan_file else plan_without_file(company)
    task = asyncio.current_task()
    assert task is not None
    # A SIGTERM ends the stack like Ctrl-C does: by leaving the blocks that started it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    screen = Screen(out, plan)
    if into_running:
        return await perform_into_running(company, plan, screen, keep)
    return await perform(company, plan, screen, keep, stay=stay)


async def perform(company: Company, plan: Plan, screen: Screen, keep: Path, *, stay: bool = False) -> Closing:
    """Play the whole demo with a stack of its own, in a temporary folder. `stay`: end the stack when the user asks for it."""
    from deploy.local.process import end_with_make
    from deploy.local.stack import LocalStack
    from deploy.local.supervisor import StartFailed
    from deploy.local.tools import ToolsMissing

    if stay:
        end_with_make()
    with tempfile.TemporaryDirectory(prefix="seatpool-demo-", ignore_cleanup_errors=True) as folder:
        stack = LocalStack(Path(folder), durable=False, extra=_own_corner() | QUICK)
        with screen.live():
            try:
                await _start(stack, screen)
            except (StartFailed, ToolsMissing) as error:
                raise CliError(f"the stack did not start: {error}") from error
        try:
            with screen.live():
                closing = await _perform_on(stack.addresses, company, plan, screen, keep)
                opened = await doors(stack.addresses, company.name, plan.tenant.contact_email) if stay else []
            if not stay:
                screen.said(KEPT_STACKS)
            screen.statement(closing.line())
            if stay:
                _show_doors(screen, stack.addresses, opened)
                screen.statement(f"Commands for this stack, in another terminal: SEATPOOL_STATE_DIR={folder} seatpool status")
                await _until_asked_to_stop(stack, screen)
        except (CliError, httpx.HTTPError) as error:
            await asyncio.to_thread(_keep_logs, stack, keep)
            raise CliError(str(error) or type(error).__name__, _last_words(stack, keep)) from error
        finally:
            with screen.live():
                screen.waiting("stopping the stack")
                await stack.__aexit__(None, None, None)
    return closing


async def perform_into_running(company: Company, plan: Plan, screen: Screen, keep: Path) -> Closing:
    """Play the whole demo in the running local stack, beside the tenants that it has."""
    parts = read_stack()
    if not parts.get("ready"):
        raise CliError(f"no stack is running here ({stack_file()} says so)", "Start one with `make run` and wait until it is ready.")
    with screen.live():
        closing = await _perform_on(parts, company, plan, screen, keep, is_own=False)
        opened = await doors(parts, company.name, plan.tenant.contact_email)
    screen.statement(closing.line())
    _show_doors(screen, parts, opened)
    return closing


def _show_doors(screen: Screen, parts: Mapping[str, Any], opened: list[Door]) -> None:
    """Print the address of the console, and the links with which to sign in."""
    screen.statement(f"\nThe console: {parts['services']['console']}")
    for door in opened:
        screen.statement(f"  {door.who}: {door.link}" if door.link else f"  {door.who}: sign in with {door.email}")
    mailbox = parts.get("mailbox_url", "your mail server")
    screen.statement(
        "Each link works once, within 15 minutes; open the second one in a private window. Later, request another link in the console: "
        f"the addresses are {' and '.join(door.email for door in opened)}, and the e-mails are at {mailbox}"
    )


async def _until_asked_to_stop(stack: "LocalStack", screen: Screen) -> None:
    """Wait for Ctrl-C or SIGTERM. Another one kills what does not stop."""
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            stack.supervisor.kill_everything()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    screen.statement("The stack stays up. Press Ctrl-C to end everything.")
    await stop.wait()


def _own_corner() -> dict[str, str]:
    """Return prefixes of topics and databases for a broker or server of the user's own, so that nothing there is touched."""
    if not any(name in os.environ for name in EXTERNAL):
        return {}
    corner = new_id()[-8:]
    return {"SEATPOOL_KAFKA_TOPIC_PREFIX": f"demo-{corner}-", "SEATPOOL_DATABASE_PREFIX": f"demo_{corner}_"}


async def _start(stack: "LocalStack", screen: Screen) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    started = "Kafka, PostgreSQL, a mailbox, the four services and the console"
    screen.said_now(f"Starting {started}. The first start downloads the jars of Kafka (45 MB).")
    starting = asyncio.create_task(stack.__aenter__())
    try:
        while not starting.done():
            screen.waiting("starting the stack")
            await asyncio.wait({starting}, timeout=0.2)
        await starting
    except BaseException:
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        raise
    parts = "; ".join(f"{name}: {sentence}" for name, sentence in stack.taken.items())
    screen.said_now(f"Ready after {clock.monotonic() - began:.1f} s. {parts}")


async def _perform_on(
    parts: Mapping[str, Any], company: Company, plan: Plan, screen: Screen, keep: Path, *, is_own: bool = True
) -> Closing:
    """Play the story in a stack. `parts` is what its stack.json says; `is_own`: the stack has no other tenants."""
    where = Addresses(urls=parts["services"], operator_secret=parts["operator_secret"])
    outcome = await play(where, company, plan, screen)
    token = await fetch_token(where, tenant=None, rights=ALL_RIGHTS, ttl_seconds=TOKEN_SECONDS)
    async with Rest(Addresses(where.urls, token)) as rest:
        stage = Stage(rest, outcome.tenant, screen)
        await stage.until_idle()
        mailbox = parts.get("mailbox_url", "")
        delivered = len(await read_mailbox(mailbox)) if mailbox and is_own else None
        closing = close(await ask_everybody(stage), outcome.snapshots[-1], plan, delivered)
        screen.waiting("replaying the command log")
        closing = closing.with_difference(await _replay_differs(parts, None if is_own else outcome.tenant))
        _show_closing(screen, closing, await save(stage, outcome.snapshots, mailbox if is_own else "", keep))
    return closing


async def _replay_differs(parts: Mapping[str, Any], tenant: str | None) -> str | None:
    """Let the verifier of seats decide the whole log again and compare the result with the live table. None: nothing differs."""
    environment = {**os.environ, **kafka_environment(parts), "SEATPOOL_LOG_LEVEL": "WARNING"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.seats", "verify", *(("--tenant", tenant) if tenant else ())),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode == 0:
        return None
    said = " / ".join(output.decode(errors="replace").strip().splitlines()[-3:])
    return f"replay of the command log (exit code {process.returncode}): {said}"


def _show_closing(screen: Screen, closing: Closing, saved: dict[str, str]) -> None:
    screen.console.print()
    screen.statistics(closing.by_service)
    lines = [f"[bold]{escape(name)}[/]: {escape(path)}" for name, path in saved.items()]
    screen.panel("files of this demo", lines)
    if closing.differences:
        screen.panel("statistics differ", [escape(text) for text in closing.differences], style="bold red")
    else:
        screen.said("Every service, the mailbox and a replay of the command log agree.")


def _keep_logs(stack: "LocalStack", keep: Path) -> None:
    """Copy the logs: their folder is deleted with the stack."""
    shutil.copytree(stack.state.folder / "logs", keep / "logs", dirs_exist_ok=True)


def _last_words(stack: "LocalStack", keep: Path) -> str:
    """Return the last log line above INFO of each service."""
    lines: list[str] = []
    for path in sorted((stack.state.folder / "logs").glob("*.log")):
        loud = [line for line in path.read_text(errors="replace").splitlines() if any(word in line for word in LOUD)]
        lines += [f"{path.stem}: {line[:LINE_MAX]}" for line in loud[-3:]]
    return "\n          ".join([f"All logs are in {keep / 'logs'}. The services' last errors:", *lines[-TAIL_LINES:]])

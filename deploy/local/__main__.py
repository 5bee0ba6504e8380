"""`python -m deploy.local`: the local stack in the foreground until Ctrl-C. The same as `seatpool run`."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import structlog
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.process import end_with_make
from deploy.local.settings import StackSettings, StateSettings
from deploy.local.stack import SERVICES, LocalStack, Service
from deploy.local.state import AlreadyRunning, OldState
from deploy.local.supervisor import StartFailed
from deploy.local.tools import ToolsMissing


def chosen_services() -> list[Service]:
    chosen = StackSettings.read(os.environ).local_services
    return [service for service in SERVICES if chosen is None or service.name in chosen.split(",")]


async def run(console: Console, folder: Path) -> None:
    """Run the stack. Return after the first SIGINT, SIGTERM or SIGHUP, when everything has ended; a second one ends everything at once."""
    stop = asyncio.Event()
    stack = LocalStack(folder, services=chosen_services(), console=console)

    def asked_to_stop() -> None:
        again = stop.is_set()
        stop.set()  # first: the terminal may be gone, and nothing can be printed
        if again:
            stack.supervisor.kill_everything()
        else:
            console.print("Stopping the parts in reverse order. Press Ctrl-C again to kill them.", style="bold")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop)
    began = loop.time()
    starting = asyncio.create_task(stack.__aenter__())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()  # which ends what was started so far
        await asyncio.wait({starting})
        return
    starting.result()
    try:
        show(console, stack, loop.time() - began)
        await stop.wait()
    finally:
        await stack.__aexit__(None, None, None)
        stopping.cancel()


def show(console: Console, stack: LocalStack, seconds: float) -> None:
    table = Table(title=f"Seatpool is ready ({seconds:.1f} s)", title_style="bold green", show_header=False)
    for name, url in stack.addresses["services"].items():
        table.add_row(name, f"{url}  (for browsers)" if name == "console" else f"{url}/docs")
    for name, sentence in stack.taken.items():
        table.add_row(name, sentence)
    table.add_row("for programs", str(stack.state.stack_file))
    console.print(table)
    console.print("`seatpool token` prints an access token, and `seatpool status` prints these addresses. Press Ctrl-C to stop the stack.")
    if pages := stack.addresses["services"].get("console"):
        console.print(
            f"The console: {pages}\n`seatpool demo --into-running` loads the sample company and prints sign-in links.",
            soft_wrap=True,
        )


def main() -> int:
    """Return the exit code: 0 after a requested stop, 1 if the stack did not start."""
    end_with_make()
    console = Console()
    # The messages of this process go through the labelled logs; logs of shared code would mix with them.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        asyncio.run(run(console, StateSettings().state_dir))
    except (AlreadyRunning, OldState, StartFailed, ToolsMissing, OSError) as error:
        console.print(f"[bold red]The stack did not start.[/] {escape(str(error))}", highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

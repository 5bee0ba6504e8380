"""`seatpool replay`, `verify` and `activate-rules`: tools of the seats service, as processes, because this command imports no service."""

import os
import subprocess
import sys

import typer

from cli.console import run
from cli.rest import kafka_environment, kafka_settings, read_stack, require_broker

ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def seats_tool(name: str, arguments: list[str]) -> int:
    if "--help" not in arguments:
        run(require_broker(kafka_settings()))
    environment = {"SEATPOOL_LOG_LEVEL": "WARNING", **kafka_environment(read_stack()), **os.environ}
    return subprocess.run([sys.executable, "-m", "services.seats", name, *arguments], check=False, env=environment).returncode  # noqa: S603 - our own module


def replay(context: typer.Context) -> None:
    """Rebuild a tenant's seats from the topics alone, up to any position or time, and print or compare them.

    ```
    seatpool replay --tenant acme
    seatpool replay --help
    ```
    """
    raise typer.Exit(seats_tool("replay", context.args))


def verify(context: typer.Context) -> None:
    """Replay every tenant from the topics alone and compare with the live table: exit code 0 when nothing differs.

    ```
    seatpool verify
    seatpool verify --help
    ```
    """
    raise typer.Exit(seats_tool("verify", context.args))


def activate_rules(context: typer.Context) -> None:
    """Have seats decide by another version of the rules from now on. First all workers run a release that knows it.

    ```
    seatpool activate-rules 2
    ```
    """
    raise typer.Exit(seats_tool("activate-rules", context.args))


def add_to(app: typer.Typer) -> None:
    app.command(context_settings=ANY_ARGUMENTS)(replay)
    app.command(context_settings=ANY_ARGUMENTS)(verify)
    app.command("activate-rules", context_settings=ANY_ARGUMENTS)(activate_rules)

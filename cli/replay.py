"""`seatpool replay`, `verify` and `activate-rules` run tools of seats as processes, because this command imports no service."""

import os
import subprocess
import sys

from cli.console import run
from cli.rest import kafka_environment, kafka_settings, read_stack, require_broker


def seats_tool(name: str, arguments: list[str]) -> int:
    run(require_broker(kafka_settings()))
    environment = {"SEATPOOL_LOG_LEVEL": "WARNING", **kafka_environment(read_stack()), **os.environ}
    return subprocess.run([sys.executable, "-m", "services.seats", name, *arguments], check=False, env=environment).returncode  # noqa: S603 - our own module

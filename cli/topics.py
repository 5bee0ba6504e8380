"""`seatpool topics …`: the explicit step that makes every topic, and a look at what is there."""

import typer
from aiokafka.errors import KafkaError
from rich.table import Table

from cli.console import CliError, fail, out, run
from cli.rest import kafka_settings, require_broker
from shared import kafka_acls
from shared.errors import SeatpoolError
from shared.kafka import create_topics
from shared.schemas.topics import HR_EVENTS, HR_TOPIC_NAME, TOPICS, Topic
from shared.settings import KafkaSettings


def create() -> None:
    kafka = kafka_settings()
    made = run(create_on_broker(kafka))
    for topic in TOPICS:
        name = kafka.topic_name(topic)
        out.print(f"{name}: {'[green]created[/]' if name in made else 'exists already'}")


async def create_on_broker(kafka: KafkaSettings, topics: tuple[Topic, ...] = TOPICS) -> list[str]:
    """Return the names of the topics that were created. Raises CliError."""
    await require_broker(kafka)
    try:
        return await create_topics(kafka, topics)
    except (KafkaError, SeatpoolError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise CliError(f"the broker at {kafka.kafka_bootstrap} reported: {said}", "SEATPOOL_KAFKA_BOOTSTRAP names the broker.") from error


def list_topics() -> None:
    kafka = kafka_settings()
    table = Table()
    for column in ("topic", "written by", "read by", "partitions", "kept", "time"):
        table.add_column(column)
    for topic in TOPICS:
        kept = "compacted" if topic.cleanup == "compact" else _days(topic)
        time = "broker's" if topic.log_append_time else "writer's"
        table.add_row(kafka.topic_name(topic), ", ".join(topic.writers), ", ".join(topic.readers), str(kafka.partitions(topic)), kept, time)
    out.print(table)


def acls(bound: list[str]) -> None:
    """Plain text for a shell: nothing is wrapped or coloured."""
    if wrong := [name for name in bound if not HR_TOPIC_NAME.fullmatch(name)]:
        hint = f"Name the part after {HR_EVENTS.name}.; it must match {HR_TOPIC_NAME.pattern}."
        fail(f"{wrong[0]!r} cannot be part of the name of a topic", hint)
    for acl in kafka_acls.acls(kafka_settings(), bound):
        typer.echo(acl.command())


def _days(topic: Topic) -> str:
    return "unlimited" if topic.retention_ms < 0 else f"{topic.retention_ms // (24 * 60 * 60 * 1000)} days"

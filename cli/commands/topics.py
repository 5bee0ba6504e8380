"""`seatpool topics`: the topics and their access-control lists."""

from typing import Annotated

import typer

from cli.commands.options import group

topics = group("Create and list the topics, and print their access-control lists.")


@topics.command()
def create() -> None:
    """Create the missing topics, and check the settings of those that exist. Topics are never created automatically.

    ```
    SEATPOOL_KAFKA_BOOTSTRAP=kafka-1:9092 SEATPOOL_KAFKA_REPLICATION=3 seatpool topics create
    ```
    """
    from cli.topics import create

    create()


@topics.command("list")
def list_topics() -> None:
    """List the topics with their writers, readers and settings."""
    from cli.topics import list_topics

    list_topics()


@topics.command("acls")
def print_acls(
    bound: Annotated[
        list[str] | None,
        typer.Option(help="Also print the lists for the topic hr.events.v1.NAME, to which a source is bound; repeatable."),
    ] = None,
) -> None:
    """Print the access-control lists of the broker as commands of Kafka's own tool. This command does not contact the broker.

    Each service has its own user: seatpool-users, seatpool-seats, seatpool-invoicing, seatpool-notifier; seatpool-operator is for the
    command line, seatpool-hr for upstream systems, and seatpool-hr-NAME for a source that is bound to a topic of its own.

    ```
    export BOOTSTRAP=kafka-1:9093 COMMAND_CONFIG=admin.properties
    seatpool topics acls --bound acme | sh
    ```
    """
    from cli.topics import acls

    acls(bound or [])

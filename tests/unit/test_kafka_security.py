"""Who may do what at the broker, and how clients get in: the lists agree with the services, and no protocol becomes another."""

import ssl
from pathlib import Path

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.main import app
from services.invoicing import consumers as invoicing
from services.invoicing.consumers import seats_events, users_events
from services.notifier.consumers import action_log, notifications
from services.seats.engine.faust import app as seats
from services.seats.settings import Settings
from services.users import consumers as users
from services.users.consumers import hr_events
from services.users.consumers import invoicing_events as users_invoicing_events
from services.users.consumers import seats_events as users_seats_events
from shared import kafka_acls
from shared.schemas.topics import HR_EVENTS, SEATS_COMMANDS, TOPICS, hr_topic
from shared.settings import KafkaSettings

OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_the_consumer_of_the_worker_authenticates_like_every_other_client(protocol: str, mechanism: str) -> None:
    """Faust takes SASL without a context for SASL_PLAINTEXT, and no credentials for PLAINTEXT."""
    settings = Settings(
        kafka_security_protocol=protocol,
        kafka_sasl_mechanism=mechanism,
        kafka_sasl_username="seatpool-seats",
        kafka_sasl_password=SecretStr("secret"),
    )
    ours = settings.client_options()
    theirs = credentials_to_aiokafka_auth(seats._credentials(settings))
    assert theirs["security_protocol"] == ours["security_protocol"] == protocol
    for options in (ours, theirs):
        assert isinstance(options.get("ssl_context"), ssl.SSLContext) == protocol.endswith("SSL")
        named = (options.get("sasl_mechanism"), options.get("sasl_plain_username"), options.get("sasl_plain_password"))
        assert named == ((mechanism, "seatpool-seats", "secret") if protocol.startswith("SASL") else (None, None, None))


def test_a_service_may_read_the_topics_and_groups_that_it_reads_and_no_others() -> None:
    read = {
        "users": (*hr_events.HANDLED, *users_seats_events.HANDLED, *users_invoicing_events.HANDLED),
        "invoicing": (*seats_events.HANDLED, *users_events.HANDLED),
        "notifier": notifications.HANDLED,
    }
    assert set(action_log.HANDLED) == set(notifications.HANDLED)
    for role, wanted in read.items():
        assert {topic.name for topic in TOPICS if role in topic.readers} == {topic.name for topic in wanted}
    assert kafka_acls.GROUPS == {
        "users": (users.GROUP,),
        "seats": (seats.APP,),
        "invoicing": (invoicing.GROUP,),
        "notifier": (notifications.GROUP, action_log.GROUP),
    }
    assert {role for topic in TOPICS for role in (*topic.writers, *topic.readers)} == set(kafka_acls.ROLES)


def test_the_lists_name_every_resource_with_the_deployment_s_prefix_and_no_transaction() -> None:
    plain = kafka_acls.acls(KafkaSettings(), ["acme"])
    prefixed = kafka_acls.acls(KafkaSettings(kafka_topic_prefix="eu."), ["acme"])
    assert [acl.names for acl in prefixed] == [tuple(f"eu.{name}" for name in acl.names) for acl in plain]
    assert {(acl.resource, operation) for acl in plain for operation in acl.operations} == {
        *(("topic", operation) for operation in ("Read", "Write", "Describe", "Create", "DescribeConfigs")),
        ("group", "Read"),
    }
    own = [acl for acl in plain if acl.principal == "User:seatpool-hr-acme"]
    assert [(acl.operations, acl.names, acl.prefixed) for acl in own] == [(("Write",), (hr_topic("acme").name,), False)]
    assert {acl.principal for acl in plain if SEATS_COMMANDS.name in acl.names and "Write" in acl.operations} == {
        f"User:seatpool-{role}" for role in ("users", "invoicing", "seats", "operator")
    }


def test_the_command_prints_one_command_of_kafka_s_tool_a_line() -> None:
    result = CliRunner().invoke(app, ["topics", "acls", "--bound", "acme", "--bound", "globex"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines == [acl.command() for acl in kafka_acls.acls(KafkaSettings(), ["acme", "globex"])]
    start = 'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$COMMAND_CONFIG" --add --allow-principal User:seatpool-'
    assert all(line.startswith(start) for line in lines)
    assert f"{start}hr-globex --operation Write --topic hr.events.v1.globex" in lines
    assert f"{start}users --operation Read --topic hr.events.v1. --resource-pattern-type prefixed" in lines
    assert CliRunner().invoke(app, ["topics", "acls", "--bound", "No Name"]).exit_code == 1


def test_the_table_of_topics_for_operators_is_the_list_of_topics() -> None:
    for topic in TOPICS:
        assert f"| `{topic.name}` | {', '.join(topic.writers)} | {', '.join(topic.readers)} |" in OPERATING
    assert f"| `{HR_EVENTS.name}.<name>` | hr-<name>, users | users |" in OPERATING

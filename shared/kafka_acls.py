"""Access-control lists of the broker, made from the list of topics. `seatpool topics acls` prints them, and compose applies them.

Nobody gets a transactional id: an open transaction hides all later records of its partition from all readers. An idempotent producer
needs none. Read and Write imply Describe.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.schemas.topics import HR_EVENTS, SEATS_COMMANDS, TOPICS, hr_topic
from shared.settings import KafkaSettings

# Consumer groups of each service.
GROUPS = {"users": ("users",), "seats": ("seats",), "invoicing": ("invoicing",), "notifier": ("notifier", "notifier-action-log")}
OPERATOR, HR = "operator", "hr"
ROLES = (*GROUPS, OPERATOR, HR)


@dataclass(frozen=True, slots=True)
class Acl:
    """A right: what one principal may do with resources of one kind. `prefixed`: with all resources whose names begin so."""

    principal: str
    operations: tuple[str, ...]
    resource: Literal["topic", "group"]
    names: tuple[str, ...]
    prefixed: bool = False

    def command(self) -> str:
        """Return the command of Kafka's own tool; the caller adds address and configuration."""
        words = ["kafka-acls.sh", '--bootstrap-server "$BOOTSTRAP"', '--command-config "$COMMAND_CONFIG"', "--add"]
        words += [f"--allow-principal {self.principal}", *(f"--operation {operation}" for operation in self.operations)]
        words += [f"--{self.resource} {name}" for name in self.names]
        return " ".join([*words, "--resource-pattern-type prefixed"] if self.prefixed else words)


def principal(role: str) -> str:
    """The user at the broker, as `SEATPOOL_KAFKA_SASL_USERNAME` names it."""
    return f"User:seatpool-{role}"


def acls(kafka: KafkaSettings, bound: Iterable[str] = ()) -> list[Acl]:
    """Return the access-control lists of every role, and of the sources with these topics of their own (`seatpool hr bind`)."""
    own = (f"{kafka.kafka_topic_prefix}{HR_EVENTS.name}.",)
    return [
        *(acl for role in ROLES for acl in _of_role(kafka, role)),
        *(Acl(principal("users"), (operation,), "topic", own, prefixed=True) for operation in ("Read", "Write")),
        # A position that seats states is compared with the end of its commands.
        Acl(principal("notifier"), ("Describe",), "topic", (kafka.topic_name(SEATS_COMMANDS),)),
        Acl(principal(OPERATOR), ("Create", "Describe", "DescribeConfigs"), "topic", tuple(map(kafka.topic_name, TOPICS))),
        Acl(principal(OPERATOR), ("Create", "Describe", "DescribeConfigs"), "topic", own, prefixed=True),
        *(Acl(principal(f"{HR}-{name}"), ("Write",), "topic", (kafka.topic_name(hr_topic(name)),)) for name in bound),
    ]


def _of_role(kafka: KafkaSettings, role: str) -> Sequence[Acl]:
    read = tuple(kafka.topic_name(topic) for topic in TOPICS if role in topic.readers)
    written = tuple(kafka.topic_name(topic) for topic in TOPICS if role in topic.writers)
    groups = tuple(kafka.group_name(group) for group in GROUPS.get(role, ()))
    all_of_them = (
        Acl(principal(role), ("Read",), "topic", read),
        Acl(principal(role), ("Write",), "topic", written),
        Acl(principal(role), ("Read",), "group", groups),
    )
    return [acl for acl in all_of_them if acl.names]

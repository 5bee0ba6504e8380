"""Every topic, declared once. `seatpool topics create` creates them from this list; no broker creates a topic by itself.

Names here are without the deployment's prefix (`KafkaSettings.kafka_topic_prefix`), which is added where the broker is called, so that
event ids and positions are the same in every deployment.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

DAY_MS = 24 * 60 * 60 * 1000
UNLIMITED = -1


class Cleanup(StrEnum):
    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """`partitions` None: as many as the deployment's seats topics (24; 4 in the local stack), fixed for life."""

    name: str
    owner: str  # the service that declares it
    writers: tuple[str, ...]  # roles: the services, `operator` (the command line), `hr` (upstream systems)
    readers: tuple[str, ...]
    source: str | None = None  # the only `ce_source` of its events: its owner's; None: several sources write it
    retention_ms: int = UNLIMITED
    cleanup: Cleanup = Cleanup.DELETE
    log_append_time: bool = False
    partitions: int | None = None
    max_message_bytes: int = 1_048_588
    outbox_fed: bool = True  # may carry a message at two offsets, so readers keep an inbox of its ids
    like: str | None = None  # the name of the topic whose messages this one carries, for one source alone (`hr_topic`)

    def config(self) -> dict[str, str]:
        """The broker's settings for this topic."""
        settings = {
            "cleanup.policy": str(self.cleanup),
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": "LogAppendTime" if self.log_append_time else "CreateTime",
            "max.message.bytes": str(self.max_message_bytes),
            "unclean.leader.election.enable": "false",
            # As the writer compressed it: a broker that unpacks batches runs out of memory on a batch that is too large.
            "compression.type": "producer",
        }
        if self.cleanup is Cleanup.COMPACT:
            # A zombie's late row must be repaired by the owner before the cleaner makes it permanent (docs/decisions/faust.md).
            settings |= {"min.compaction.lag.ms": str(60 * 60 * 1000), "delete.retention.ms": str(DAY_MS)}
            del settings["retention.ms"]
        return settings


HR_EVENTS = Topic("hr.events.v1", owner="upstream", writers=("hr", "users"), readers=("users",), retention_ms=30 * DAY_MS, partitions=4)
USERS_EVENTS = Topic(
    "users.events.v1",
    owner="users",
    writers=("users",),
    readers=("invoicing", "notifier"),
    source="seatpool/users",
    retention_ms=30 * DAY_MS,
    partitions=4,
)
# A decision is a pure function of this log, its times included: the broker stamps them in the order of the log.
SEATS_COMMANDS = Topic(
    "seats.commands.v1",
    owner="seats",
    writers=("users", "invoicing", "seats", "operator"),
    readers=("seats", "operator"),
    log_append_time=True,
)
# Not fed by an outbox: a repeated decision is the same bytes with the same id, and a watermark drops it.
SEATS_EVENTS = Topic(
    "seats.events.v1",
    owner="seats",
    writers=("seats",),
    readers=("seats", "users", "invoicing", "notifier", "operator"),
    source="seatpool/seats",
    outbox_fed=False,
)
INVOICING_EVENTS = Topic(
    "invoicing.events.v1",
    owner="invoicing",
    writers=("invoicing",),
    readers=("users", "notifier"),
    source="seatpool/invoicing",
    partitions=4,
)
# Faust's name for the changelog of table `rows` of app `seats`. A frame is one record batch, 8 MB at most.
SEATS_CHANGELOG = Topic(
    "seats-rows-changelog",
    owner="seats",
    writers=("seats",),
    readers=("seats", "operator"),
    cleanup=Cleanup.COMPACT,
    max_message_bytes=8 * 1024 * 1024,
)

# One source's own topic (`seatpool hr bind`); everything else about it is as of `hr.events.v1`.
HR_TOPIC_NAME = re.compile(r"[a-z0-9-]{1,60}")


def hr_topic(name: str) -> Topic:
    """Return the own topic of the source that is bound to it."""
    assert HR_TOPIC_NAME.fullmatch(name), name
    return replace(HR_EVENTS, name=f"{HR_EVENTS.name}.{name}", like=HR_EVENTS.name)


TOPICS = (HR_EVENTS, USERS_EVENTS, SEATS_COMMANDS, SEATS_EVENTS, INVOICING_EVENTS, SEATS_CHANGELOG)
_NAMED = {topic.name: topic for topic in TOPICS}


def named(name: str) -> Topic:
    """Return the topic of this name. Raises KeyError."""
    prefix, _, own = name.rpartition(".")
    if prefix == HR_EVENTS.name and HR_TOPIC_NAME.fullmatch(own):
        return hr_topic(own)
    return _NAMED[name]

"""The tables of messaging and of REST's idempotency keys, the same in each service's database.

No request of a tenant reads them, so they have no row policy: the relay, the consumer and the operator's list of dead letters work for all
tenants at once.
"""

from typing import Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.engine import Connection

messaging_metadata = MetaData()


def _instant(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else func.now())


# Messages that were committed with their state, and are not yet acknowledged by the broker.
outbox = Table(
    "outbox",
    messaging_metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),  # per key in commit order: drawn under the key's lock
    Column("shard", SmallInteger, nullable=False),  # of the key: a relay's range is a range of shards
    Column("topic", Text, nullable=False),  # without the deployment's prefix
    Column("key", LargeBinary, nullable=False),
    Column("tenant", Text),
    Column("headers", LargeBinary, nullable=False),  # JSON: [[name, value], ...]
    Column("value", LargeBinary, nullable=False),
    _instant("created_at"),
    Index("outbox_tenant", "tenant"),
)

# Ids of messages that were handled, kept 30 days. The same id from another source is another message (CloudEvents).
inbox = Table(
    "inbox",
    messaging_metadata,
    Column("consumer_group", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    _instant("handled_at"),
    Index("inbox_handled_at", "handled_at"),
)

# Where a group reads on. `watermark_*`: the last decision seen on a topic that repeats by position.
consumer_positions = Table(
    "consumer_positions",
    messaging_metadata,
    Column("consumer_group", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("watermark_offset", BigInteger, nullable=False, server_default=text("-1")),
    Column("watermark_n", Integer, nullable=False, server_default=text("-1")),
    _instant("updated_at"),
)

# Messages that could not be processed, with their original bytes, and those of the same tenant that wait behind one. `id` is in the order
# of writing.
dead_letters = Table(
    "dead_letters",
    messaging_metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("consumer_group", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    # So many, from that offset on: equal records without a source and id are kept as one.
    Column("records", Integer, nullable=False, server_default=text("1")),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("tenant", Text),
    Column("type", Text),
    Column("source", Text),
    Column("message_id", Text),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("key", LargeBinary),
    Column("headers", LargeBinary, nullable=False),  # JSON: [[name, base64 of the value or null], ...]
    Column("value", LargeBinary),
    Column("blocks", Boolean, nullable=False),  # the tenant's later messages wait behind it
    Column("status", Text, nullable=False),  # dead_letters.rows.Status
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # of processing it again
    _instant("created_at"),
    _instant("done_at", nullable=True),
    _instant("discarded_at", nullable=True),
    Column("discarded_by", Text),
    Column("discard_reason", Text),
    Index("dead_letters_open", "consumer_group", postgresql_where=text("status = 'open'")),
    Index("dead_letters_ready", "consumer_group", "tenant", postgresql_where=text("status = 'ready'")),
    Index(
        "dead_letters_queue",
        "consumer_group",
        "tenant",
        "id",
        postgresql_where=text("blocks AND status IN ('open', 'waiting', 'ready')"),
    ),
    Index("dead_letters_repeated", "consumer_group", "topic", "source", "message_id"),
    # A batch that is read again after a lost commit writes no dead letter twice.
    Index("dead_letters_once", "consumer_group", "topic", "partition", "record_offset", unique=True),
)

# The first answer to a creating POST, for 24 h.
idempotency_keys = Table(
    "idempotency_keys",
    messaging_metadata,
    Column("tenant", Text, primary_key=True),  # of the path; `-` for a route of no tenant
    Column("subject", Text, primary_key=True),  # of the token: keys of different callers never meet
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # of method, path and body
    Column("status", SmallInteger, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary),  # none: it was too large to keep
    _instant("created_at"),
    Index("idempotency_keys_created_at", "created_at"),
    Index("idempotency_keys_tenant", "tenant", "created_at"),
)


class Operations(Protocol):
    """The part of `alembic.op` that this module uses."""

    def get_bind(self) -> Connection: ...


def create(op: Operations) -> None:
    """Create the tables. The first migration of each service calls it; a later change of the tables is a migration of each service."""
    messaging_metadata.create_all(op.get_bind(), checkfirst=False)
    # Rows live for milliseconds: vacuum after a number of rows, not a share of them, or the relay reads over dead ones.
    op.get_bind().exec_driver_sql("ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)")

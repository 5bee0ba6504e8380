"""Messages in and out of a service that keeps its state in PostgreSQL (design, section 5)."""

from shared.kafka import create_topics, make_producer, partition_of
from shared.messaging.consumer import Consumer
from shared.messaging.message import Handler, Message
from shared.messaging.parking import Parking
from shared.messaging.relay import Relay, unsent

__all__ = ["Consumer", "Handler", "Message", "Parking", "Relay", "create_topics", "make_producer", "partition_of", "unsent"]

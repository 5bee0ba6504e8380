"""Incoming and outgoing messages of a service that keeps its state in PostgreSQL."""

from shared.kafka import create_topics, make_producer, partition_of
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters.service import DeadLetters
from shared.messaging.message import Handler, Message
from shared.messaging.relay import Relay, unsent

__all__ = ["Consumer", "DeadLetters", "Handler", "Message", "Relay", "create_topics", "make_producer", "partition_of", "unsent"]

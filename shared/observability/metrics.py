"""Prometheus metrics that several services share. Names end in their unit."""

from prometheus_client import Counter, Gauge, Histogram

HANDLED = Counter("seatpool_messages_handled", "Messages whose handler ran", ["group", "type"])
SKIPPED = Counter("seatpool_messages_skipped", "Messages that were not handled", ["group", "why"])  # unknown-type | not-wanted | repeated
DEAD_LETTERS = Counter("seatpool_dead_letters_written", "Messages put aside for a person to look at", ["group", "topic", "reason"])
DEAD_LETTERS_OPEN = Gauge("seatpool_dead_letters_open", "Messages that wait for a person to look at", ["group"])
RETRIED = Counter("seatpool_batches_retried", "Batches rolled back after a transient error", ["group"])
BATCH_SECONDS = Histogram(
    "seatpool_batch_seconds",
    "Time of one batch's transaction",
    ["group"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LAG = Gauge("seatpool_consumer_lag_messages", "Messages not yet read", ["group", "topic", "partition"])
HIDDEN = Gauge(
    "seatpool_open_transaction_messages", "Messages that an open transaction hides from their readers", ["group", "topic", "partition"]
)
SENT = Counter("seatpool_outbox_sent", "Outbox rows acknowledged by the broker", ["topic"])
SEND_FAILED = Counter("seatpool_outbox_failed", "Rounds of the relay that failed and are repeated")
OUTBOX_WAITING = Gauge("seatpool_outbox_waiting_rows", "Rows that the broker has not acknowledged")
REQUEST_SECONDS = Histogram("seatpool_http_request_seconds", "Time of one request", ["method", "route", "status"])

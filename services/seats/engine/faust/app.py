"""The Faust app: its settings, and the classes of ours that it is made of."""

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Any

import faust

from services.seats.engine.engine import Engine
from services.seats.engine.failstop import Exit, fail_stop
from services.seats.engine.faust.assignor import SeatsAssignor
from services.seats.engine.faust.consumer import FastLaneTransport, SeatsTransport
from services.seats.engine.faust.tables import SeatsTable, SeatsTables
from services.seats.engine.lane import Lane
from services.seats.settings import Settings

APP = "seats"
NEVER_SECONDS = 1e9


class SeatsApp(faust.App):
    """`engine` and `lane_batch` are what the consumer asks of the app. Set before it starts."""

    engine: Engine
    lane_batch: int  # records that the fast lane hands over together, over all partitions

    def _crash(self, reason: BaseException) -> None:
        if isinstance(reason, asyncio.CancelledError):
            super()._crash(reason)  # asked to stop in the middle of a start
            return
        fail_stop(Exit.CRASH, "Faust gave up", error=repr(reason))


def make_app(settings: Settings, advertised_url: str) -> SeatsApp:
    # Each part of Faust says that it starts and stops, and its recovery in detail; what matters of it the engine says itself.
    # Our classes are services of Faust as well, which it logs under their modules.
    """Return the Faust app with the subclasses of this folder."""
    for name in ("faust", "mode", __package__):
        logging.getLogger(name).setLevel(logging.WARNING)
    app = SeatsApp(
        settings.group_name(APP),
        broker="kafka://" + settings.kafka_bootstrap.replace(",", ";kafka://"),
        broker_credentials=_credentials(settings),
        PartitionAssignor=SeatsAssignor,
        Table=SeatsTable,
        TableManager=SeatsTables,
        topic_partitions=settings.seats_partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        canonical_url=advertised_url,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.seats_session_seconds,
        broker_heartbeat_interval=settings.seats_heartbeat_seconds,
        broker_rebalance_timeout=max(20.0, 2 * settings.seats_session_seconds),
        broker_max_poll_records=None,
        producer_request_timeout=30,
        consumer_auto_offset_reset="none",  # a position outside the topic is an error
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_metadata_max_age_ms=10_000,
        stream_wait_empty=True,
        # Faust looks for progress in streams, which the fast lane goes past: after five minutes it would call each partition with a command
        # under way stalled. The watchdog looks at decisions.
        stream_processing_timeout=NEVER_SECONDS,
        # Faust makes the folder whatever the store; ours writes nothing there, and it does not belong where the worker was started.
        datadir=Path(tempfile.gettempdir()) / "seatpool-faust",
    )
    app.transport = (FastLaneTransport if settings.seats_lane is Lane.FAST else SeatsTransport)(app.conf.broker_consumer, app)
    return app


def _credentials(settings: Settings) -> Any:
    """SASL without an ssl_context silently becomes plaintext in Faust, so the context is always made when the protocol asks for it."""
    options = settings.client_options()
    protocol, context = settings.kafka_security_protocol, options.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=options["sasl_mechanism"],
        ssl_context=context,
    )

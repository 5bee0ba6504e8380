"""Settings of the seats worker."""

from pydantic import Field

from services.seats.engine.lane import Lane
from shared.settings import CommonSettings, KafkaSettings, own_port


class Settings(CommonSettings, KafkaSettings):
    port: int = own_port(8002)
    seats_advertised_url: str = Field(
        "",
        description="Address at which the other workers reach this one; default: http://host:port. Each worker needs its own.",
    )
    seats_lane: Lane = Field(
        Lane.FAST,
        description="fast: the worker takes commands in batches. agent: one by one, from an ordinary Faust agent (slower).",
    )
    seats_round: int = Field(1000, ge=1, description="Maximum number of commands that a worker decides and writes together.")
    seats_frame_rows: int = Field(
        10_000, ge=1, description="Maximum number of rows in a frame. A command that changes more rows is written in parts."
    )
    seats_session_seconds: float = Field(
        10.0, gt=0, description="A worker that sends no heartbeat for this long loses its partitions to the other workers."
    )
    seats_heartbeat_seconds: float = Field(1.0, gt=0, description="Time between two heartbeats of a worker.")
    seats_stall_seconds: float = Field(
        60.0, gt=0, description="A worker exits if commands wait, or it is not ready, and nothing moves for this long."
    )
    seats_idle_tick_seconds: float = Field(
        600.0,
        gt=0,
        description="Maximum time between two ticks to a partition. Keep it far below the changelog's min.compaction.lag.ms.",
    )
    seats_faults: str = Field(
        "",
        description="Only for the chaos run: where the worker exits at random, as `place:probability,…`. Leave it empty in production.",
    )

"""Settings of the seats worker."""

from pydantic import Field

from services.seats.engine.lane import Lane
from shared.settings import CommonSettings, KafkaSettings, own_port


class Settings(CommonSettings, KafkaSettings):
    port: int = own_port(8002)
    seats_advertised_url: str = Field(
        "", description="Address at which the other workers reach this one; default: http://host:port. Each worker needs its own."
    )
    seats_lane: Lane = Field(Lane.FAST, description="fast: record lists past Faust's streams; agent: an ordinary Faust agent.")
    seats_round: int = Field(1000, ge=1, description="Commands that are decided and written together, over all partitions of a worker.")
    seats_frame_rows: int = Field(10_000, ge=1, description="Rows of one frame at most; a command that touches more is written in parts.")
    seats_session_seconds: float = Field(
        10.0, gt=0, description="A worker that is not heard of for so long loses its partitions to the others."
    )
    seats_heartbeat_seconds: float = Field(1.0, gt=0, description="How often a worker tells the group that it lives.")
    seats_stall_seconds: float = Field(
        60.0, gt=0, description="A worker ends when commands wait, or it is not ready, and nothing moves for so long."
    )
    seats_idle_tick_seconds: float = Field(
        600.0, gt=0, description="A tick goes to each partition at least so often, well within the changelog's min.compaction.lag.ms."
    )
    seats_faults: str = Field(
        "", description="For the chaos run only: where to end at random, as `place:probability,…`; empty in production."
    )

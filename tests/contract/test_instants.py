"""An instant in a message: any offset is taken and made UTC, cut to whole milliseconds; a time without an offset is refused."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from shared.schemas.seats_v1 import AssignSeats

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HIRE = AssignSeats(user="u1", revision=1, reason="hired", modules=("time",), created_at=NOON).model_dump_json()


@pytest.mark.parametrize("written", ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.0009Z"])
def test_every_way_to_write_an_instant_is_one_instant_in_utc(written: str) -> None:
    read = AssignSeats.model_validate_json(HIRE.replace("2026-03-01T12:00:00.000Z", written))
    assert read.created_at == NOON
    assert read.created_at.tzinfo is UTC


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        AssignSeats.model_validate_json(HIRE.replace(".000Z", ".000"))

"""Rows of seats for tests."""

from services.seats.domain import Seat, UserRow


def person(seats: dict[str, Seat], *, created_at: int = 0, offset: int = 1) -> UserRow:
    """A person who requires exactly the modules of these seats."""
    return UserRow(
        required=tuple(seats),
        seats=seats,
        revision=1,
        command="c",
        offset=offset,
        created_at=created_at,
        administrator=False,
        priority=0,
        partial=False,
        suspended=False,
        revoked=(),
        flags=(),
        lost=(),
        release=None,
        reduced=(),
    )

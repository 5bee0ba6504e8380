"""The durable state of one command partition: what its changelog has and the broker has acknowledged."""

from dataclasses import dataclass, field

from services.seats.engine.frames import NOTHING, Marker, Row, Rows


@dataclass(slots=True)
class Partition:
    """The durable state. `end` is the changelog offset at which the next frame must land."""

    rows: dict[str, Row] = field(default_factory=dict)
    marker: Marker = NOTHING
    end: int = 0
    foreign: set[bytes] = field(default_factory=set)  # keys to write again before work starts

    def written(self, rows: Rows, marker: Marker, end: int) -> None:
        """Make the rows of an acknowledged frame visible."""
        for key, row in rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.marker, self.end = marker, end

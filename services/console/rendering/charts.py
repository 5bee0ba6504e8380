"""Lines as SVG: the use of a module against its licences, and the forecast. Everything is an attribute or a class, never `style=`.

The lines differ in shape as well as in colour: licences are steps, use is a curve with an area below it, the forecast is dotted, and what
is over the licences is hatched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 20, 34
HEIGHT: Final = 280
WIDE, NARROW = 960, 380
WIDTH_OF_A_DAY_TICK: Final = 120
WIDTH_OF_A_NAME: Final = 90  # of the longest in any language: Verlängerung
_STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Point:
    """The numbers of a day: at its end, and the most that were in use. `use` None: unknown."""

    day: date
    licences: int
    use: int | None


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    value: int


@dataclass(frozen=True, slots=True)
class DayTick:
    at: float
    day: date
    anchor: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line: today, or a renewal."""

    at: float
    day: date
    kind: str
    anchor: str
    is_named: bool  # False: its name would lie on that of the mark before


@dataclass(frozen=True, slots=True)
class Chart:
    """The parts of the picture, in its own units."""

    licences: str
    licences_forecast: str
    use: str
    use_area: str
    use_forecast: str
    over_area: str
    values: Sequence[Tick]
    days: Sequence[DayTick]
    marks: Sequence[Mark]
    width: int
    right: int
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Charts:
    """The same picture for wide screens and for phones, whose letters have the same size."""

    wide: Chart
    narrow: Chart


class _Scale:
    def __init__(self, first: date, last: date, most: int, width: int) -> None:
        self.first, self.last, self.days, self.width = first, last, max(1, (last - first).days), width
        self.step = _nice_step(most)
        self.most = (most // self.step + 1) * self.step  # the highest line has room above it

    def x(self, day: date) -> float:
        return round(LEFT + (self.width - LEFT - RIGHT) * (day - self.first).days / self.days, 1)

    def y(self, value: int) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.most, 1)


def _nice_step(most: int) -> int:
    """Return 1, 2 or 5 times a power of ten, so that there are at most five lines."""
    step, power = 1, 1
    while True:
        for each in _STEPS:
            step = each * power
            if most < step * 5:
                return step
        power *= 10


def charts(history: Sequence[Point], forecast: Sequence[Point], renewals: Sequence[date]) -> Charts | None:
    """Return the pictures; None without any day. `forecast` begins with the last day of the history."""
    if not history and not forecast:
        return None
    wide, narrow = [_chart(history, forecast, renewals, width) for width in (WIDE, NARROW)]
    return Charts(wide, narrow)


def _chart(history: Sequence[Point], forecast: Sequence[Point], renewals: Sequence[date], width: int) -> Chart:
    points = [*history, *forecast]
    first, last = points[0].day, max(points[-1].day, *renewals, points[0].day + timedelta(days=1))
    scale = _Scale(first, last, max(max(each.licences, each.use or 0) for each in points), width)
    used, coming = [each for each in history if each.use is not None], [each for each in forecast if each.use is not None]
    today = history[-1].day if history else first
    return Chart(
        licences=_steps(scale, history),
        licences_forecast=_steps(scale, forecast),
        use=_line(scale, used),
        use_area=_area(scale, used),
        use_forecast=_step_line(scale, [(each.day, each.use or 0) for each in coming]),
        over_area=_over(scale, [each for each in points if each.use is not None]),
        values=[Tick(scale.y(value), value) for value in range(0, scale.most + 1, scale.step)],
        days=_day_ticks(scale),
        marks=_marks(scale, [(today, "now"), *((day, "renewal") for day in renewals if first <= day <= last)]),
        width=width,
        right=width - RIGHT,
    )


def _steps(scale: _Scale, points: Sequence[Point]) -> str:
    return _step_line(scale, [(each.day, each.licences) for each in points])


def _step_line(scale: _Scale, points: Sequence[tuple[date, int]]) -> str:
    if not points:
        return ""
    parts = [f"M{scale.x(points[0][0])} {scale.y(points[0][1])}"]
    for day, value in points[1:]:
        parts.append(f"H{scale.x(day)}V{scale.y(value)}")
    return "".join(parts)


def _line(scale: _Scale, points: Sequence[Point]) -> str:
    return "".join(f"{'L' if n else 'M'}{scale.x(each.day)} {scale.y(each.use or 0)}" for n, each in enumerate(points))


def _area(scale: _Scale, points: Sequence[Point]) -> str:
    if len(points) < 2:
        return ""
    return f"{_line(scale, points)}V{scale.y(0)}H{scale.x(points[0].day)}Z"


def _over(scale: _Scale, points: Sequence[Point]) -> str:
    """Return the area between the licences and a use above them."""
    parts = []
    for one, other in pairwise(points):
        if (one.use or 0) > one.licences:
            top = min(scale.y(one.use or 0), scale.y(one.licences))
            parts.append(f"M{scale.x(one.day)} {top}H{scale.x(other.day)}V{scale.y(one.licences)}H{scale.x(one.day)}Z")
    return "".join(parts)


def _day_ticks(scale: _Scale) -> list[DayTick]:
    first, last, several = scale.first, scale.last, scale.width // WIDTH_OF_A_DAY_TICK
    found = sorted({first + timedelta(days=round(scale.days * n / several)) for n in range(several + 1)})
    return [DayTick(scale.x(day), day, "start" if day == first else "end" if day == last else "middle") for day in found]


def _marks(scale: _Scale, days: Sequence[tuple[date, str]]) -> list[Mark]:
    found: list[Mark] = []
    free = float(LEFT)  # from where on a name has room
    for day, kind in days:
        at = scale.x(day)
        anchor = "end" if at + WIDTH_OF_A_NAME > scale.width else "start"
        start = at - WIDTH_OF_A_NAME if anchor == "end" else at
        found.append(Mark(at, day, kind, anchor, is_named=start >= free))
        free = start + WIDTH_OF_A_NAME if start >= free else free
    return found

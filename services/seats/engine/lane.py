"""The two lanes in which commands come from Faust to the engine. This module imports neither, so that settings can name them."""

from enum import StrEnum


class Lane(StrEnum):
    FAST = "fast"
    AGENT = "agent"

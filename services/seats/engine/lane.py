"""The two ways in which commands get from Faust to the engine. This module imports nothing of them, so that settings can name them."""

from enum import StrEnum


class Lane(StrEnum):
    FAST = "fast"
    AGENT = "agent"

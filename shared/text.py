"""Text of other people, made safe for display."""

import re

# Control characters (a terminal's escape sequences begin with one), line ends, and what turns the direction of the text after it.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


def one_line(text: str) -> str:
    """Return the text without control characters and line ends: a name with a line end could imitate our own text."""
    return " ".join(CONTROL.sub(" ", text).split())

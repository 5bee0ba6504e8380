"""Text of other people, made safe for display."""

import re
import unicodedata

# Control characters (a terminal's escape sequences begin with one), line ends, and what turns the direction of the text after it.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_UNSEEN = ("Cc", "Cf", "M", "Z")  # categories of Unicode
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"  # letters and signs without a shape


def one_line(text: str) -> str:
    """Return the text without control characters and line ends: a name with a line end could imitate our own text."""
    return " ".join(CONTROL.sub(" ", text).split())


def can_be_seen(text: str) -> bool:
    """Tell whether readers see anything of the text: spaces, control and format characters, accents without a letter and fillers do not
    show."""
    return any(not unicodedata.category(each).startswith(_UNSEEN) and each not in _FILLERS for each in text)


def is_unseen_name(text: str) -> bool:
    """Tell whether readers see nothing of a name that is not blank."""
    return bool(text.strip()) and not can_be_seen(text)

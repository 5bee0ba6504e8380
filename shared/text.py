"""Text of other people, made safe for display."""

import re
import unicodedata

# Control characters (a terminal's escape sequences begin with one), line ends, and what turns the direction of the text after it.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_UNSEEN = ("Cc", "Cf", "M", "Z")  # categories of Unicode
_HIDDEN = ("Cc", "Cf", "Zl", "Zp")
# Space, and format characters that belong to the writing of some languages: joiners of Persian, Indic and Mongolian words, signs before
# numbers.
_WRITTEN = frozenset("\t\n\r\u180e\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
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


def has_hidden(text: str) -> bool:
    """Tell whether a text contains what readers do not see and what may mislead them: control characters, and format characters such as
    those that turn the direction of writing. No name of a person, a department or a role may contain it."""
    return not text.isprintable() and any(unicodedata.category(each) in _HIDDEN and each not in _WRITTEN for each in text)

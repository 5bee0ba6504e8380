"""Text of other people, made safe for display."""

import re
import unicodedata
from collections.abc import Iterable

# Control characters (a terminal's escape sequences begin with one), line ends, and what turns the direction of the text after it.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_UNSEEN = ("Cc", "Cf", "M", "Z")  # categories of Unicode
_HIDDEN = ("Cc", "Cf", "Zl", "Zp")
# Space, and format characters that belong to the writing of some languages: joiners of Persian, Indic and Mongolian words, signs before
# numbers.
_WRITTEN = frozenset("\t\n\r\u180e\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# What a login may not have either: spaces that look like the usual one, and marks and letters without a shape of their own.
_SPACES = ("Cc", "Cf", "Zl", "Zp", "Zs")
_WITHOUT_SHAPE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"  # letters and signs without a shape


_MARKS = re.compile('([,"])')


def join_list(values: Iterable[str]) -> str:
    """Return values as one text, separated by commas. One that has a comma or a quotation mark itself is written in quotation marks."""
    return ",".join('"' + value.replace('"', '""') + '"' if _MARKS.search(value) else value for value in values)


def split_list(text: str) -> list[str]:
    """Return the values of a text of `join_list`, and of one that people write, with spaces around its commas."""
    return [unquoted(each) for each in parts_of_list(text)]


def parts_of_list(text: str) -> list[str]:
    """Return the parts of a text between the commas that are not in quotation marks, as they are written."""
    found, quoted = [""], False
    for part in _MARKS.split(text):
        quoted ^= part == '"'
        if part == "," and not quoted:
            found.append("")
        else:
            found[-1] += part
    return found


def unquoted(text: str) -> str:
    """Return the text without spaces and, if it is in quotation marks, without these."""
    text = text.strip()
    return text[1:-1].replace('""', '"').strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


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


def has_unclear(text: str) -> bool:
    """Tell whether a login contains what makes it look like another one: what `has_hidden` finds, joiners, spaces other than the usual one,
    and characters without a shape."""
    if text.isascii():
        return not text.isprintable()
    return _WITHOUT_SHAPE.search(text) is not None or any(each != " " and unicodedata.category(each) in _SPACES for each in text)


def without_unseen(text: str) -> str:
    """Return the text as readers see it: without format characters and those without a shape."""
    if text.isascii():
        return text
    return "".join(each for each in _WITHOUT_SHAPE.sub("", text) if unicodedata.category(each) != "Cf")


HIDDEN_REFUSED = "a text without control characters and invisible characters"
UNCLEAR_REFUSED = "a text without control characters, invisible characters and special spaces"


def plain(text: str) -> str:
    """Return a text of a request that people read. ValueError: it contains what misleads them."""
    if has_hidden(text):
        raise ValueError(f"expected {HIDDEN_REFUSED}")
    return text


def seen(text: str) -> str:
    """Return a name of a request. ValueError: it contains what misleads readers, or nothing that they see; an empty one is right."""
    if text and not can_be_seen(text):
        raise ValueError("expected a name with a character that can be seen")
    return plain(text)


def clear(text: str) -> str:
    """Return a login of a request. ValueError: it may look like another one."""
    if has_unclear(text):
        raise ValueError(f"expected {UNCLEAR_REFUSED}")
    return text

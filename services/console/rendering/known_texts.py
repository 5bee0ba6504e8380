"""Texts of the services, recognised by their templates, in the reader's language."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

Gettext = Callable[[str], str]
_VALUE: Final = re.compile(r"%\((\w+)\)s")


def word_of(code: str, words: Mapping[str, str], gettext: Gettext) -> str:
    """Return the word for a code of a service in the reader's language; the code itself if it is of a later release."""
    return gettext(words[code]) if code in words else code


class KnownTexts:
    """Templates such as `at most %(most)s characters`. `reworded` has those that a page says in other words.

    Of several templates that fit a text, the one with the most words of its own is meant.
    """

    def __init__(self, texts: Sequence[str], reworded: Mapping[str, str]) -> None:
        said = {text: text for text in texts} | dict(reworded)
        longest = sorted(said.items(), key=lambda each: (-len(_VALUE.sub("", each[0])), each[0]))
        self._known = [(_pattern(template), text) for template, text in longest]

    def find(self, text: str, gettext: Gettext) -> str | None:
        """Return the text in the reader's language; None for one that fits no template."""
        for pattern, known in self._known:
            if found := pattern.fullmatch(text):
                return gettext(known) % found.groupdict()
        return None


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("".join(_parts(template)), re.DOTALL)


def _parts(template: str) -> Iterator[str]:
    for place, part in enumerate(_VALUE.split(template)):
        yield f"(?P<{part}>.+?)" if place % 2 else re.escape(part.replace("%%", "%"))

"""The texts of pages and e-mails in several languages. English is in the templates; each other language is one catalogue, `<language>.po`.

The catalogues are read at the start, so there is no build step. `make translations` adds new texts to them.
"""

import io
from collections.abc import Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH: Final = "en"


@cache
def translations_in(folder: Path) -> Mapping[str, NullTranslations]:
    """Return the texts of each language that has a catalogue in the folder, and of English, by the code of the language."""
    found: dict[str, NullTranslations] = {ENGLISH: NullTranslations()}
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            catalogue = read_po(file, locale=path.stem)
        packed = io.BytesIO()
        write_mo(packed, catalogue)
        packed.seek(0)
        found[path.stem] = GNUTranslations(packed)
    return found


def N_(text: str) -> str:  # noqa: N802 - the usual name
    """Mark a text that is translated elsewhere, so that it is in the catalogues."""
    return text

"""Which texts the PDF of a document can show. PDF/A forbids a character that no embedded font has: such a document could not be made."""

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Final

import typst

from services.invoicing.documents.typesetting import CannotTypesetError, to_pdf

_TEMPLATE: Final = Path(__file__).with_name("text.typ")
_ALWAYS: Final = re.compile("[\u0020-\u007e\u00a0-\u024f]*")  # the fonts have all Latin letters
_NAMED: Final = re.compile(r'`"(.+?)"`')
_COMPILING: Final = threading.Lock()


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    return typst.Compiler(_TEMPLATE, font_paths=typst.Fonts(include_system_fonts=False))


@lru_cache(maxsize=64)  # a body that is not valid is checked twice
def first_unprintable(text: str) -> str | None:
    """Return the first character that documents cannot show, or the whole text if no single character is the cause; None if they can show
    all."""
    if _ALWAYS.fullmatch(text):
        return None
    try:
        with _COMPILING:
            to_pdf(_compiler().compile, sys_inputs={"text": text})
    except CannotTypesetError as error:
        named = _NAMED.search(str(error))
        return named[1] if named else text
    return None

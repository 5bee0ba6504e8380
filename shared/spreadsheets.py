"""Cells of CSV files that a spreadsheet takes for text, never for a formula."""

import re
from typing import Final

# A spreadsheet runs a cell that begins with one of these signs (also in full width) as a formula. Where lists are separated by semicolons
# (Excel in German, French or Danish), a cell also begins behind each semicolon, and behind each line end or tab.
_SIGNS: Final = "=+@\uff1d\uff0b\uff0d\uff20-"
_FORMULA: Final = (*_SIGNS, "\t", "\r", "\n")
_FORMULA_BEHIND: Final = re.compile(rf"([;\t\r\n]\s*)(?=[{_SIGNS}])")


def cell(value: str | int | None) -> str | int:
    """Return the value of a cell. An apostrophe before it keeps a spreadsheet from running a text as a formula."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = _FORMULA_BEHIND.sub(r"\1'", value)
    return f"'{text}" if text.startswith(_FORMULA) else text

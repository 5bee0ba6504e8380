"""The texts of the reader of HR files that say what is wrong with a file or with a row, in the reader's language."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from services.console.rendering.known_texts import Gettext, KnownTexts, word_of
from shared.hr_files.company import FIELDS
from shared.translations import N_

# As the reader says them. `tests/unit/test_console_file_texts.py` reads its sources, and fails if one is missing.
TEXTS: Final[Sequence[str]] = (
    # Of a cell.
    N_("at most %(most)s characters expected (got %(given)s)"),
    N_("a text without control characters and invisible characters expected"),
    N_("a text without control characters, invisible characters and special spaces expected"),
    N_("an id expected (the cell is empty)"),
    N_("an id without quotes, line ends, control characters and invisible characters expected"),
    N_("a spreadsheet has rounded this number; format the column as text and export it again (got %(given)s)"),
    N_("a spreadsheet could not compute this cell; correct its formula and export it again (got %(given)s)"),
    N_("1 or 0, true or false, yes or no expected (got %(given)s)"),
    N_("a date before the year %(year)s expected (got %(given)s); only an end can be that late"),
    N_("%(given)s is no date; leave the cell empty where there is none"),
    N_("a date expected (the cell is empty)"),
    N_("a date in or after %(year)s expected (got %(given)s)"),
    N_("there is no such day as %(given)s in the order %(order)s"),
    N_("a date such as %(example)s expected (got %(given)s)"),
    N_(
        "a date such as %(example)s expected (got %(given)s); a spreadsheet shows this day number as a date when the column has a date "
        "format"
    ),
    # Of a row.
    N_("the end (%(end)s) is before the start (%(start)s)"),
    N_("the row overlaps the one in line %(line)s (from %(start)s, until %(end)s)"),
    N_("the row overlaps the one in line %(line)s (from %(start)s, without an end)"),
    N_("a quote that begins here ends in line %(line)s, and may have swallowed the rows between"),
    N_("the row has %(given)s columns, and the header has %(named)s"),
    N_("this may be the rest of the row above, which cannot be read"),
    # Of a file.
    N_("%(file)s is larger than %(most)s MB. Split it."),
    N_("%(file)s is a workbook of a spreadsheet, not a CSV file. Save it as CSV (UTF-8)."),
    N_("%(file)s is not encoded as %(encoding)s: byte %(byte)s cannot be read"),
    N_("%(file)s is empty; a header with %(columns)s is expected"),
    N_("%(file)s has more than one column %(columns)s (the header reads: %(header)s). Give each column a name of its own."),
)
REWORDED: Final[Mapping[str, str]] = {
    "value is not a valid email address: %(why)s (got %(given)s)": N_("an e-mail address expected (got %(given)s)"),
    'one of %(kinds)s expected (got %(given)s). Say which of them it is: --kinds "%(value)s=KIND".': N_(
        "one of %(kinds)s expected (got %(given)s). Say under “Kinds” which of them it is, for example %(value)s=employee for your "
        "employees."
    ),
    "a date such as 2026-03-31 (another order: --dates dmy) expected (got %(given)s)": N_(
        "a date such as 2026-03-31 expected (got %(given)s). If the file has another order, choose it under “Dates”."
    ),
    "a date such as 2026-03-31 (another order: --dates dmy) expected (got %(given)s); a spreadsheet shows this day number as a date when "
    "the column has a date format": N_(
        "a date such as 2026-03-31 expected (got %(given)s); a spreadsheet shows this day number as a date when the column has a date "
        "format"
    ),
    "the bytes are not %(encoding)s. %(hint)s": N_("the characters are not %(encoding)s. Save the file as UTF-8, or choose its encoding."),
    "a quote that begins here swallows the rows up to line %(line)s (%(why)s)": N_(
        "a quote that begins here swallows the rows up to line %(line)s"
    ),
    "invalid CSV: %(why)s": N_("the row is no valid CSV"),
    "%(file)s: the header is not valid CSV: %(why)s": N_("%(file)s: the header is no valid CSV"),
    "%(file)s: the header is not %(encoding)s (the header reads: %(header)s). %(hint)s": N_(
        "%(file)s: the header is not %(encoding)s (the header reads: %(header)s). Save the file as UTF-8, or choose its encoding."
    ),
    "%(file)s has no column %(columns)s (the header reads: %(header)s). --columns says which column is which.": N_(
        "%(file)s has no column %(columns)s (the header reads: %(header)s). Say under “Columns” which column is which."
    ),
    "%(file)s has no column %(columns)s (the header reads: %(header)s). --columns says which column is which. The columns must be "
    "separated by commas, semicolons or tabs.": N_(
        "%(file)s has no column %(columns)s (the header reads: %(header)s). Say under “Columns” which column is which. The columns must be "
        "separated by commas, semicolons or tabs."
    ),
    "%(file)s is encoded as UTF-8, not as %(encoding)s. Leave --encoding out.": N_(
        "%(file)s is encoded as UTF-8, not as %(encoding)s. Let the encoding be found out."
    ),
    "%(file)s, line %(line)s, contains zero bytes. If the file is UTF-16 without a byte order mark, add --encoding %(encoding)s. Otherwise "
    "remove them.": N_(
        "%(file)s, line %(line)s, contains zero bytes. If the file is UTF-16 without a byte order mark, choose the encoding %(encoding)s. "
        "Otherwise remove them."
    ),
    "--encoding: one of %(encodings)s expected (got %(given)s)": N_("Encoding: one of %(encodings)s expected (got %(given)s)"),
    "--columns: there is no field %(name)s. The fields are %(fields)s.": N_(
        "Columns: there is no field %(name)s. The fields are %(fields)s."
    ),
    "--columns: %(file)s has no column %(column)s (for the field %(field)s)": N_(
        "Columns: %(file)s has no column %(column)s (for the field %(field)s)"
    ),
    "--columns: %(name)s is named twice": N_("Columns: %(name)s is named twice"),
    "--columns: field=Column expected, separated by commas (got %(given)s). Put a name with a comma in quotation marks.": N_(
        "Columns: field=Column expected, separated by commas (got %(given)s). Put a name with a comma in quotation marks."
    ),
    "--kinds: %(value)s: one of %(kinds)s expected (got %(given)s)": N_("Kinds: %(value)s: one of %(kinds)s expected (got %(given)s)"),
    "--kinds: %(name)s is named twice": N_("Kinds: %(name)s is named twice"),
    "--kinds: Value=kind expected, separated by commas (got %(given)s). Put a name with a comma in quotation marks.": N_(
        "Kinds: Value=kind expected, separated by commas (got %(given)s). Put a name with a comma in quotation marks."
    ),
}
OTHER: Final = N_("The reader of the file says: %(text)s")
_KNOWN: Final = KnownTexts(TEXTS, REWORDED)
_CELLS: Final = re.compile(rf"(?:^|; )({'|'.join(FIELDS)}): ")
SEPARATORS: Final[Mapping[str, str]] = {"comma": N_("comma"), "semicolon": N_("semicolon"), "tab": N_("tab")}
_READ: Final = re.compile(r"(.+): ([\w-]+), separated by (.+?), ([0-9]+) rows(?:; not used: (.+?)(?: and ([0-9]+) more)?)?", re.DOTALL)
_WHOSE: Final = re.compile(r"(.+), line ([0-9]+): nobody can say whose row this is \((.+)\)\. Correct it first\.", re.DOTALL)


def file_text(text: str, gettext: Gettext) -> str:
    """Return why a file cannot be read as a whole. A text that nobody has translated is shown after words of the reader's language."""
    if found := _WHOSE.fullmatch(text):
        values = {"file": found[1], "line": found[2], "why": row_text(found[3], gettext)}
        return gettext(N_("%(file)s, line %(line)s: nobody can say whose row this is (%(why)s). Correct it first.")) % values
    return _KNOWN.find(text, gettext) or gettext(OTHER) % {"text": text}


def read_text(text: str, gettext: Gettext) -> str:
    """Return how a file was read, for example `people.csv: windows-1252, separator: semicolon, rows: 7`."""
    found = _READ.fullmatch(text)
    if found is None:
        return gettext(OTHER) % {"text": text}
    file, encoding, separator, rows, unused, more = found.groups()
    values = {"file": file, "encoding": encoding, "separator": word_of(separator, SEPARATORS, gettext), "rows": rows}
    parts = [gettext(N_("%(file)s: %(encoding)s, separator: %(separator)s, rows: %(rows)s")) % values]
    if more:
        parts.append(gettext(N_("columns that are not used: %(unused)s and %(more)s more")) % {"unused": unused, "more": more})
    elif unused:
        parts.append(gettext(N_("columns that are not used: %(unused)s")) % {"unused": unused})
    return "; ".join(parts)


def row_text(reason: str, gettext: Gettext) -> str:
    """Return what is wrong with a row, for example `start_date: a date expected`. Several of its cells can be wrong."""
    _, *cells = _CELLS.split(reason)
    if not cells:
        return file_text(reason, gettext)
    return "; ".join(f"{name}: {file_text(wrong, gettext).removesuffix('.')}" for name, wrong in zip(cells[::2], cells[1::2], strict=True))

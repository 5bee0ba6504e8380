"""One CSV file: bytes to rows. Encoding and separator are detected or declared; a row that cannot be read says on which line it begins.

A quote that was opened by mistake swallows the rows after it. The reader keeps what each of those lines may have been, so that nobody
whose row is among them is changed.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from shared.hr_files.columns import ColumnMap, FilesUnusable, Layout, locate, repeated

FILE_BYTES_MAX = 50 * 1024 * 1024
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
ENCODINGS = (
    "utf-8", "utf-16-le", "utf-16-be", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1257",
    "iso-8859-1", "iso-8859-2", "iso-8859-15", "mac-roman",
)  # fmt: skip
UTF_8 = "utf-8"
UNUSED_SHOWN = 12
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .xls
PERSON = "employee_id"
_FORMULA = re.compile(r'="(.*)"', re.DOTALL)  # ="000123": so a spreadsheet keeps the zeros
_UNREADABLE = re.compile("[\udc80-\udcff]")  # how bytes that are not of the encoding are kept
_MARK, _END = "\ufeff", "\x1a"  # a byte order mark that was added a second time; the end of a text file, as old systems write it
_HINT = "Save the file as UTF-8, or declare its encoding, for example --encoding windows-1252."


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is well formed: its line and the text of each field that the header has."""

    line: int
    cells: dict[str, str]

    def get(self, name: str) -> str:
        return self.cells.get(name, "")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a row that is not well formed."""

    ids: tuple[str, ...]  # what may be the person's id; the likeliest first, if it is in the first column
    cells: frozenset[str]
    is_whole: bool  # it has as many cells as the header


@dataclass(frozen=True, slots=True)
class Broken:
    """One row, or the rows that an open quote swallowed."""

    line: int
    last_line: int
    rows: int
    reason: str
    lines: tuple[Line, ...]

    def people(self, known: AbstractSet[str], known_shapes: AbstractSet[str]) -> set[str]:
        """Return whose rows these may be; none: nobody can say. `known`: the ids that the good rows have."""
        shapes = known_shapes | {shape(each) for line in self.lines if line.is_whole for each in line.ids}
        found: set[str] = set()
        for line in self.lines:
            alike = {each for each in line.ids if shape(each) in shapes} if shapes else set(line.ids[:1])
            found |= (known & set(line.ids)) or (known & line.cells) | (alike if len(alike) == 1 else set())
        return found


def _plain(cell: str) -> str:
    """Return the text of a cell that was written for a spreadsheet as a formula."""
    cell = cell.strip()
    formula = _FORMULA.fullmatch(cell)
    return formula.group(1).replace('""', '"').strip() if formula else cell


def shape(text: str) -> str:
    """`EMP/0007` and `EMP/12` have one shape: an id that no good row has looks like the others."""
    return re.sub(r"[A-Z]+", "A", re.sub(r"[a-z]+", "a", re.sub(r"\d+", "9", text)))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a file: its columns and its rows."""

    file: str
    encoding: str
    separator: str
    fields: frozenset[str]  # those that the header has
    rows: tuple[Row, ...]
    broken: tuple[Broken, ...]
    blank: int
    unused: tuple[str, ...]  # names of columns

    @property
    def rows_read(self) -> int:
        return len(self.rows) + sum(each.rows for each in self.broken) + self.blank

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.encoding}, separated by {SEPARATORS.get(self.separator, repr(self.separator))}, {self.rows_read} rows"
            + self._unused()
        )

    def _unused(self) -> str:
        """Return the columns without a field: somebody may have expected that they are read."""
        more = f" and {len(self.unused) - UNUSED_SHOWN} more" if len(self.unused) > UNUSED_SHOWN else ""
        return f"; not used: {', '.join(self.unused[:UNUSED_SHOWN])}{more}" if self.unused else ""


def check_encoding(given: str | None) -> str | None:
    """Return the name as ENCODINGS has it. Raises FilesUnusable."""
    if given is None:
        return None
    try:
        wanted = codecs.lookup(given)
    except LookupError:
        wanted = None
    for name in ENCODINGS:
        if wanted is not None and codecs.lookup(name).name == wanted.name:
            return name
    if wanted is not None and wanted.name in ("utf-8-sig", "utf-16"):
        return "utf-8" if wanted.name == "utf-8-sig" else "utf-16-le"
    raise FilesUnusable(f"--encoding: one of {', '.join(ENCODINGS)} expected (got {given!r})")


def read_table(path: Path, layout: Layout, columns: ColumnMap, encoding: str | None) -> Table:
    """Raises FilesUnusable when the file or a column that is required is missing, or when its encoding cannot be the declared one."""
    text, encoding = _decode(path, encoding)
    lines, given = _without_separator_line(list(io.StringIO(text, newline="")))
    separator = given or _separator(lines, layout, columns)
    return _Reading(path.name, lines, separator, layout, columns, encoding, first_line=2 if given else 1).table()


def _decode(path: Path, declared: str | None) -> tuple[str, str]:
    """A mark at the beginning wins over what is declared. Bytes that are no UTF-8 stay as surrogates: they spoil their own row only."""
    if not path.is_file():
        raise FilesUnusable(f"{path.name} is missing in {path.parent}")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise FilesUnusable(f"{path.name} is larger than {FILE_BYTES_MAX // 1024 // 1024} MB. Split it.")
    content = path.read_bytes()
    if content.startswith(WORKBOOKS):
        raise FilesUnusable(f"{path.name} is a workbook of a spreadsheet, not a CSV file. Save it as CSV (UTF-8).")
    marked = next(((mark, name) for mark, name in MARKS if content.startswith(mark)), None)
    mark, encoding = marked or (b"", declared or UTF_8)
    content = content.removeprefix(mark)
    if encoding not in (UTF_8, "utf-16-le", "utf-16-be") and not content.isascii() and _is_utf_8(content):
        raise FilesUnusable(f"{path.name} is encoded as UTF-8, not as {encoding}. Leave --encoding out.")
    try:
        text = content.decode(encoding, "strict" if encoding.startswith("utf-16") else "surrogateescape")
    except UnicodeDecodeError as error:
        raise FilesUnusable(f"{path.name} is not encoded as {encoding}: byte {error.start + len(mark)} cannot be read") from error
    if "\0" in text:
        line = len(list(io.StringIO(text[: text.index("\0") + 1], newline="")))
        guess = "utf-16-be" if content.startswith(b"\0") else "utf-16-le"  # a header begins with a letter of one byte
        raise FilesUnusable(
            f"{path.name}, line {line}, contains zero bytes. If the file is UTF-16 without a byte order mark, add --encoding {guess}. "
            "Otherwise remove them."
        )
    return text.lstrip(_MARK).removesuffix(_END), encoding


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_separator_line(lines: list[str]) -> tuple[list[str], str | None]:
    """Spreadsheets write `sep=;` above the header."""
    first = lines[0].strip().strip('"').lower() if lines else ""
    if first.startswith("sep=") and len(lines[0].strip().strip('"')) <= 5:
        separator = lines[0].rstrip("\r\n").strip('"')[4:] or "\t"
        return lines[1:], separator
    return lines, None


def _separator(lines: Sequence[str], layout: Layout, columns: ColumnMap) -> str:
    """Return the one by which the header has most of the fields, then most columns."""

    def fit(separator: str) -> tuple[int, int]:
        try:
            records = csv.reader(lines, delimiter=separator, strict=True)
            header = next((cells for cells in records if any(cell.strip() for cell in cells)), [])
        except csv.Error:
            return -1, 0
        return len(locate([_plain(cell) for cell in header], layout, columns)), len(header)

    return max(SEPARATORS, key=fit)


@dataclass
class _Reading:
    file: str
    lines: Sequence[str]
    separator: str
    layout: Layout
    columns: ColumnMap
    encoding: str
    first_line: int
    rows: list[Row] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    blank: int = 0
    surplus: int = 0  # columns without a name at the end of each row: some systems end each row with a separator

    def table(self) -> Table:
        csv.field_size_limit(FILE_BYTES_MAX)  # an open quote may swallow the rest of the file; it is named by where it begins
        self.header: list[str] = []
        self.surplus = self._surplus()
        for begin, end, cells, problem in self._records():
            if not any(cell.strip() for cell in cells) and problem is None:
                self.blank += bool(self.header)
            elif not self.header:
                self._take_header(cells, problem)
            elif reason := self._problem(begin, end, cells, problem):
                self._break(begin, end, cells, reason)
            else:
                texts = {name: " ".join(filter(None, (_plain(cells[at]) for at in where))) for name, where in self.where.items()}
                self.rows.append(Row(self._number(begin), texts))
        if not self.header:
            raise FilesUnusable(f"{self.file} is empty; a header with {', '.join(self.layout.required)} is expected")
        found = frozenset(self.where)
        used = {at for where in self.where.values() for at in where}
        unused = tuple(name for at, name in enumerate(self.header) if name and at not in used)
        return Table(self.file, self.encoding, self.separator, found, tuple(self.rows), tuple(self.broken), self.blank, unused)

    def _surplus(self) -> int:
        """Return how many empty cells each row has after those of the header; 0 if it is not the same number in all of them."""
        sizes, header = set[int](), 0
        for _, _, cells, problem in self._records():
            if problem or not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = len(cells)
            elif len(cells) > header and not any(cell.strip() for cell in cells[header:]):
                sizes.add(len(cells) - header)
            else:
                return 0
        return sizes.pop() if len(sizes) == 1 else 0

    def _number(self, index: int) -> int:
        return index + self.first_line

    def _records(self) -> Iterator[tuple[int, int, list[str], str | None]]:
        """Yield each record with the indexes of its first line and of the line after its last, and what is wrong with its syntax."""
        reader = csv.reader(self.lines, delimiter=self.separator, strict=True)
        while True:
            begin = reader.line_num
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield begin, reader.line_num, [], str(error)
            else:
                yield begin, reader.line_num, cells, None

    def _take_header(self, cells: list[str], problem: str | None) -> None:
        if problem:
            raise FilesUnusable(f"{self.file}: the header is not valid CSV: {problem}")
        self.header = [*(" ".join(_plain(cell).split()) for cell in cells), *[""] * self.surplus]
        self.named = max((at for at, name in enumerate(self.header, start=1) if name), default=0)  # those after them may be left out
        reads = f"the header reads: {self.separator.join(self.header)[:500]}".encode("utf-8", "replace").decode()
        if any(map(_UNREADABLE.search, cells)):
            raise FilesUnusable(f"{self.file}: the header is not {self.encoding} ({reads}). {_HINT}")
        if twice := repeated(self.header):
            raise FilesUnusable(f"{self.file} has more than one column {', '.join(twice)} ({reads}). Give each column a name of its own.")
        self.where = locate(self.header, self.layout, self.columns)
        if missing := [name for name in self.layout.required if name not in self.where]:
            named = (f"{name} ({'+'.join(self.columns[name])})" if name in self.columns else name for name in missing)
            raise FilesUnusable(
                f"{self.file} has no column {', '.join(named)} ({reads}). --columns says which column is which."
                + (" The columns must be separated by commas, semicolons or tabs." if len(self.header) == 1 else "")
            )

    def _problem(self, begin: int, end: int, cells: list[str], syntax: str | None) -> str | None:
        last = self._number(end - 1)
        if syntax:
            return (
                f"a quote that begins here swallows the rows up to line {last} ({syntax})" if end - begin > 1 else f"invalid CSV: {syntax}"
            )
        # A field that holds a line end and as many separators as a row has may be two rows and the quotes of two typing errors.
        inside = max((cell.count(self.separator) for cell in cells if "\n" in cell or "\r" in cell), default=-1)
        if inside >= 0 and (len(cells) != len(self.header) or inside >= max(1, len(self.header) - 1)):
            return f"a quote that begins here ends in line {last}, and may have swallowed the rows between"
        if len(cells) not in (self.named, len(self.header)):
            return f"the row has {len(cells)} columns, and the header has {len(self.header)}"
        if self.broken and self.broken[-1].last_line + 1 == self._number(begin) and "".join(self.lines[begin:end]).count('"') % 2:
            return "this may be the rest of the row above, which cannot be read"
        for name, where in self.where.items():
            if any(_UNREADABLE.search(cells[at]) for at in where):
                return f"{name}: the bytes are not {self.encoding}. {_HINT}"
        return None

    def _break(self, begin: int, end: int, cells: list[str], reason: str) -> None:
        texts = [text for text in self.lines[begin:end] if text.strip()]
        if len(cells) == len(self.header) and len(texts) == 1:
            lines = [self._line([_plain(cell) for cell in cells])]
        else:  # each line on its own, without regard to quotes
            lines = [
                self._line([cell.replace('"', "").strip().removeprefix("=") for cell in text.strip("\r\n").split(self.separator)])
                for text in texts
            ]
        self.broken.append(Broken(self._number(begin), self._number(end - 1), len(texts), reason, tuple(lines)))

    def _line(self, cells: list[str]) -> Line:
        """A cell too many or too few moves the id by as many columns."""
        if PERSON not in self.where:
            return Line((), frozenset(), is_whole=False)
        readable = [cell if not _UNREADABLE.search(cell) else "" for cell in cells]
        at, shift = self.where[PERSON][0], len(cells) - len(self.header)
        ids = readable[max(0, at + min(0, shift)) : at + max(0, shift) + 1]
        return Line(tuple(filter(None, ids)), frozenset(readable) - {""}, is_whole=shift == 0)

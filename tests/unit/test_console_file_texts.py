"""Every text about an HR file that cannot be read is in all languages: this test reads the texts in the sources of its reader."""

import ast
import re

from services.console.rendering import file_texts, languages
from shared.hr_files import company, dates, tables
from tests.unit.test_console_field_texts import ROOT, texts_of

# Of the command line: the console reads one file, and no TOML file.
ELSEWHERE = ("_of_toml", "_names", "_read_folder", "_departments", "_employees", "_histories", "_whole", "check", "read_company")
FORMATTED = {
    "_HINT": [tables._HINT],
    "_EXAMPLES[order]": list(dates._EXAMPLES.values()),
    "error.errors(include_url=False)[0]['msg']": ["value is not a valid email address: An email address must have an @-sign."],
    "reads": ["the header reads: name,email"],
    "where": ["people.csv, line 7"],
    "broken.reason": ["the row has 3 columns, and the header has 4"],
    "name": ["email"],
    "form": ["field=Column", "Value=kind"],
    "table": ["columns", "kinds"],
}
OTHER_FORMS = ("--columns: Value=kind", "--kinds: field=Column")  # which the code does not put together
NEVER = ("x", "x: x", "x is missing in x")  # put together from texts of another function, or of a file that nobody has uploaded


def _raised() -> set[str]:
    found: set[str] = set()
    for file in sorted((ROOT / "shared/hr_files").glob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef) and function.name not in ELSEWHERE:
                found |= {text for node in ast.walk(function) for text in _texts(node, function)}
    return {text for text in found if text not in NEVER and not text.startswith(OTHER_FORMS)}


def _texts(node: ast.AST, function: ast.FunctionDef) -> list[str]:
    match node:
        case ast.Call(func=ast.Name(id="FilesUnusable" | "_Unreadable" | "ValueError"), args=[*_, last]):
            return texts_of(last, function, FORMATTED)
        case ast.Return(value=ast.expr() as text) if function.name == "_problem":
            return [] if ast.unparse(text) == "None" else texts_of(text, function, FORMATTED)
    return []


def _shown(text: str, language: str) -> str:
    return file_texts.row_text(text, languages.translations()[language].gettext)


def test_what_is_wrong_with_a_file_is_translated() -> None:
    texts, other = _raised(), languages.translations()["de"].gettext(file_texts.OTHER).partition("%")[0]
    assert len(texts) > 35, "the test has found the texts"
    assert sorted(text for text in texts if other in _shown(text, "de")) == []
    assert [text for text in texts if re.search("--[a-z]", _shown(text, "en"))] == [], "an option of the command line"


def test_each_wrong_cell_of_a_row_is_named_in_german() -> None:
    wrong = "email: value is not a valid email address: no @ (got 'x'); start_date: a date expected (the cell is empty)"
    german = "email: Hier muss eine E-Mail-Adresse stehen (hier steht 'x'); start_date: Das Datum fehlt (die Zelle ist leer)"
    assert set(company.FIELDS) >= {"email", "start_date"}
    assert _shown(wrong, "de") == german
    whose = f"people.csv, line 7: nobody can say whose row this is ({wrong}). Correct it first."
    said = file_texts.file_text(whose, languages.translations()["de"].gettext)
    assert said.startswith(f"people.csv, Zeile 7: Wessen Zeile das ist, kann niemand sagen ({german})")
    assert _shown("a blue moon", "de") == "Die Datei kann so nicht gelesen werden. Meldung: a blue moon"

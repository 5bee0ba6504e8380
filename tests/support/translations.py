"""The catalogues of the console and of the e-mails.

`python -m tests.support.translations` adds new texts to each of them, and removes those that are gone.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from services.console.rendering import languages
from services.notifier.email import rendering

CONSOLE, EMAILS = languages.CATALOGUES, rendering.CATALOGUES
KEYWORDS: dict[str, Any] = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
EXTENSIONS = "jinja2.ext.i18n,jinja2.ext.loopcontrols,jinja2.ext.do"
OPTIONS = {"extensions": EXTENSIONS, "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}


_VALUE = re.compile(r"%(?:\(\w+\)s|%)|%")


def _texts(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        method: Any = "python" if path.suffix == ".py" else babel_extract
        for _, text, _, _ in extract(method, file, KEYWORDS, (), OPTIONS):
            yield text


def all_texts(catalogues: Path) -> Catalog:
    """Return every text of the templates and the code beside a folder of catalogues, without translations."""
    catalogue = Catalog()
    templates = catalogues.parent / "templates"
    for path in [*sorted(templates.rglob("*.html")), *sorted(templates.rglob("*.j2")), *sorted(catalogues.parent.rglob("*.py"))]:
        for text in _texts(path):
            catalogue.add(text)
    return catalogue


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.stem)


def update(path: Path) -> int:
    """Bring a catalogue up to date, and return how many texts it does not translate."""
    found, old = all_texts(path.parent), read(path)
    made = Catalog(locale=path.stem, project="Seatpool", charset="utf-8", fuzzy=False)
    for message in found:
        if message.id:
            before = old.get(message.id if isinstance(message.id, str) else message.id[0])
            made.add(message.id, before.string if before else "")
    written = io.BytesIO()
    write_po(written, made, omit_header=True, sort_output=True, width=0)
    header = f'msgid ""\nmsgstr ""\n"Language: {path.stem}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    path.write_text(header + f'"Plural-Forms: {made.plural_forms}\\n"\n\n' + written.getvalue().decode().strip() + "\n")
    return len(missing(path))


def missing(path: Path) -> list[str]:
    """Return the texts that a catalogue does not translate."""
    catalogue = read(path)
    wanted = [message.id if isinstance(message.id, str) else message.id[0] for message in all_texts(path.parent) if message.id]
    return [text for text in wanted if not _translated(catalogue.get(text))]


def wrong_values(path: Path) -> list[str]:
    """Return the texts whose translations have other values, such as `%(name)s`, than the English text."""
    found = []
    for message in read(path):
        texts, translated = (_forms(each) for each in (message.id, message.string))
        wanted = set().union(*map(_values, texts))
        if any(not _values(text) <= wanted for text in translated) or set().union(*map(_values, translated)) < wanted:
            found.append(texts[0])
    return found


def _forms(text: Any) -> list[str]:
    """Return the singular and the plural, or the only form."""
    return list(text) if isinstance(text, tuple | list) else [text]


def _values(text: str) -> set[str]:
    return set(_VALUE.findall(text))


def _translated(message: Any) -> bool:
    if message is None:
        return False
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


if __name__ == "__main__":
    for catalogue_path in [*sorted(CONSOLE.glob("*.po")), *sorted(EMAILS.glob("*.po"))]:
        print(f"{catalogue_path}: {update(catalogue_path)} texts are not translated")

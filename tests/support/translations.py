"""The catalogues of the console: `python -m tests.support.translations` adds new texts to each of them, and removes those that are gone."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from services.console.rendering.languages import CATALOGUES

CONSOLE = CATALOGUES.parent
KEYWORDS: dict[str, Any] = {"gettext": None, "ngettext": (1, 2), "N_": None}
OPTIONS = {"extensions": "jinja2.ext.i18n,jinja2.ext.loopcontrols", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}


def _texts(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        method: Any = "python" if path.suffix == ".py" else babel_extract
        for _, text, _, _ in extract(method, file, KEYWORDS, (), OPTIONS):
            yield text


def all_texts() -> Catalog:
    """Return every text of the templates and the code, without translations."""
    catalogue = Catalog()
    paths = [*sorted((CONSOLE / "templates").glob("*.html")), *sorted(CONSOLE.rglob("*.py"))]
    for path in paths:
        for text in _texts(path):
            catalogue.add(text)
    return catalogue


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.stem)


def update(path: Path) -> int:
    """Bring a catalogue up to date, and return how many texts it does not translate."""
    found, old = all_texts(), read(path)
    made = Catalog(locale=path.stem, project="Seatpool console", charset="utf-8", fuzzy=False)
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
    wanted = [message.id if isinstance(message.id, str) else message.id[0] for message in all_texts() if message.id]
    return [text for text in wanted if not _translated(catalogue.get(text))]


def _translated(message: Any) -> bool:
    if message is None:
        return False
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


if __name__ == "__main__":
    for catalogue_path in sorted(CATALOGUES.glob("*.po")):
        print(f"{catalogue_path.name}: {update(catalogue_path)} texts are not translated")

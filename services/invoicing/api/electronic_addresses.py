"""Checks of addresses for electronic invoices and of bank accounts."""

import re
from typing import Final

from stdnum import bic, iban
from stdnum.exceptions import ValidationError as NumberError

# Electronic address schemes (EAS) of EN 16931, as its rules of version 1.3.16 list them.
SCHEMES: Final = frozenset(
    (
        "0002", "0007", "0009", "0037", "0060", "0088", "0096", "0097", "0106", "0130", "0135", "0142", "0147", "0151", "0154", "0158",
        "0170", "0177", "0183", "0184", "0188", "0190", "0191", "0192", "0193", "0194", "0195", "0196", "0198", "0199", "0200", "0201",
        "0202", "0203", "0204", "0205", "0208", "0209", "0210", "0211", "0212", "0213", "0215", "0216", "0217", "0218", "0219", "0220",
        "0221", "0225", "0230", "0235", "0240", "0242", "0244", "0245", "0246", "0248", "9910", "9913", "9914", "9915", "9918", "9919",
        "9920", "9922", "9923", "9924", "9925", "9926", "9927", "9928", "9929", "9930", "9931", "9932", "9933", "9934", "9935", "9936",
        "9937", "9938", "9939", "9940", "9941", "9942", "9943", "9944", "9945", "9946", "9947", "9948", "9949", "9950", "9951", "9952",
        "9953", "9957", "9959", "AN", "AQ", "AS", "AU", "EM",
    )
)  # fmt: skip


def checked_electronic_address(value: str) -> str:
    """Return the address `scheme:id` in its normal form. An empty one is none. ValueError: it is wrong."""
    scheme, _, number = value.strip().partition(":")
    scheme, number = scheme.strip().upper(), number.strip()
    if not scheme:
        return ""
    if scheme not in SCHEMES or not re.fullmatch(r"[\x21-\x7e]{1,90}", number):
        raise ValueError("expected a code of the list EAS, a colon and an id, such as 0088:4012345000009 or EM:invoices@acme.example")
    if scheme == "EM" and not re.fullmatch(r"[^@]+@[^@]+", number):
        raise ValueError("expected an e-mail address after EM:")
    return f"{scheme}:{number}"


def checked_iban(value: str) -> str:
    """Return the IBAN without spaces. An empty one is none. ValueError: it is wrong."""
    try:
        return str(iban.validate(value)) if value else ""
    except NumberError as error:
        raise ValueError(f"{value!r} is not an IBAN: {error}") from error


def checked_bic(value: str) -> str:
    """Return the BIC without spaces. An empty one is none. ValueError: it is wrong."""
    try:
        return str(bic.validate(value)) if value else ""
    except NumberError as error:
        raise ValueError(f"{value!r} is not a BIC: {error}") from error

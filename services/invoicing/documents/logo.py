"""The logo of the vendor on PDFs: an SVG picture, sharp at every size, from a file that the vendor gives."""

from pathlib import Path
from typing import Final

import typst

from services.invoicing.documents.typesetting import CannotTypesetError, to_pdf

BYTES_MAX: Final = 100_000  # each PDF contains it
_PAGE: Final = b'#image(bytes(sys.inputs.logo), format: "svg", alt: "logo")'


def read_logo(path: Path) -> str:
    """Read the SVG file. A ValueError says why it cannot be used on documents."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > BYTES_MAX:
        raise ValueError(f"{path} is larger than {BYTES_MAX:,} bytes, and each PDF would contain it")
    try:
        logo = content.decode()
        to_pdf(typst.compile, _PAGE, sys_inputs={"logo": logo})
    except (UnicodeDecodeError, CannotTypesetError) as error:
        raise ValueError(f"{path} is no SVG picture that a PDF can contain: {error}") from None
    return logo

"""Typeset with typst. Text that it cannot typeset is an ordinary error, even where typst itself panics."""

from collections.abc import Callable
from typing import Any, Final, Literal

import typst

STANDARD: Final[Literal["a-3a"]] = "a-3a"


class CannotTypesetError(ValueError):
    """typst cannot make this PDF. The message is what typst says."""


def to_pdf(compile_: Callable[..., Any], *source: object, **inputs: Any) -> bytes:
    """Return the PDF/A that this `compile` of typst makes. Raises CannotTypesetError."""
    try:
        pdf = compile_(*source, format="pdf", pdf_standards=STANDARD, **inputs)
    except typst.TypstError as error:
        raise CannotTypesetError(str(error)) from error
    except BaseException as error:
        # some texts make a library of typst panic; PyO3 raises that past `except Exception`, and has no module to import its class from
        if type(error).__name__ != "PanicException":
            raise
        raise CannotTypesetError(f"typst panicked: {error}") from error
    assert isinstance(pdf, bytes)
    return pdf

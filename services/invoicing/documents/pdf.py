"""Render an invoice's PDF with typst in this process (a few milliseconds, no shell, no browser).

PDF/A-3a: an archive format with tags for screen readers that may carry a structured invoice as an attachment. Fonts are typst's own and
embedded, so that the same document gives the same bytes on every machine.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import typst

TEMPLATE = Path(__file__).with_name("invoice.typ")
STANDARD: Literal["a-3a"] = "a-3a"
LINES_MAX = 5_000  # an invoice with more lines is an error in the data


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False)


def render(document: Mapping[str, Any]) -> bytes:
    """Render the PDF. The same document gives the same bytes: the time in the file is the day of the invoice."""
    assert len(document["lines"]) <= LINES_MAX
    issued = date.fromisoformat(document["issued_on"])
    result = typst.compile(
        TEMPLATE.read_bytes(),
        font_paths=_fonts(),
        format="pdf",
        pdf_standards=STANDARD,
        sys_inputs={"document": json.dumps(document)},
        timestamp=datetime(issued.year, issued.month, issued.day, tzinfo=UTC),
    )
    assert isinstance(result, bytes)
    return result


async def render_aside(document: Mapping[str, Any]) -> bytes:
    """Render in a thread: typst releases the interpreter while it works, so the event loop goes on."""
    return await asyncio.to_thread(render, document)

"""Documents: how many PDF with XML one core makes per second, and the memory of the process.

`python -m tests.bench.documents_bench [--documents 300]`. It measures CPU time, so other work on the machine changes little. The documents
have three modules and are rendered as the job does it, from the stored JSON; the first ones warm the compiler up and do not count.
"""

import argparse
import resource
import sys
import time
from datetime import UTC, date, datetime
from typing import Any

import orjson

from services.invoicing.documents.document import document
from services.invoicing.documents.party import Party
from services.invoicing.documents.pdf import render
from services.invoicing.domain.formats import Format
from tests.support.invoicing_harness import InvoicingHarness

DOCUMENTS, WARM_UP = 300, 10
GOAL_PER_SECOND, MEMORY_MB_MAX = 15, 400
SELLER = Party("Example Software Ltd", "1 Example Street", "D02 AF30", "Dublin", "IE", "IE6388047V", iban="IE29AIBK93115212345678")
BUYER = Party("Acme A/S", "Vesterbrogade 1", "1620", "København V", "DK", "DK13585628")
LANGUAGES = ("en", "da", "de", "no", "sv", "fr")


def stored(count: int, document_format: Format) -> list[bytes]:
    """Return stored documents that differ in number, language and amounts."""
    harness = InvoicingHarness(
        licences={"archive": 4, "documents": 12, "time": 280},
        prices={"archive": 700, "documents": 2000, "time": 1200},
        start=date(2026, 3, 1),
        at=datetime(2026, 3, 1, 8, tzinfo=UTC),
        billed=False,
    )
    (issued,) = harness.invoices
    texts: dict[str, Any] = {"seller": SELLER, "buyer": BUYER, "modules": {}, "charges": (), "document_format": document_format}
    made = []
    for n in range(count):
        numbered = issued.model_copy(update={"number": f"INV-{n:06}"})
        made.append(orjson.dumps(document(numbered, locale=LANGUAGES[n % len(LANGUAGES)], **texts)))
    return made


def measure(count: int, document_format: Format) -> float:
    """Return the documents per second of CPU time."""
    documents = stored(WARM_UP + count, document_format)
    for each in documents[:WARM_UP]:
        render(orjson.loads(each))
    start = time.process_time()
    for each in documents[WARM_UP:]:
        assert render(orjson.loads(each))[1] is not None
    return count / (time.process_time() - start)


def main() -> int:
    """Print the figures; exit with 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    count = parser.parse_args().documents
    found = {each: measure(count, each) for each in Format}
    for document_format, per_second in found.items():
        print(f"{document_format:<16} {per_second:>6.0f} PDF with XML per second and core (goal: {GOAL_PER_SECOND})")
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'memory':<16} {memory_mb:>6.0f} MB (goal: under {MEMORY_MB_MAX})")
    return int(min(found.values()) < GOAL_PER_SECOND or memory_mb >= MEMORY_MB_MAX)


if __name__ == "__main__":
    sys.exit(main())

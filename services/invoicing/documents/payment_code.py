"""The QR code with which a banking app fills in a payment."""

import io

from segno.helpers import make_epc_qr

from services.invoicing.documents.party import Party
from services.invoicing.domain.account import CREDIT_NOTE
from shared.money import to_decimal
from shared.schemas.invoicing_v1 import InvoiceIssued

NAME_MAX = 70  # characters of EPC069-12
AMOUNT_MINOR_MAX = 99_999_999_999


def payment_code(invoice: InvoiceIssued, seller: Party) -> str:
    """Return the code as SVG: that of the European Payments Council for euros. Other currencies, and what is not paid, have none."""
    payable = invoice.kind != CREDIT_NOTE and 0 < invoice.gross_minor <= AMOUNT_MINOR_MAX
    if not (payable and invoice.currency == "EUR" and seller.iban) or invoice.test:
        return ""
    amount = to_decimal(invoice.gross_minor, invoice.currency)
    code = make_epc_qr(name=seller.name[:NAME_MAX], iban=seller.iban, bic=seller.bic or None, amount=amount, text=invoice.number)
    svg = io.BytesIO()
    code.save(svg, kind="svg", border=0, xmldecl=False)
    return svg.getvalue().decode()

"""Invoices whose PDF is not made yet have a row of their own: to look for them among all invoices takes longer with every year."""

from alembic import op

from shared.database.tenancy import protect

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE pdfs_to_make (
            tenant_id text NOT NULL, invoice text NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY,
            PRIMARY KEY (tenant_id, invoice),
            FOREIGN KEY (tenant_id, invoice) REFERENCES invoices
        )
    """)
    op.execute("""
        INSERT INTO pdfs_to_make (tenant_id, invoice)
        SELECT tenant_id, invoice FROM invoices i
        WHERE NOT EXISTS (SELECT FROM invoice_pdfs p WHERE p.tenant_id = i.tenant_id AND p.invoice = i.invoice) ORDER BY place
    """)
    protect(op, "pdfs_to_make")

"""The tables of invoicing, as the migrations make them; a test compares them."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()
INSTANT = DateTime(timezone=True)


modules = Table(
    "modules",
    metadata,
    Column("module", Text),
    Column("name", Text),
    Column("base", Boolean),
    Column("requires", ARRAY(Text)),
)
plans = Table(
    "plans",
    metadata,
    Column("plan", Text),
    Column("version", Integer),
    Column("current", Boolean),
    Column("payload", Text),
)
number_series = Table("number_series", metadata, Column("series", Text), Column("last", BigInteger))
tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text),
    Column("name", Text),
    Column("time_zone", Text),
    Column("locale", Text),
    Column("clock", Text),
    Column("support_contact", Text),
    Column("opened", Boolean),
    Column("test_time", INSTANT),
    Column("advancing_to", INSTANT),
    Column("period", Text),
    Column("last_number", BigInteger),
    Column("created_at", INSTANT),
)
billing_details = Table(
    "billing_details",
    metadata,
    Column("tenant_id", Text),
    Column("version", Text),
    Column("number", Integer),
    Column("company", Text),
    Column("street", Text),
    Column("postcode", Text),
    Column("city", Text),
    Column("country", Text),
    Column("vat_id", Text),
    Column("email", Text),
    Column("tax_category", Text),
    Column("tax_rate_percent", Text),
    Column("changed_at", INSTANT),
)
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("tenant_id", Text),
    Column("subscription", Text),
    Column("status", Text),
    Column("reason", Text),
    Column("payload", Text),
    Column("period_start", Date),
    Column("period_end", Date),
    Column("billed_until", Date),
    Column("created_at", INSTANT),
)
subscription_modules = Table(
    "subscription_modules",
    metadata,
    Column("tenant_id", Text),
    Column("module", Text),
    Column("base", Boolean),
    Column("licences", Integer),
    Column("policies", Text),
    Column("opened", Boolean),
)
pools = Table(
    "pools",
    metadata,
    Column("tenant_id", Text),
    Column("module", Text),
    Column("licences", Integer),
    Column("next_period", Integer),
    Column("partition", Integer),
    Column("command_offset", BigInteger),
    Column("n", Integer),
)
commands = Table(
    "commands",
    metadata,
    Column("tenant_id", Text),
    Column("command", Text),
    Column("kind", Text),
    Column("reference", Text),
    Column("sent_at", INSTANT),
    Column("answer", Text),
    Column("answered_at", INSTANT),
)
quotes = Table(
    "quotes",
    metadata,
    Column("tenant_id", Text),
    Column("quote", Text),
    Column("payload", Text),
    Column("expected", Text),
    Column("created_at", INSTANT),
)
orders = Table(
    "orders",
    metadata,
    Column("tenant_id", Text),
    Column("order", Text),
    Column("quote", Text),
    Column("status", Text),
    Column("reason", Text),
    Column("detail", Text),
    Column("approved_at", INSTANT),
    Column("approved_by", Text),
    Column("decided_at", INSTANT),
    Column("created_at", INSTANT),
)
facts = Table(
    "facts",
    metadata,
    Column("tenant_id", Text),
    Column("place", BigInteger),
    Column("id", Text),
    Column("type", Text),
    Column("payload", Text),
)
charges = Table(
    "charges",
    metadata,
    Column("tenant_id", Text),
    Column("charge", Text),
    Column("place", BigInteger),
    Column("order", Text),
    Column("payload", Text),
)
invoices = Table(
    "invoices",
    metadata,
    Column("tenant_id", Text),
    Column("invoice", Text),
    Column("place", BigInteger),
    Column("series", Text),
    Column("sequence", BigInteger),
    Column("number", Text),
    Column("currency", Text),
    Column("net_minor", BigInteger),
    Column("tax_minor", BigInteger),
    Column("gross_minor", BigInteger),
    Column("payload", Text),
    Column("document", Text),
    Column("issued_at", INSTANT),
)
invoice_charges = Table(
    "invoice_charges",
    metadata,
    Column("tenant_id", Text),
    Column("charge", Text),
    Column("invoice", Text),
)
invoice_pdfs = Table(
    "invoice_pdfs",
    metadata,
    Column("tenant_id", Text),
    Column("invoice", Text),
    Column("pdf", LargeBinary),
    Column("sha256", Text),
    Column("rendered_at", INSTANT),
)
pdfs_to_make = Table(
    "pdfs_to_make",
    metadata,
    Column("tenant_id", Text),
    Column("invoice", Text),
    Column("place", BigInteger),
)

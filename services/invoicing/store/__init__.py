"""Every SQL statement of invoicing: one module for each table or pair of tables."""

from services.invoicing.store import (
    billing_details,
    catalogue,
    charges,
    commands,
    due_actions,
    facts,
    invoices,
    orders,
    pdfs,
    pools,
    quotes,
    reductions,
    statistics,
    subscriptions,
    tenants,
)

__all__ = [
    "billing_details",
    "catalogue",
    "charges",
    "commands",
    "due_actions",
    "facts",
    "invoices",
    "orders",
    "pdfs",
    "pools",
    "quotes",
    "reductions",
    "statistics",
    "subscriptions",
    "tenants",
]

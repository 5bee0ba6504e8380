"""The texts of an invoice in the customer's language, and its PDF."""

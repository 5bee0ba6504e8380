"""What an invoice says, in the customer's language, and its PDF."""

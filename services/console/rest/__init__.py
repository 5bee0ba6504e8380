"""The other services, asked with the reader's own access token."""

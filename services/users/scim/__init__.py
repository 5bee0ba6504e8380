"""SCIM 2.0 (RFC 7643 and 7644). The protocol is that of `scim2-server`; here are its storage and its routes."""

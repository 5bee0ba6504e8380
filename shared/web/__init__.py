"""REST as every service serves it. What needs a database (`idempotency`, `dead_letters`) is imported by its own name: seats has none."""

from shared.web.app import create_app
from shared.web.auth import Principal, Verifier, access, actor_of, authenticated, operator
from shared.web.client import ServiceClient
from shared.web.openapi import refusals
from shared.web.rest import Cursor, IfMatch, Limit, Page, answer, check_if_match, decode_cursor, encode_cursor, etag, mark_of

__all__ = [
    "Cursor",
    "IfMatch",
    "Limit",
    "Page",
    "Principal",
    "ServiceClient",
    "Verifier",
    "access",
    "actor_of",
    "answer",
    "authenticated",
    "check_if_match",
    "create_app",
    "decode_cursor",
    "encode_cursor",
    "etag",
    "mark_of",
    "operator",
    "refusals",
]

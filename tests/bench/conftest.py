"""The fixtures of messaging (see tests/support/messaging.py)."""

from tests.support.messaging import make_empty_database, plain_database, plain_database_url, rig

__all__ = ["make_empty_database", "plain_database", "plain_database_url", "rig"]

"""Fixtures of the tests of messaging and database, and of users (see tests/support); other services' tests have benches of their own."""

from tests.support.messaging import make_empty_database, plain_database, plain_database_url, rig
from tests.support.users import bench

__all__ = ["bench", "make_empty_database", "plain_database", "plain_database_url", "rig"]

"""Fixtures of the tests of security (see tests/support/users.py)."""

from tests.support.users import bench

__all__ = ["bench"]

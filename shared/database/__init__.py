"""PostgreSQL: a unit of work is one transaction in the scope of a tenant, with the messages that it publishes."""

from shared.database.engine import Database
from shared.database.unit_of_work import UnitOfWork

__all__ = ["Database", "UnitOfWork"]

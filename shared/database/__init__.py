"""PostgreSQL: one transaction per unit of work, the messages in it, and the tenant's scope around it."""

from shared.database.engine import Database
from shared.database.unit_of_work import UnitOfWork

__all__ = ["Database", "UnitOfWork"]

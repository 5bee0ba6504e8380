"""Row-level security, the second check beside the `tenant_id` of every statement.

Migrations call `protect` for every table that has a tenant; FORCE makes the policy hold for the table's owner too, and services
connect as a role that is no superuser, so that nobody is above it. Without a scope nothing is visible.
"""

from typing import Protocol

SETTING = "seatpool.tenant"
ERASING = "seatpool.erasing"  # the person who is erased from an append-only table in this transaction
SYSTEM = "*"  # the scope of work for no tenant or for all tenants


class Operations(Protocol):
    """The part of `alembic.op` that this module uses."""

    def execute(self, sqltext: str) -> object: ...


def protect(op: Operations, table: str, column: str = "tenant_id") -> None:
    """Let only rows of the scope's tenant be read, changed or written; in the system's scope, let all.

    The setting is read by a subquery, which PostgreSQL evaluates once for a statement: for each row of a list of 100,000 people, it would
    take as long as the rest of the statement.
    """
    scope = f"(SELECT current_setting('{SETTING}', true))"
    rule = f"{column} = {scope} OR {scope} = '{SYSTEM}'"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant_scope ON {table} USING ({rule}) WITH CHECK ({rule})")

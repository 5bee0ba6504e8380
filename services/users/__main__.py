"""`python -m services.users <role>`."""

from shared.startup import uncollected

with uncollected():
    from services.users.main import ROLES, start
    from services.users.settings import Settings
    from shared.runtime import run_role

run_role("users", ROLES, Settings, start)

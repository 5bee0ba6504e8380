"""`python -m services.console <role>`."""

from shared.startup import uncollected

with uncollected():
    from services.console.main import ROLES, start
    from services.console.settings import Settings
    from shared.runtime import run_role

run_role("console", ROLES, Settings, start)

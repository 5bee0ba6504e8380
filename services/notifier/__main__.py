"""`python -m services.notifier <role>`."""

from shared.startup import uncollected

with uncollected():
    from services.notifier.main import ROLES, start
    from services.notifier.settings import Settings
    from shared.runtime import run_role

run_role("notifier", ROLES, Settings, start)

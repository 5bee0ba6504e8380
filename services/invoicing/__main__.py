"""`python -m services.invoicing <role>`."""

from shared.startup import uncollected

with uncollected():
    from services.invoicing.main import ROLES, start
    from services.invoicing.settings import Settings
    from shared.runtime import run_role

run_role("invoicing", ROLES, Settings, start)

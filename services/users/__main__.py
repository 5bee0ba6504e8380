"""`python -m services.users <role>`."""

from shared.startup import uncollected

with uncollected():
    # First: pydantic searches all modules that are loaded then, for each class of SCIM.
    import services.users.scim.models  # noqa: F401
    from services.users.main import ROLES, start
    from services.users.settings import Settings
    from shared.runtime import run_role

run_role("users", ROLES, Settings, start)

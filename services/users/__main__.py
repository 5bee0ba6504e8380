"""`python -m services.users <role>`."""

import sys

from services.users.main import ROLES, main
from services.users.settings import Settings
from shared.observability import configure_logging
from shared.runtime import run
from shared.settings import load

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
        sys.exit(f"usage: python -m services.users {'|'.join(ROLES)}")
    settings = load(Settings)
    configure_logging("users", settings)
    run(lambda: main(sys.argv[1], settings))

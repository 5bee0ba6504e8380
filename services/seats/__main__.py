"""`python -m services.seats <role>`: worker (decides, serves REST), replay, verify."""

import sys

from services.seats.main import run_worker

ROLES = {"worker": run_worker, "all": run_worker}


def main(arguments: list[str]) -> None:
    role = ROLES.get(arguments[0]) if arguments else None
    if role is None:
        sys.exit(f"usage: python -m services.seats {{{','.join(ROLES)}}}")
    role()


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m services.seats <role>`: worker (decides, serves REST), replay, verify, activate-rules."""

import sys

from shared.startup import uncollected

USAGE = "usage: python -m services.seats {worker,replay,verify,activate-rules}"


def main(arguments: list[str]) -> None:
    role, *rest = arguments or [""]
    if role in ("worker", "all"):
        with uncollected():
            from services.seats.main import run_worker

        run_worker()
    elif role in ("replay", "verify", "activate-rules"):
        with uncollected():
            from services.seats.replay import commands

        {"replay": commands.run_replay, "verify": commands.run_verify, "activate-rules": commands.run_activate}[role](rest)
    else:
        sys.exit(USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m services.seats <role>`: worker (decides, serves REST), replay, verify, activate-rules."""

import sys

USAGE = "usage: python -m services.seats {worker,replay,verify,activate-rules}"


def main(arguments: list[str]) -> None:
    role, *rest = arguments or [""]
    if role in ("worker", "all"):
        from services.seats.main import run_worker

        run_worker()
    elif role in ("replay", "verify"):
        from services.seats import replay

        (replay.run_replay if role == "replay" else replay.run_verify)(rest)
    elif role == "activate-rules":
        from services.seats.rules import run_activate

        run_activate(rest)
    else:
        sys.exit(USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])

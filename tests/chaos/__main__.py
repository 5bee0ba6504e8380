"""`python -m tests.chaos [--seconds 60] [--seed n] [--rate 150] [--lane fast|agent]`: prints one JSON line; exit code 1 on any finding."""

import argparse
import asyncio
import logging
import secrets
import sys
from pathlib import Path

import orjson
import structlog

from tests.chaos.run import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=float, default=150.0, help="commands a second")
    parser.add_argument("--lane", default="fast")
    parser.add_argument("--keep", type=Path, default=None, help="a folder to leave logs and data in")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is away now and then, as it should be
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.stderr.write(f"seed {seed}: again with  make chaos SECONDS={options.seconds:.0f} SEED={seed}\n")
    verdict = asyncio.run(run(seconds=options.seconds, seed=seed, rate=options.rate, keep=options.keep, seats_lane=options.lane))
    sys.stdout.write(orjson.dumps(verdict).decode() + "\n")
    sys.exit(0 if verdict["ok"] else 1)


if __name__ == "__main__":
    main()

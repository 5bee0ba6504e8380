"""Names that the list of commands and the commands share. This module imports nothing, because `--help` reads it."""

from pathlib import Path

SERVICES = ("users", "seats", "invoicing", "notifier")
CONSOLE = "console"  # it has pages instead of REST
# seats has none: it answers every command, and notifier lists those that it rejected.
WITH_DEAD_LETTERS = ("users", "invoicing", "notifier")
ALL_RIGHTS = "account:read account:buy users:read users:manage log:read settings:manage roles:manage operator"
DEMO_KEPT_IN = Path(".seatpool/demo")

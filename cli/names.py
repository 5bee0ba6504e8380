"""What the list of commands names and their work shares. Imports nothing, as `--help` reads it."""

from pathlib import Path

SERVICES = ("users", "seats", "invoicing", "notifier")
PARKING = ("users", "invoicing", "notifier")  # seats parks nothing: it answers every command, and the notifier lists those that it rejected
ALL_RIGHTS = "account:read account:buy users:read users:manage log:read operator"
DEMO_KEPT_IN = Path(".seatpool/demo")

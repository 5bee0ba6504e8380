"""Debian's Chromium for the tests in tests/browser. Playwright's own download is never used."""

import os
import shutil
from typing import Final

import pytest

REQUIRED: Final = "SEATPOOL_BROWSER_REQUIRED"
PATH: Final = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def description() -> str:
    """Return the line about the browser at the start of the tests. Raises UsageError where one is required and missing."""
    if PATH is not None:
        return f"browser: {PATH}"
    if os.environ.get(REQUIRED):
        raise pytest.UsageError(f"{REQUIRED} is set, and there is no Chromium. Install it: apt-get install chromium")
    return "browser: no Chromium is installed, so tests/browser does not run (on Debian: apt-get install chromium)"

"""`seatpool keys …`: the signing keys of access tokens, in the folder that the users processes read."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from cli.console import fail, no_stack, out
from cli.rest import read_stack
from shared.clock import SystemClock
from shared.errors import Refused
from shared.signing_keys import KeyFolder, State, published, signing

VARIABLE = "SEATPOOL_SIGNING_KEYS_FOLDER"
T = TypeVar("T")


def list_keys() -> None:
    keys = _use(KeyFolder.read)
    now = SystemClock().now()
    valid, signs = published(keys, now), signing(keys, now)
    table = Table()
    for column in ("kid", "state", "since (UTC)", "tokens until (UTC)", "published", "signs"):
        table.add_column(column, no_wrap=column == "kid")
    for key in keys:
        until = _shown(key.tokens_until) if key.tokens_until else "-"
        table.add_row(key.kid, key.state, _shown(key.since), until, "yes" if key in valid else "no", "yes" if key is signs else "no")
    out.print(table)


def rotate() -> None:
    now = SystemClock().now()
    promoted = _use(lambda folder: folder.rotate(now))
    out.print(f"{promoted.kid} is the current key. All users processes sign with it 3 seconds after this rotation.")
    for key in _use(KeyFolder.read):
        if key.state is State.PREVIOUS and key.ends > now:
            out.print(f"{key.kid} is published until its last token has expired: {_shown(key.ends)} UTC.")


def revoke(kid: str) -> None:
    now = SystemClock().now()
    revoked = _use(lambda folder: folder.revoke(kid, now))
    if revoked.since < now:
        out.print(f"{kid} was already revoked at {_shown(revoked.since)} UTC.")
        return
    current = next(key.kid for key in _use(KeyFolder.read) if key.state is State.CURRENT)
    out.print(f"{kid} is revoked. All services that can reach users refuse its tokens within 10 seconds.")
    out.print(f"{current} is the current key.")


def _use(work: Callable[[KeyFolder], T]) -> T:
    given = os.environ.get(VARIABLE) or read_stack().get("signing_keys_folder", "")
    if not given:
        fail("the folder of the signing keys is unknown", no_stack(f"set {VARIABLE}"))
    folder = Path(given)
    if not folder.is_dir():
        fail(f"the folder {folder} does not exist", f"Set {VARIABLE} to the folder of users, which creates it at its first start.")
    try:
        return work(KeyFolder(folder))
    except Refused as error:
        fail(error.detail, "`seatpool keys list` shows all keys.")
    except (OSError, ValueError) as error:
        fail(f"the signing keys cannot be read: {error}", "Run this command as the user that runs the users service.")


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"

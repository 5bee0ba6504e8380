"""`seatpool keys`: the keys that sign access tokens."""

from typing import Annotated

import typer

from cli.commands.options import group

keys = group("Manage the keys that sign access tokens, in the folder `SEATPOOL_SIGNING_KEYS_FOLDER` of users.")


@keys.command("list")
def list_keys() -> None:
    """List the signing keys with their states: next, current, previous, revoked.

    ```
    seatpool keys list
    ```
    """
    from cli.keys import list_keys

    list_keys()


@keys.command()
def rotate() -> None:
    """Replace the current signing key by the next one. No token becomes invalid.

    The replaced key is published as `previous` until its last token has expired. While two previous keys have valid tokens, another
    rotation is refused. All users processes sign with the new key 3 seconds after the rotation.

    ```
    seatpool keys rotate
    SEATPOOL_SIGNING_KEYS_FOLDER=/var/lib/seatpool/signing-keys seatpool keys rotate
    ```
    """
    from cli.keys import rotate

    rotate()


@keys.command()
def revoke(kid: Annotated[str, typer.Argument(help="The id of the key that `seatpool keys list` shows.")]) -> None:
    """Revoke a signing key that somebody else may have. Every token that it signed becomes invalid.

    All services that can reach users refuse its tokens within 10 seconds. If it was the current key, the next one replaces it at once.
    You cannot undo this.

    ```
    seatpool keys revoke 20260302-4f3a9c01
    ```
    """
    from cli.keys import revoke

    revoke(kid)

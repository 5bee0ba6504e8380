"""What the console gives to the browser and gets back: the tokens of forms, and texts that only the console can read.

A form's token is bound to the browser, by a random cookie, and to the reader, so a form of another site, another browser or another
reader is refused. It survives the end of the session, so that the input of a form can be sent again after signing in.
"""

import base64
import hmac
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shared.sealed import seal, unseal

FORM: Final = "console form"
NOTICE: Final = "console notice"
FLOW: Final = "console sign-in"
COOKIE_BYTES_MAX: Final = 3_800  # browsers keep 4,096 bytes of a cookie, with its name
_MAC_BYTES: Final = 32
_TEXT_BYTES_MAX: Final = 64 * 1024


class Seals:
    """The keys of the console. The first of them seals."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def token(self, browser: str, reader: str) -> str:
        """Return the token of a form. It looks different each time, because a compressed page must not give it away."""
        mask = secrets.token_bytes(_MAC_BYTES)
        return base64.urlsafe_b64encode(mask + _xor(mask, self._mac(self._keys[0], browser, reader))).decode()

    def fits(self, token: str, browser: str, reader: str) -> bool:
        """Tell whether a form's token is that of this browser and reader."""
        try:
            given = base64.urlsafe_b64decode(token.encode())
        except ValueError:
            return False
        if len(given) != 2 * _MAC_BYTES or not browser:
            return False
        mac = _xor(given[:_MAC_BYTES], given[_MAC_BYTES:])
        return any(hmac.compare_digest(mac, self._mac(key, browser, reader)) for key in self._keys)

    @staticmethod
    def _mac(key: str, browser: str, reader: str) -> bytes:
        return hmac.digest(key.encode(), f"form\n{browser}\n{reader}".encode(), "sha256")

    def seal(self, content: Mapping[str, Any], purpose: str) -> str | None:
        """Return the content as a cookie can hold it; None if it is too long for one, or for `unseal`, however short it gets."""
        text = orjson.dumps(content)
        if len(text) > _TEXT_BYTES_MAX:
            return None
        packed = base64.urlsafe_b64encode(zlib.compress(text, 9)).decode()
        sealed = seal(packed, self._keys[0], purpose)
        return sealed if len(sealed) <= COOKIE_BYTES_MAX else None

    def unseal(self, sealed: str, purpose: str) -> Mapping[str, Any] | None:
        """Return the content; None if it was not sealed for this purpose by this console, or is too long."""
        packed = unseal(sealed, self._keys, purpose) if sealed else None
        if packed is None:
            return None
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(base64.urlsafe_b64decode(packed), _TEXT_BYTES_MAX)
        if unpacker.unconsumed_tail:
            return None
        content = orjson.loads(text)
        assert isinstance(content, dict), "the console sealed it"
        return content


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))

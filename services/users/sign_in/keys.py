"""The signing keys of one users process, read again every 2 s, so that a rotation or a revocation needs no restart."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson
import structlog
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from prometheus_client import Gauge

from shared.clock import Clock
from shared.errors import Transient
from shared.signing_keys import KeyFolder, SigningKey, private_key, published, signing
from shared.web.auth import SIGNING_ALGORITHM

log = structlog.get_logger(__name__)

READ_EVERY_SECONDS: Final = 2
ATTEMPTS_MAX: Final = 3
READ_AT = Gauge("seatpool_users_signing_keys_read_timestamp_seconds", "When this process last read the folder of signing keys")


class SigningKeys:
    """The keys of the folder, as this process has read them."""

    def __init__(self, folder: KeyFolder, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._keys: Sequence[SigningKey] = ()
        self._loaded: dict[str, OKPKey] = {}
        self._public = KeySet([])
        self._document, self._etag = b"", ""

    def open(self) -> None:
        """Read the keys; create the folder and its first keys if it is missing. Raises ValueError, OSError."""
        self._folder.open(self._clock.now())
        for file in self._folder.path.glob("*.json"):
            if file.stat().st_mode & 0o077:
                log.warning("signing_key_readable_by_others", path=str(file))
        self.reload()

    def reload(self) -> None:
        """Read the keys again. Raises ValueError, OSError; then the keys stay as they were."""
        self._keys = self._folder.read()
        READ_AT.set(self._clock.now().timestamp())

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(READ_EVERY_SECONDS)
            try:
                await asyncio.to_thread(self.reload)
            except (OSError, ValueError) as error:
                log.error("signing_keys_not_read", path=str(self._folder.path), error=str(error)[:500])

    def public(self) -> KeySet:
        """Return the published keys; the object stays the same until a key changes."""
        keys = published(self._keys, self._clock.now())
        kids = [key.kid for key in keys]
        if kids != [key.kid for key in self._public.keys]:
            self._public = KeySet([OKPKey.import_key(self._key(key).as_dict(private=False)) for key in keys])
            self._document = orjson.dumps({"keys": [key.as_dict(private=False) for key in self._public.keys]})
            self._etag = f'"{hashlib.sha256(self._document).hexdigest()[:32]}"'
        return self._public

    def document(self) -> tuple[bytes, str]:
        """Return the published keys as JSON, and its ETag."""
        self.public()
        return self._document, self._etag

    def sign(self, claims: dict[str, Any], expires: datetime) -> str:
        """Return a signed token. Raises Transient."""
        for _ in range(ATTEMPTS_MAX):
            key = signing(self._keys, self._clock.now())
            if self._may_sign(key, expires):
                header = {"alg": SIGNING_ALGORITHM, "typ": "JWT", "kid": key.kid}
                return jwt.encode(header, claims, self._key(key), algorithms=[SIGNING_ALGORITHM])
        raise Transient("signing keys: they change faster than they can be read")

    def _may_sign(self, key: SigningKey, expires: datetime) -> bool:
        """Return whether the folder holds the expiry of tokens of this key; if not, the key was revoked, and the folder is read again."""
        if key.tokens_until is not None and expires <= key.tokens_until:
            return True
        try:
            noted = self._folder.note_token(key.kid, expires)
            if noted is None:
                self.reload()
                return False
        except (OSError, ValueError) as error:
            raise Transient(f"signing keys: {error}") from error
        self._keys = [each.model_copy(update={"tokens_until": noted}) if each.kid == key.kid else each for each in self._keys]
        return True

    def _key(self, key: SigningKey) -> OKPKey:
        if key.kid not in self._loaded:
            private = private_key(key).as_dict(private=True)
            self._loaded[key.kid] = OKPKey.import_key(private, {"kid": key.kid, "use": "sig", "alg": SIGNING_ALGORITHM})
        return self._loaded[key.kid]

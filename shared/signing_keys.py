"""The folder of keys that sign access tokens: one file per key, with its state. The users processes read it, `seatpool keys` changes it.

Several processes may use one folder. Each change is made under a lock and in an order that leaves a usable folder after every single
write, and each file is replaced as a whole, so that a reader needs no lock.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared.errors import Conflict, NotFound

LEEWAY: Final = timedelta(seconds=5)  # a verifier accepts a token for this long after its end
SPREAD: Final = timedelta(seconds=3)  # after this every users process has read a change (each reads every 2 s)
PREVIOUS_MAX: Final = 2
HORIZON_SECONDS: Final = 60  # the end of a key's last token is noted in steps of this size, not for each token


class State(StrEnum):
    NEXT = "next"
    CURRENT = "current"
    PREVIOUS = "previous"
    REVOKED = "revoked"


class SigningKey(BaseModel):
    """A file of the folder. A revoked key keeps its file, as a record, without the key itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
    state: State
    since: AwareDatetime = Field(description="It has this state since then.")
    activated: AwareDatetime | None = Field(None, description="When it became the current key.")
    tokens_until: AwareDatetime | None = Field(None, description="No token that it signed is valid after this time.")
    jwk: dict[str, str] | None = Field(None, repr=False, description="The Ed25519 key with its private part; a revoked key has none.")

    @property
    def ends(self) -> datetime:
        """A previous key is published until then: its last token has ended, and no process that has not read the change signs with it."""
        return max(self.since + 2 * SPREAD, (self.tokens_until or self.since) + LEEWAY)


def published(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys that tokens are verified with."""
    return [key for key in keys if key.state is State.CURRENT or (key.state is State.PREVIOUS and key.ends > now)]


def signing(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """The key that signs now: the current one as soon as every process publishes it, until then the one before it."""
    found = sorted(published(keys, now), key=lambda key: key.activated or key.since)
    return next((key for key in reversed(found) if (key.activated or key.since) + SPREAD <= now), found[0])


class KeyFolder:
    """The folder with the keys that sign access tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, now: datetime) -> None:
        """Make the folder and what is missing in it: a current and a next key. Raises ValueError for a file that is no key."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            keys = self._read()
            if not any(key.state is State.CURRENT for key in keys):
                self._promote(keys, now)
            self._provide_next(now)

    def read(self) -> list[SigningKey]:
        """All keys, the oldest first; exactly one is current. Raises ValueError, OSError."""
        keys = self._read()
        if not any(key.state is State.CURRENT for key in keys):
            raise ValueError(f"{self.path} holds no current signing key")
        return keys

    def rotate(self, now: datetime) -> SigningKey:
        """Make the next key current, and the current one previous. Raises Conflict while two previous keys have tokens that are valid."""
        with self._locked():
            keys = self.read()
            previous = [key for key in keys if key.state is State.PREVIOUS]
            living = [key for key in previous if key.ends > now]
            if len(living) >= PREVIOUS_MAX:
                first = min(living, key=lambda key: key.ends)
                raise Conflict(
                    "rotation-too-early",
                    f"{len(living)} previous keys still have valid tokens, and at most {PREVIOUS_MAX} may have. "
                    f"Rotate again after {_shown(first.ends)}, or revoke {first.kid}, which makes its tokens invalid at once.",
                )
            current = next(key for key in keys if key.state is State.CURRENT)
            self._provide_next(now, beside=1)
            promoted = self._promote(keys, now)
            self._write(current.model_copy(update={"state": State.PREVIOUS, "since": now}))
            for key in previous:
                if key not in living:
                    self._file(key.kid).unlink(missing_ok=True)
            return promoted

    def revoke(self, kid: str, now: datetime) -> SigningKey:
        """End a key and all its tokens. The next key replaces the current one at once. Raises NotFound."""
        with self._locked():
            keys = self.read()
            key = next((key for key in keys if key.kid == kid), None)
            if key is None:
                raise NotFound(f"signing key {kid} in {self.path}", "Check its id.")
            if key.state is State.REVOKED:
                return key
            if key.state is State.CURRENT:
                self._promote(keys, now)
            revoked = key.model_copy(update={"state": State.REVOKED, "since": now, "jwk": None})
            self._write(revoked)
            self._provide_next(now)
            return revoked

    def note_token(self, kid: str, until: datetime) -> datetime | None:
        """Note that the key signs a token that is valid until then, before anybody gets it: the time that is noted, or None when the key
        may sign no more. Raises ValueError, OSError."""
        with self._locked():
            file = self._file(kid)
            key = _load(file) if file.exists() else None
            if key is None or key.state not in (State.CURRENT, State.PREVIOUS):
                return None
            if key.tokens_until is not None and key.tokens_until >= until:
                return key.tokens_until
            steps = int(until.timestamp()) // HORIZON_SECONDS + 2
            noted = datetime.fromtimestamp(steps * HORIZON_SECONDS, until.tzinfo)
            self._write(key.model_copy(update={"tokens_until": noted}))
            return noted

    # ------------------------------------------------------------------------------------------------------------- files

    def _read(self) -> list[SigningKey]:
        keys = []
        for file in sorted(self.path.glob("*.json")):
            with suppress(FileNotFoundError):  # a previous key that has ended was removed meanwhile
                keys.append(_load(file))
        keys.sort(key=lambda key: (key.activated or key.since, key.kid))
        current = [key for key in keys if key.state is State.CURRENT]
        # A change that was cut off between its writes leaves two: the later one is current.
        return [key.model_copy(update={"state": State.PREVIOUS}) if key in current[:-1] else key for key in keys]

    def _promote(self, keys: Sequence[SigningKey], now: datetime) -> SigningKey:
        """Make the oldest next key current, or a new one where there is none."""
        following = next((key for key in keys if key.state is State.NEXT), None) or _generate(now)
        promoted = following.model_copy(update={"state": State.CURRENT, "since": now, "activated": now})
        self._write(promoted)
        return promoted

    def _provide_next(self, now: datetime, *, beside: int = 0) -> None:
        if sum(key.state is State.NEXT for key in self._read()) <= beside:
            self._write(_generate(now))

    def _write(self, key: SigningKey) -> None:
        """Readable by its owner alone; there as a whole or not at all, also after a power failure."""
        draft = self.path / f".{key.kid}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file(key.kid))
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _file(self, kid: str) -> Path:
        return self.path / f"{kid}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time: two rotations at once would make two keys current, and a note would bring a revoked key back."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def private_key(key: SigningKey) -> OKPKey:
    """Raises ValueError when it is no private key of Ed25519."""
    found = OKPKey.import_key(dict(key.jwk)) if key.jwk is not None else None
    if found is None or found.curve_name != "Ed25519" or not found.is_private:
        raise ValueError(f"the signing key {key.kid} is no private key of Ed25519")
    return found


def _load(file: Path) -> SigningKey:
    key = SigningKey.model_validate_json(file.read_bytes())
    if key.kid != file.stem:
        raise ValueError(f"{file} holds the key {key.kid}: a file is named after its key")
    if key.state is not State.REVOKED:
        private_key(key)
    return key


def _generate(now: datetime) -> SigningKey:
    kid = f"{now:%Y%m%d}-{secrets.token_hex(4)}"
    jwk = {name: str(value) for name, value in OKPKey.generate_key("Ed25519").as_dict(private=True).items()}
    return SigningKey(kid=kid, state=State.NEXT, since=now, jwk=jwk)


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

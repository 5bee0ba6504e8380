"""The folder of signing keys: rotation, revocation, and what is left when a change is cut off."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from joserfc.jwk import OKPKey
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from cli.main import app
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.tokens import Grant, TokenIssuer
from shared.clock import FixedClock
from shared.errors import Conflict, NotFound, Transient, Unauthenticated
from shared.signing_keys import SPREAD, KeyFolder, SigningKey, State
from shared.web import Verifier

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Keys:
    """A folder, and a users process that reads it at each step."""

    def __init__(self, path: Path) -> None:
        self.clock, self.folder = FixedClock(NOON), KeyFolder(path)
        self.process = SigningKeys(self.folder, self.clock)
        self.process.open()
        self.issuer = TokenIssuer(self.process, {"operator": SecretStr("op")}, 900)
        self.verifier = Verifier(keys=self.process.public, clock=self.clock)

    def after(self, span: timedelta) -> None:
        self.clock.at += span
        self.process.reload()

    def rotate(self) -> None:
        self.clock.at += timedelta(seconds=1)
        self.folder.rotate(self.clock.now())
        self.process.reload()

    def revoke(self, kid: str) -> None:
        self.clock.at += timedelta(seconds=1)
        self.folder.revoke(kid, self.clock.now())
        self.process.reload()

    def token(self, seconds: int = 900) -> str:
        return self.issuer.issue(Grant("operator", "op", scope=("operator",), ttl_seconds=seconds), self.clock.now())[0]

    async def is_valid(self, token: str) -> bool:
        try:
            await self.verifier.verify(token)
        except Unauthenticated:
            return False
        return True

    def kid(self, state: State) -> str:
        (key,) = (key for key in self.folder.read() if key.state is state)
        return key.kid

    @property
    def published(self) -> list[str]:
        return [key["kid"] for key in orjson.loads(self.process.document()[0])["keys"]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def kid_of(token: str) -> str:
    import base64

    header = token.partition(".")[0]
    return str(orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def test_the_folder_is_made_with_a_current_and_a_next_key_for_its_owner_alone(keys: Keys) -> None:
    assert {key.state for key in keys.folder.read()} == {State.CURRENT, State.NEXT}
    assert keys.folder.path.stat().st_mode & 0o777 == 0o700
    files = [*keys.folder.path.iterdir()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len(files) == 3, "two keys and the lock"
    (key,) = orjson.loads(keys.process.document()[0])["keys"]
    assert (key["kty"], key["crv"], key["use"], key["alg"], key["kid"]) == ("OKP", "Ed25519", "sig", "Ed25519", keys.kid(State.CURRENT))
    assert "d" not in key


def test_processes_that_start_at_once_use_the_same_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Keys(tmp_path / "keys").published, range(16)))
    assert len({tuple(kids) for kids in opened}) == 1


async def test_a_rotation_ends_no_token_and_the_new_key_signs_as_soon_as_every_process_publishes_it(keys: Keys) -> None:
    first, before = keys.kid(State.CURRENT), keys.token()
    keys.rotate()
    second = keys.kid(State.CURRENT)
    assert (keys.kid(State.PREVIOUS), keys.published) == (first, [first, second])
    assert kid_of(keys.token()) == first, "another process may not publish the new key yet"
    keys.after(SPREAD)
    after = keys.token()
    assert (kid_of(after), second != first) == (second, True)
    assert await keys.is_valid(before)
    assert await keys.is_valid(after)


async def test_a_previous_key_stays_until_its_last_token_has_ended(keys: Keys) -> None:
    first, token = keys.kid(State.CURRENT), keys.token(600)
    keys.rotate()
    keys.after(timedelta(seconds=603))
    assert await keys.is_valid(token)
    keys.after(timedelta(seconds=130))
    assert keys.published == [keys.kid(State.CURRENT)]
    keys.rotate()
    assert first not in [key.kid for key in keys.folder.read()], "its file goes with the next rotation"


async def test_a_third_rotation_is_refused_while_tokens_of_the_previous_keys_are_valid(keys: Keys) -> None:
    tokens = []
    for _ in range(2):
        tokens.append(keys.token(600))
        keys.rotate()
        keys.after(SPREAD)
    before = keys.published
    with pytest.raises(Conflict, match="Rotate again after 2026-03-02 12:1"):
        keys.rotate()
    assert keys.published == before
    assert [await keys.is_valid(token) for token in tokens] == [True, True]
    keys.after(timedelta(seconds=720))
    keys.rotate()


async def test_the_tokens_of_a_revoked_key_are_refused_and_no_others(keys: Keys) -> None:
    old = keys.token()
    keys.rotate()
    keys.after(SPREAD)
    new = keys.token()
    keys.revoke(kid_of(old))
    assert (await keys.is_valid(old), await keys.is_valid(new)) == (False, True)
    assert kid_of(old) not in keys.published
    content = (keys.folder.path / f"{kid_of(old)}.json").read_text()
    assert "jwk" not in content, "nobody needs it any more"


async def test_the_next_key_replaces_a_revoked_current_one_at_once(keys: Keys) -> None:
    old, following = keys.token(), keys.kid(State.NEXT)
    keys.folder.revoke(kid_of(old), keys.clock.now())  # and the process has not read it yet
    new = keys.token(3600)
    assert kid_of(new) == following == keys.kid(State.CURRENT)
    assert (await keys.is_valid(old), await keys.is_valid(new)) == (False, True)
    assert keys.kid(State.NEXT) not in (kid_of(old), following)


def test_a_next_key_may_be_revoked_and_a_key_twice_but_none_that_is_not_there(keys: Keys) -> None:
    revoked = keys.kid(State.NEXT)
    keys.revoke(revoked)
    keys.after(SPREAD)
    keys.revoke(revoked)
    assert (keys.kid(State.REVOKED), keys.kid(State.NEXT) != revoked) == (revoked, True)
    with pytest.raises(NotFound):
        keys.revoke("made-up")


@pytest.mark.parametrize("change", [Keys.rotate, lambda keys: keys.revoke(keys.kid(State.CURRENT))], ids=["rotate", "revoke"])
async def test_a_change_that_is_cut_off_after_any_write_leaves_a_usable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Keys], None]
) -> None:
    for writes in range(4):
        keys = Keys(tmp_path / f"keys-{writes}")
        token, left = keys.token(), [writes]
        with monkeypatch.context() as patched:
            write = KeyFolder._write

            def cut_off(folder: KeyFolder, key: SigningKey, left: list[int] = left, write: Callable[..., None] = write) -> None:
                if left[0] == 0:
                    raise OSError("no space left on device")
                left[0] -= 1
                write(folder, key)

            patched.setattr(KeyFolder, "_write", cut_off)
            try:
                change(keys)
            except OSError:
                assert await keys.is_valid(token)
        keys.process.reload()
        assert [file.name for file in keys.folder.path.glob(".*")] == []
        restarted = Keys(keys.folder.path)
        assert await restarted.is_valid(restarted.token())
        change(restarted)
        assert await restarted.is_valid(restarted.token())


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"kid": "other"}'])
async def test_a_damaged_folder_leaves_the_keys_as_they_were_and_stops_a_start(keys: Keys, content: bytes) -> None:
    token = keys.token()
    (keys.folder.path / "broken.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"kid|JSON"):
        keys.process.reload()
    assert await keys.is_valid(token)
    assert await keys.is_valid(keys.token(3600)), "one that has to be noted"
    with pytest.raises(ValueError, match=r"kid|JSON"):
        Keys(keys.folder.path)


def test_a_token_that_cannot_be_noted_is_not_given(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_folder: KeyFolder, _key: SigningKey) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(KeyFolder, "_write", full)
    with pytest.raises(Transient, match="no space left"):
        keys.token()


@pytest.mark.parametrize("make", [lambda: OKPKey.generate_key("X25519"), lambda: OKPKey.generate_key("Ed25519", private=False)])
def test_a_key_of_another_kind_is_refused(keys: Keys, make: Callable[[], OKPKey]) -> None:
    found = make()
    jwk = {name: str(value) for name, value in found.as_dict(private=found.is_private).items()}
    key = SigningKey(kid="other", state=State.NEXT, since=NOON, jwk=jwk)
    (keys.folder.path / "other.json").write_text(key.model_dump_json())
    with pytest.raises(ValueError, match="no private key of Ed25519"):
        keys.process.reload()


# ------------------------------------------------------------------------------------------------------------- the command


def seatpool(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", **env})


def test_the_command_lists_rotates_and_revokes(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys")
    folder.open(NOON)
    env = {"SEATPOOL_SIGNING_KEYS_FOLDER": str(folder.path)}
    old = folder.read()[0].kid
    for expected in (0, 0, 1):
        result = seatpool("keys", "rotate", **env)
        assert result.exit_code == expected, result.output
    assert "2 previous keys still have valid tokens" in result.output.replace("\n", " ")
    assert "Traceback" not in result.output
    assert seatpool("keys", "revoke", old, **env).exit_code == 0
    assert "already" in seatpool("keys", "revoke", old, **env).output
    listed = seatpool("keys", "list", **env)
    assert [listed.output.count(f" {state} ") for state in State] == [1, 1, 1, 1]
    unknown = seatpool("keys", "revoke", "made-up", **env)
    assert (unknown.exit_code, "seatpool keys list" in unknown.output) == (1, True)


def test_the_command_says_which_variable_names_the_folder(tmp_path: Path) -> None:
    for env in ({"SEATPOOL_SIGNING_KEYS_FOLDER": ""}, {"SEATPOOL_SIGNING_KEYS_FOLDER": str(tmp_path / "nowhere")}):
        result = seatpool("keys", "list", SEATPOOL_STATE_DIR=str(tmp_path), **env)
        assert result.exit_code == 1
        assert "SEATPOOL_SIGNING_KEYS_FOLDER" in result.output

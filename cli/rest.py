"""The services' REST endpoints as the command uses them: addresses, access token, and problems as one line."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
import stamina

from cli.console import CliError, fail, no_stack
from cli.names import SERVICES
from cli.settings import CliSettings
from shared.settings import KafkaSettings, load
from shared.text import CONTROL

TIMEOUT_SECONDS = 30.0  # a handler waits 10 s at most (`?after=`, `Prefer: wait`), so a longer silence is a fault
ATTEMPTS_MAX = 9
PAGE_ITEMS = 200
CONNECT_SECONDS = 3.0
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a word of RFC 8693
SESSION_TYPE = "urn:seatpool:token-type:session"
TRANSIENT_STATUS = {502, 503, 504}
_TENANT = re.compile(r"^/v1/tenants/([^/]+)")
RETRY_AFTER_SECONDS_MAX = 10  # a 429 that names a longer time is for its reader, not for another attempt


@dataclass(frozen=True, slots=True)
class Addresses:
    """The address of each service's REST, and a token for it, or a session to exchange for tokens. `parts` is the rest of stack.json."""

    urls: Mapping[str, str]
    token: str = ""
    session: str = ""
    operator_secret: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict)


def stack_file() -> Path:
    return load(CliSettings).state_dir / "stack.json"


def read_stack(path: Path | None = None) -> dict[str, Any]:
    """Return what `seatpool run` wrote about the running local stack; {} if none is running."""
    path = path or stack_file()
    if not path.is_file():
        return {}
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        fail(f"{path} cannot be read: {error}", "Remove it, and start the stack again.")
    return found if isinstance(found, dict) else {}


def addresses(path: Path | None = None) -> Addresses:
    """Return the addresses of the settings, or else those of the running local stack."""
    stack, settings = read_stack(path), load(CliSettings)
    session = settings.session.get_secret_value()
    urls = {service: getattr(settings, f"{service}_url") or stack.get("services", {}).get(service, "") for service in SERVICES}
    return Addresses(
        urls={service: url.rstrip("/") for service, url in urls.items()},
        token=settings.token.get_secret_value() or ("" if session else stack.get("token", "")),
        session="" if settings.token.get_secret_value() else session,
        operator_secret=settings.operator_secret.get_secret_value() or stack.get("operator_secret", ""),
        parts=stack,
    )


def kafka_environment(stack: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables with which a process finds that stack's broker; {} if there is none."""
    if not stack.get("kafka_bootstrap"):
        return {}
    return {
        "SEATPOOL_KAFKA_BOOTSTRAP": stack["kafka_bootstrap"],
        "SEATPOOL_KAFKA_TOPIC_PREFIX": stack["kafka_topic_prefix"],
        "SEATPOOL_SEATS_PARTITIONS": str(stack["seats_partitions"]),
    }


def kafka_settings() -> KafkaSettings:
    """Return the settings of the running local stack. Variables that are set take precedence."""
    environment = {**kafka_environment(read_stack()), **os.environ}
    given = {
        name: environment[f"SEATPOOL_{name.upper()}"] for name in KafkaSettings.model_fields if f"SEATPOOL_{name.upper()}" in environment
    }
    return KafkaSettings.model_validate(given)


async def takes_connections(address: str) -> bool:
    """Tell whether `host:port` accepts connections. The default is PostgreSQL's port."""
    host, _, given = address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host or "localhost", int(given or 5432)), CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True


async def require_broker(kafka: KafkaSettings) -> None:
    """Check that a broker answers, before a client that would wait for minutes, as services do at their start. Raises CliError."""
    if not any(await asyncio.gather(*(takes_connections(each.strip()) for each in kafka.kafka_bootstrap.split(",")))):
        hint = no_stack("name another broker with SEATPOOL_KAFKA_BOOTSTRAP")
        raise CliError(f"no broker answers at {kafka.kafka_bootstrap}", hint)


class Rest:
    """`async with Rest(addresses()) as rest: await rest.get("users", "/v1/tenants")`.

    Raises CliError for a refusal, with its problem's own words.
    """

    def __init__(self, where: Addresses, http: httpx.AsyncClient | None = None) -> None:
        self.where = where
        self._token = where.token
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()

    async def get(self, service: str, path: str, **params: Any) -> Any:
        return _body(await self.call("GET", service, path, params={k: v for k, v in params.items() if v is not None}))

    async def pages(self, service: str, path: str, **filters: str | None) -> list[dict[str, Any]]:
        """Return all items of a list that is served in pages."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.get(service, path, limit=PAGE_ITEMS, cursor=cursor, **filters)
            found += page["items"]
            cursor = page.get("next")
            if not cursor:
                return found

    async def put(self, service: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return _body(await self.call("PUT", service, path, json=body, headers=headers))

    async def delete(self, service: str, path: str, headers: Mapping[str, str] | None = None) -> Any:
        return _body(await self.call("DELETE", service, path, headers=headers))

    async def post(self, service: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **arguments: Any) -> Any:
        return _body(await self.call("POST", service, path, json=body, headers=headers, **arguments))

    async def call(self, method: str, service: str, path: str, **arguments: Any) -> httpx.Response:
        """Return the answer of a service. Raises CliError for a refusal."""
        url = self._url(service)
        given = dict(arguments.pop("headers", None) or {})
        response = await self._send(method, f"{url}{path}", headers=await self._authorization() | given, **arguments)
        if response.status_code == httpx.codes.UNAUTHORIZED and self.where.session:
            self._token = ""  # it has ended, as it is valid for five minutes only
            response = await self._send(method, f"{url}{path}", headers=await self._authorization() | given, **arguments)
        if response.is_success:
            return response
        raise refusal(service, response)

    async def stream(self, service: str, path: str, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield a file of a service piece by piece. Raises CliError for a refusal."""
        url, headers = self._url(service), await self._authorization()
        async with self._http.stream("GET", f"{url}{path}", params=dict(params), headers=headers) as response:
            if not response.is_success:
                await response.aread()
                raise refusal(service, response)
            async for piece in response.aiter_bytes():
                yield piece

    def _url(self, service: str) -> str:
        url = self.where.urls.get(service, "")
        if not url:
            raise CliError(
                f"the address of {service} is unknown",
                no_stack(f"set SEATPOOL_{service.upper()}_URL and SEATPOOL_TOKEN"),
            )
        return url

    async def _authorization(self) -> dict[str, str]:
        """Return the header with the token. An operator's session is exchanged for one."""
        if not self._token and self.where.session:
            form = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": SESSION_TYPE, "subject_token": self.where.session}
            response = await self._send("POST", f"{self.where.urls['users']}/v1/token", data=form)
            if not response.is_success:
                hint = "Sign in again: `seatpool operator sign-in EMAIL`, or unset SEATPOOL_SESSION."
                raise CliError("the session in SEATPOOL_SESSION has ended", hint)
            self._token = str(response.json()["access_token"])
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    async def _send(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """Send a request, and retry it with backoff when the service answers 502 to 504 or not at all, because it is starting or has no
        database, or 429, because it has too many requests.

        Creating POSTs carry an Idempotency-Key or derived ids, so a repeat is safe.
        """
        async for attempt in stamina.retry_context(on=(httpx.TransportError, _Unavailable), attempts=ATTEMPTS_MAX, wait_max=3.0):
            with attempt:
                response = await self._http.request(method, url, **arguments)
                if _is_transient(response) and attempt.num < ATTEMPTS_MAX:
                    raise _Unavailable
                return response
        raise AssertionError("stamina either returns or raises")


class _Unavailable(Exception):
    pass


def _is_transient(response: httpx.Response) -> bool:
    if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return response.status_code in TRANSIENT_STATUS
    return int(response.headers.get("retry-after", RETRY_AFTER_SECONDS_MAX + 1)) <= RETRY_AFTER_SECONDS_MAX


def _body(response: httpx.Response) -> Any:
    return _harmless(response.json()) if response.content else None


def _harmless(value: Any) -> Any:
    """Return the value without control characters: texts of other people (a name, the detail of a dead letter) may contain escape
    sequences, which a terminal obeys."""
    match value:
        case str():
            return CONTROL.sub(lambda found: "\N{REPLACEMENT CHARACTER}" * len(found[0]), value)
        case list():
            return [_harmless(item) for item in value]
        case dict():
            return {_harmless(key): _harmless(item) for key, item in value.items()}
        case _:
            return value


def refusal(service: str, response: httpx.Response) -> CliError:
    """Return the problem as `title: detail`, with the name of each wrong field."""
    try:
        problem = _harmless(response.json())
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    text = str(problem.get("detail") or problem.get("title") or _harmless(response.text[:200]) or response.reason_phrase)
    if (tenant := _TENANT.search(response.url.path)) is not None:
        text = text.replace("found no tenant.", f"found no tenant {_harmless(tenant[1])}.")
    text = text.partition(" For each of them, `errors` ")[0]  # they follow
    errors = problem.get("errors") or []
    found = [(str(e.get("field")), str(e.get("expected") or e.get("detail"))) for e in errors if isinstance(e, dict)]
    if fields := "; ".join(f"{field}: {expected}" for field, expected in found if expected not in text):
        text = f"{text} ({fields})"
    hint = (
        "The token has expired or is not valid. `seatpool token` prints a new one."
        if response.status_code == httpx.codes.UNAUTHORIZED
        else ""
    )
    type_ = str(problem.get("type", "")).rpartition(":")[2]
    return CliError(f"{service} answered {response.status_code}: {text}", hint, type_, found, problem.get("running"))

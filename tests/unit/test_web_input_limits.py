"""Input that JSON and URLs can carry and nobody can keep is refused by name, by every application, with an answer that can be written."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI
from hypothesis import given, settings, strategies
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, StrictBool, TypeAdapter, ValidationError

from services.invoicing.api.requests import SubscriptionBody
from services.users.api.hr import _read
from services.users.api.requests import _zone
from services.users.api.statements import read_each
from services.users.domain.facts import problem_of
from shared.errors import Invalid
from shared.schemas.base import Instant
from shared.schemas.faults import first_faults
from shared.schemas.hr_v1 import HrFact, PersonChanged
from shared.settings import CommonSettings
from shared.web import Verifier, authenticated, create_app, input_limits
from shared.web.rest import Day, Moment, decode_cursor, encode_cursor
from tests.support.apps import KEY, bearer

SURROGATE = '"\\ud800"'
WIDE = str(2**64)
CHECKED = [Depends(authenticated)]
LONG = "1" + "0" * 4000


class Thing(BaseModel):
    name: str
    count: int = 0
    flag: StrictBool = False
    day: Day | None = None
    at: Moment | None = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


def make_app() -> FastAPI:
    async def ready() -> bool:
        return True

    app = create_app(title="sample", settings=CommonSettings(), ready=ready, verifier=Verifier(keys=lambda: KeySet([KEY])))

    @app.post("/things", dependencies=CHECKED)
    async def add(thing: Thing) -> dict[str, str]:
        return {"name": thing.name}

    @app.post("/anything", dependencies=CHECKED)
    async def take(body: Annotated[Any, Body()]) -> None: ...

    @app.post("/strict", dependencies=CHECKED)
    async def add_strictly(thing: Strict) -> None: ...

    @app.get("/things/{thing}", dependencies=CHECKED)
    async def show(thing: str, near: str = "", at: Moment | None = None) -> dict[str, str]:
        return {"thing": thing}

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": bearer("acme")}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app()), base_url="http://test", headers=headers) as client:
        yield client


def fields(response: httpx.Response) -> list[str]:
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json"), response.text
    errors: list[dict[str, Any]] = response.json()["errors"]
    assert all(error["expected"] for error in errors)
    return [error["field"] for error in errors]


async def post(client: httpx.AsyncClient, body: str) -> httpx.Response:
    return await client.post("/things", content=body.encode("utf-8", "surrogatepass"), headers={"content-type": "application/json"})


@pytest.mark.parametrize("value", ['"a\\u0000b"', SURROGATE, '"\ud800"', WIDE, "-" + WIDE, LONG, "NaN", "-Infinity", "1e999"])
async def test_values_that_cannot_be_stored_are_refused_by_name(client: httpx.AsyncClient, value: str) -> None:
    assert fields(await post(client, f'{{"name": {value}}}')) == ["body.name"]
    assert fields(await post(client, f'{{"name": "x", "more": [{{"deep": {value}}}]}}')) == ["body.more.0.deep"]


async def test_keys_paths_and_queries_are_checked_like_values(client: httpx.AsyncClient) -> None:
    assert fields(await post(client, '{"name": "x", "more": {"\\u0000": 1}}')) == ["body.more"]
    assert fields(await client.get("/things/a%00b")) == ["path.thing"]
    assert fields(await client.get("/things/a?near=%00&other=%00")) == ["query.near", "query.other"]
    assert (await client.get("/things/%F0%9F%92%A5?near=%ff")).json() == {"thing": "💥"}


async def test_every_value_gets_an_answer(client: httpx.AsyncClient) -> None:
    for body in ("[" * 100_000, '{"a":' * 100_000, LONG + LONG, "{", "\ufeff{}", SURROGATE, WIDE, '"x"', ""):
        response = await post(client, body)
        assert (response.status_code in (400, 422), response.headers["content-type"]) == (True, "application/problem+json"), body[:20]
    assert fields(await post(client, "[" * 64 + '"\\u0000"' + "]" * 64)) == ["body" + ".0" * 64]


async def test_a_body_that_is_no_json_is_refused_with_what_to_send(client: httpx.AsyncClient) -> None:
    response = await post(client, '{"name": }')
    assert fields(response) == ["body"]
    assert response.json()["errors"][0]["expected"] == "JSON (at character 9: Expecting value)"


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/json;form", "application/json ; a=b"]
)
async def test_json_is_accepted_with_any_parameters_of_its_media_type(client: httpx.AsyncClient, media_type: str) -> None:
    for body, status in ((b'{"name": "x"}', 200), (b'{"name": "\\u0000"}', 422), (b"[" * 65, 422)):
        assert (await client.post("/things", content=body, headers={"content-type": media_type})).status_code == status


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/problem+json",
        "json",
        "a/b;application/json",
    ],
)
async def test_any_other_media_type_is_refused_without_reading_the_body(client: httpx.AsyncClient, media_type: str) -> None:
    response = await client.post("/things", content=b"[" * 100, headers={"content-type": media_type})
    assert (response.status_code, response.json()["type"]) == (415, "urn:seatpool:problem:media-type-not-supported")
    assert "`Content-Type: application/json`" in response.json()["detail"]


@pytest.mark.parametrize("other", ["text/plain", "application/json"])
async def test_a_body_with_two_media_types_is_refused(client: httpx.AsyncClient, other: str) -> None:
    headers = [("content-type", "application/json"), ("content-type", other)]
    assert (await client.post("/things", content=b'{"name": "x"}', headers=headers)).status_code == 415
    assert (await client.post("/things", content=b'{"name": "x"}', headers=headers[:1])).status_code == 200


async def test_64_levels_of_nesting_are_read_by_every_route(client: httpx.AsyncClient) -> None:
    for path in ("/things", "/anything"):
        for begin, end, levels in (("[", "]", 64), ('{"a":', "}", 64), ('[{"]":', "}]", 32)):
            fits, too_deep = (begin * n + '"["' + end * n for n in (levels, levels + 1))
            headers = {"content-type": "application/json"}
            assert "nesting" not in (await client.post(path, content=fits, headers=headers)).text
            answer = await client.post(path, content=too_deep, headers=headers)
            assert (fields(answer), answer.json()["errors"][0]["expected"]) == (["body"], "JSON with at most 64 levels of nesting")


def depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
    return 0


TEXTS = strategies.text(alphabet='[]{}"\\,:a')
VALUES = strategies.recursive(
    TEXTS, lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(TEXTS, inner, max_size=3), max_leaves=20
)


@settings(max_examples=200)
@given(VALUES)
def test_nesting_is_counted_as_a_parser_counts_it(value: object) -> None:
    content = json.dumps(value).encode()
    for most in range(5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(input_limits, "DEPTH_MAX", most)
            assert input_limits._is_too_deep(content) == (depth(value) > most)


SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\xed[\xa0-\xbf]|[0-9]{19}|[eE][+-]?[0-9]{3}|NaN|Infinity")
PIECES = (
    b"\\u",
    b"0000",
    b"d8",
    b"DF",
    b"\xed",
    b"\xa0",
    b"\x9f",
    b"9",
    b"123456789",
    b"e",
    b"E",
    b"+",
    b"-",
    b"NaN",
    b"Inf",
    b"inity",
    b"x",
)


@settings(max_examples=2_000)
@given(strategies.lists(strategies.sampled_from(PIECES), max_size=8).map(b"".join))
def test_a_body_is_suspect_exactly_if_one_expression_finds_something_in_it(content: bytes) -> None:
    assert input_limits._is_suspect(content) == (SUSPECT.search(content) is not None)


@pytest.mark.parametrize("content", [b"[" * 500_000 + b"]" * 500_000, b"[" + b",".join([b"[" * 63 + b"]" * 63] * 8_000) + b"]"])
def test_the_nesting_of_1_mib_is_counted_in_the_time_in_which_its_bytes_are_counted_a_few_times(content: bytes) -> None:
    """On the machine of the test: about three times, and 60 milliseconds on a usual one."""

    def seconds(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    pairs = [(seconds(lambda: input_limits._is_too_deep(content)), seconds(lambda: sum(1 for _ in content))) for _ in range(3)]
    nesting, counting = (min(each) for each in zip(*pairs, strict=True))
    assert nesting < 8 * counting


async def test_an_answer_to_faults_names_20_of_them_in_16_kb(client: httpx.AsyncClient) -> None:
    long = "\U0001f4a5" * 5_000
    bodies: list[Any] = [
        {long * 2: {f"{long}{n}": "\0" + long for n in range(5)} | {"\0": 1}},
        {"name": "x", "more": [f"\0{long}"] * 10},
        {f"{n}": 1 for n in range(900)},
        {f"{n}": 1 for n in range(2_000)},
        {f"{long}{n}": [long] for n in range(10)},
    ]
    for body in bodies:
        answer = await client.post("/strict", json=body)
        found = fields(answer)
        assert 1 <= len(found) <= 20
        assert len(answer.content) <= 16 * 1024
        assert all(len(str(part)) <= 200 for error in answer.json()["errors"] for part in (error["field"], error["value"]))
    query = "&".join(f"{n}=%00{'x' * 500}" for n in range(100))
    answer = await client.get("/things/" + "y" * 5_000 + f"?{query}")
    assert len(fields(answer)) == 20
    assert len(answer.content) <= 16 * 1024


def test_a_million_faults_are_counted_without_an_object_for_each() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(["x"] * 100_000)
    (fault,) = first_faults(caught.value)
    assert "100000 faults" in fault["msg"]
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(["x"] * 100)
    assert len(first_faults(caught.value)) == 20


async def test_the_body_of_a_get_is_not_read(client: httpx.AsyncClient) -> None:
    assert (await client.request("GET", "/things/a", content=b"[" * 2_000_000)).status_code == 200


async def test_a_number_is_no_date_and_no_flag(client: httpx.AsyncClient) -> None:
    good = '{"name": "x", "flag": true, "day": "2026-01-31", "at": "2026-01-31T09:00:00+01:00"}'
    assert (await post(client, good)).json() == {"name": "x"}
    for name, value in (("flag", "0"), ("flag", '"yes"'), ("day", "0"), ("day", '"0"'), ("at", "1e9"), ("at", '"1767225600"')):
        assert fields(await post(client, f'{{"name": "x", "{name}": {value}}}')) == [f"body.{name}"]
    assert fields(await client.get("/things/a?at=0.5")) == ["query.at"]


@pytest.mark.parametrize("day", ["2026-01-31T00:00:00+02:00", "2026-01-31T00:00:00Z", "2026-01-31 00:00", "2026-01-31Z", "2026-1-31"])
async def test_a_day_has_no_time_and_no_offset(client: httpx.AsyncClient, day: str) -> None:
    (error,) = (await post(client, f'{{"name": "x", "day": "{day}"}}')).json()["errors"]
    expected = "a date without a time in the format YYYY-MM-DD, such as 2026-01-31"
    assert (error["field"], error["value"], error["expected"]) == ("body.day", day, expected)


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_instant_outside_of_utcs_years_is_refused(client: httpx.AsyncClient, instant: str) -> None:
    assert fields(await client.get("/things/a", params={"at": instant})) == ["query.at"]
    with pytest.raises(ValidationError):  # a message with it is one that cannot be read, and not the consumer's end
        TypeAdapter(Instant).validate_python(datetime.fromisoformat(instant))
    assert TypeAdapter(Instant).validate_python(datetime(9999, 12, 31, tzinfo=UTC)).year == 9999


@pytest.mark.parametrize(("key", "type_"), [(2**63, int), (-(2**70), int), ("a\0b", str), (True, int), (1.5, int)])
def test_an_invented_cursor_is_refused(key: object, type_: type[str] | type[int]) -> None:
    made_up = base64.urlsafe_b64encode(json.dumps([key]).encode()).decode().rstrip("=")
    with pytest.raises(Invalid, match=r"query\.cursor"):
        decode_cursor(made_up, type_)
    assert decode_cursor(encode_cursor(2**63 - 1), int) == (2**63 - 1,)


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**64, float("nan"), [[["x\0"]]]])
def test_an_hr_event_that_cannot_be_stored_is_listed_with_its_field(value: object) -> None:
    found = _read({"type": "person_changed", "external_id": "1", "effective_date": "2026-01-01", "name": value})
    assert isinstance(found, list)
    assert found[0].field.startswith("name")
    assert isinstance(_read({"type": "person_changed", "external_id": "1", "effective_date": "2026-01-01", "name": "💥"}), HrFact)


def test_an_hr_event_with_a_nul_from_the_topic_is_poison_by_name() -> None:
    fact = PersonChanged(external_id="1", effective_date=date(2026, 1, 1), name="a\0b")
    assert (problem_of(fact) or "").startswith("name: ")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_subscription_starts_where_periods_can_be_counted(day: str) -> None:
    body = {"plan": "p", "term": "monthly", "period_start": day, "modules": [{"module": "m", "licences": 1}]}
    with pytest.raises(ValidationError, match="period_start"):
        SubscriptionBody.model_validate(body)
    assert SubscriptionBody.model_validate(body | {"period_start": "2026-01-31"}).period_start == date(2026, 1, 31)


async def test_a_thousand_hr_events_are_read_in_slices() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    facts = await read_each([{"type": "person_left"}] * 1_000, _read)
    counting.cancel()
    assert (len(facts), turns >= 1_000 // 50) == (1_000, True)


def test_a_time_zone_of_the_machine_is_no_time_zone() -> None:
    assert _zone("Europe/Copenhagen")
    with pytest.raises(ValueError, match="IANA"):
        _zone("localtime")

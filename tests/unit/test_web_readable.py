"""Input that JSON and URLs can carry and nobody can keep is refused by name, by every application, with an answer that can be written."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.invoicing.inputs import SubscriptionBody
from services.users import domain
from services.users.api.hr import _read
from shared.errors import Invalid
from shared.schemas.base import Instant
from shared.schemas.hr_v1 import HrFact, PersonChanged
from shared.settings import CommonSettings
from shared.web import create_app
from shared.web.readable import faults
from shared.web.rest import Day, Flag, Moment, decode_cursor, encode_cursor

SURROGATE = '"\\ud800"'
WIDE = str(2**64)
LONG = "1" + "0" * 4000


class Thing(BaseModel):
    name: str
    count: int = 0
    flag: Flag = False
    day: Day | None = None
    at: Moment | None = None


def make_app() -> FastAPI:
    async def ready() -> bool:
        return True

    app = create_app(title="sample", settings=CommonSettings(), ready=ready)

    @app.post("/things")
    async def add(thing: Thing) -> dict[str, str]:
        return {"name": thing.name}

    @app.get("/things/{thing}")
    async def show(thing: str, near: str = "", at: Moment | None = None) -> dict[str, str]:
        return {"thing": thing}

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app()), base_url="http://test") as client:
        yield client


def fields(response: httpx.Response) -> list[str]:
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json"), response.text
    errors: list[dict[str, Any]] = response.json()["errors"]
    assert all(error["expected"] for error in errors)
    return [error["field"] for error in errors]


async def post(client: httpx.AsyncClient, body: str) -> httpx.Response:
    return await client.post("/things", content=body.encode("utf-8", "surrogatepass"), headers={"content-type": "application/json"})


@pytest.mark.parametrize("value", ['"a\\u0000b"', SURROGATE, '"\ud800"', WIDE, "-" + WIDE, LONG, "NaN", "-Infinity", "1e999"])
async def test_what_nobody_can_keep_is_refused_by_name(client: httpx.AsyncClient, value: str) -> None:
    assert fields(await post(client, f'{{"name": {value}}}')) == ["body.name"]
    assert fields(await post(client, f'{{"name": "x", "more": [{{"deep": {value}}}]}}')) == ["body.more.0.deep"]


async def test_keys_paths_and_queries_are_texts_too(client: httpx.AsyncClient) -> None:
    assert fields(await post(client, '{"name": "x", "more": {"\\u0000": 1}}')) == ["body.more"]
    assert fields(await client.get("/things/a%00b")) == ["path.thing"]
    assert fields(await client.get("/things/a?near=%00&other=%00")) == ["query.near", "query.other"]
    assert (await client.get("/things/%F0%9F%92%A5?near=%ff")).json() == {"thing": "💥"}


async def test_whatever_is_given_comes_with_an_answer(client: httpx.AsyncClient) -> None:
    for body in ("[" * 100_000, '{"a":' * 100_000, LONG + LONG, "{", "\ufeff{}", SURROGATE, WIDE, '"x"', ""):
        response = await post(client, body)
        assert (response.status_code in (400, 422), response.headers["content-type"]) == (True, "application/problem+json"), body[:20]
    assert fields(await post(client, "[" * 400 + '"\\u0000"' + "]" * 400)) == ["body" + ".0" * 400]


async def test_what_is_no_json_is_told_what_to_send(client: httpx.AsyncClient) -> None:
    response = await post(client, '{"name": }')
    assert fields(response) == ["body"]
    assert response.json()["errors"][0]["expected"] == "JSON; at character 9: Expecting value"
    for called in ("text/plain", "application/x-www-form-urlencoded", ""):  # the second is what curl says by itself
        response = await client.post("/things", content=b'{"name": "x"}', headers={"content-type": called})
        assert (response.status_code, response.json()["type"]) == (415, "urn:seatpool:problem:media-type-not-supported")
        assert "Content-Type: application/json" in response.json()["detail"]


async def test_a_number_is_no_date_and_no_flag(client: httpx.AsyncClient) -> None:
    good = '{"name": "x", "flag": true, "day": "2026-01-31", "at": "2026-01-31T09:00:00+01:00"}'
    assert (await post(client, good)).json() == {"name": "x"}
    for name, value in (("flag", "0"), ("flag", '"yes"'), ("day", "0"), ("day", '"0"'), ("at", "1e9"), ("at", '"1767225600"')):
        assert fields(await post(client, f'{{"name": "x", "{name}": {value}}}')) == [f"body.{name}"]
    assert fields(await client.get("/things/a?at=0.5")) == ["query.at"]


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_instant_outside_of_utcs_years_is_refused(client: httpx.AsyncClient, instant: str) -> None:
    assert fields(await client.get("/things/a", params={"at": instant})) == ["query.at"]
    with pytest.raises(ValidationError):  # a message with it is one that cannot be read, and not the consumer's end
        TypeAdapter(Instant).validate_python(datetime.fromisoformat(instant))
    assert TypeAdapter(Instant).validate_python(datetime(9999, 12, 31, tzinfo=UTC)).year == 9999


@pytest.mark.parametrize(("key", "type_"), [(2**63, int), (-(2**70), int), ("a\0b", str), (True, int), (1.5, int)])
def test_a_cursor_that_was_made_up_is_refused(key: object, type_: type[str] | type[int]) -> None:
    made_up = base64.urlsafe_b64encode(json.dumps([key]).encode()).decode().rstrip("=")
    with pytest.raises(Invalid, match=r"query\.cursor"):
        decode_cursor(made_up, type_)
    assert decode_cursor(encode_cursor(2**63 - 1), int) == (2**63 - 1,)


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**64, float("nan"), [[["x\0"]]]])
def test_an_hr_event_nobody_can_keep_is_listed_with_its_field(value: object) -> None:
    found = _read({"type": "person_changed", "external_id": "1", "effective_date": "2026-01-01", "name": value})
    assert isinstance(found, list)
    assert found[0].field.startswith("name")
    assert isinstance(_read({"type": "person_changed", "external_id": "1", "effective_date": "2026-01-01", "name": "💥"}), HrFact)


def test_an_hr_event_with_a_nul_from_the_topic_is_poison_by_name() -> None:
    fact = PersonChanged(external_id="1", effective_date=date(2026, 1, 1), name="a\0b")
    assert (domain.problem_of(fact) or "").startswith("name: ")


def test_depth_is_the_callers_to_choose() -> None:
    deep: object = "\0"
    for _ in range(5_000):
        deep = [deep]
    assert len(list(faults(deep, "body"))) == 1


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_subscription_starts_where_periods_can_be_counted(day: str) -> None:
    body = {"plan": "p", "term": "monthly", "period_start": day, "modules": [{"module": "m", "licences": 1}]}
    with pytest.raises(ValidationError, match="period_start"):
        SubscriptionBody.model_validate(body)
    assert SubscriptionBody.model_validate(body | {"period_start": "2026-01-31"}).period_start == date(2026, 1, 31)

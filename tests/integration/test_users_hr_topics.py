"""A source that is bound to a topic of its own is read without a restart and accepted from there only; no record is lost or overtaken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.users.use_cases import hr_topics
from shared.ids import new_id
from shared.kafka import create_topics
from shared.schemas import topics
from shared.schemas.hr_v1 import PersonHired
from shared.settings import KafkaSettings
from tests.support.users import NOON, Bench, Rest, running_bench, settings_of
from tests.support.wait import wait_until
from tests.support.wire import background

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

READ_SECONDS_MAX = 10  # the consumer looks for topics every 2 s
BUSY = 4  # so many times longer on a machine that does other things


def hired(who: str) -> PersonHired:
    return PersonHired(external_id=who, effective_date=NOON.date(), login=who, email=f"{who}@acme.example", department="Makers")


async def new_topic(bench: Bench) -> str:
    """Create a topic on the broker; return the part of its name after `hr.events.v1.`."""
    name = f"own-{new_id()[-12:]}"
    await create_topics(bench.users.settings, (topics.hr_topic(name),))
    return name


async def by_rest(rest: Rest, tenant: str, source: str, who: str) -> None:
    event = {"type": "person_hired", **hired(who).model_dump(mode="json", exclude_unset=True)}
    taken = await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [event]})
    assert (taken["accepted"], taken["rejected"]) == (1, [])


async def until_letters(rest: Rest, tenant: str, count: int) -> None:
    async def there() -> bool:
        return len((await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"]) >= count

    await wait_until(there, what=f"{count} dead letters")


async def refused(rest: Rest, method: str, name: str, source: str | None = None) -> tuple[int, str]:
    response = await rest.call(method, f"/v1/operator/hr-topics/{name}", {"source": source} if source else None)
    return response.status_code, response.json()["type"].rpartition(":")[2]


async def test_a_bound_source_is_read_within_ten_seconds_and_only_from_its_own_topic(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    source, name = bench.source(tenant), await new_topic(bench)
    own = topics.hr_topic(name)
    await bench.send(hired("ann"), tenant, source=source)
    await bench.send(hired("early"), tenant, source=source, topic=own)  # before it is bound: positions begin at the beginning
    await bench.until_person(rest, tenant, "ann", status="active")
    bound = await rest.put(f"/v1/operator/hr-topics/{name}", {"source": source})
    assert bound == {"topic": f"hr.events.v1.{name}", "source": source}
    await bench.send(hired("bob"), tenant, source=source, topic=own)

    async def read() -> bool:
        return None not in [await bench.person(rest, tenant, who) for who in ("early", "bob")]

    await wait_until(read, seconds=BUSY * READ_SECONDS_MAX, what="the source's own topic to be read")
    await bench.send(hired("cy"), tenant, source=source)
    await bench.send(hired("gus"), tenant, source=source, message_id="guessed")  # and it does not stand for the genuine one
    await bench.send(hired("dan"), tenant, source="hr/other", topic=own)
    await bench.send(hired("eve"), tenant, source=source, topic=own, raw=b"{")
    await by_rest(rest, tenant, source, "fay")
    await until_letters(rest, tenant, 4)
    await bench.send(hired("gus"), tenant, source=source, topic=own, message_id="guessed")
    for who in ("fay", "gus"):
        await bench.until_person(rest, tenant, who)
    await bench.until_settled(tenant)
    assert any(place.startswith(f"{own.name}/") for place in bench.users.consumer.positions(tenant)), "the idle check looks at it"
    letters = (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"]
    assert sorted((letter["topic"], letter["reason"]) for letter in letters) == [
        ("hr.events.v1", "wrong_topic"),
        ("hr.events.v1", "wrong_topic"),
        (own.name, "body"),
        (own.name, "wrong_topic"),
    ]
    for letter in letters:  # the handler runs again, on the topic that the record came from
        again = await rest.post(f"/v1/operator/dead-letters/{letter['id']}/retry")
        assert (again["status"], again["reason"]) == ("open", letter["reason"])
    assert [await bench.person(rest, tenant, who) for who in ("cy", "dan", "eve")] == [None] * 3


async def test_a_binding_that_would_mix_two_topics_or_two_sources_is_refused(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    source, name, other = bench.source(tenant), await new_topic(bench), await new_topic(bench)
    assert await refused(rest, "PUT", "not-on-the-broker", source) == (409, "topic-missing")
    assert await refused(rest, "PUT", "Not%20a%20name", source) == (422, "invalid")
    assert await refused(rest, "PUT", name, "seatpool/users") == (422, "invalid")
    assert await refused(rest, "DELETE", name) == (404, "not-found")
    for _ in range(2):  # the same again changes nothing
        await rest.put(f"/v1/operator/hr-topics/{name}", {"source": source})
    assert await refused(rest, "PUT", other, source) == (409, "source-bound")
    second = f"hr/second/{tenant}"
    await rest.put(f"/v1/operator/sources/{second}", {"tenants": [tenant]})
    assert await refused(rest, "PUT", name, second) == (409, "topic-bound")
    unknown = await rest.call("PUT", f"/v1/operator/hr-topics/{other}", {"source": "hr/nosuch"})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "body.source")
    assert second in unknown.json()["errors"][0]["expected"], "with the sources that may be meant"
    sources = {each["source"]: each["topic"] for each in [item for page in await rest.pages("/v1/operator/sources") for item in page]}
    assert (sources[source], sources[second], "hr/nosuch" in sources) == (f"hr.events.v1.{name}", "hr.events.v1", False)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_source_is_not_bound_or_unbound_while_it_has_unread_records(
    make_database: Callable[[str], str], kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(make_database("users"), kafka_settings, tmp_path)
    async with running_bench(settings, parts=lambda _: []) as bench:  # neither consumer nor relay
        tenant, rest = await bench.open_tenant()
        source, name = bench.source(tenant), await new_topic(bench)
        monkeypatch.setattr(hr_topics, "READ_SECONDS_MAX", 0.2)
        await by_rest(rest, tenant, source, "ann")
        assert await refused(rest, "PUT", name, source) == (409, "topic-unread"), "it lies in the outbox"
        async with background(bench.users.relay.run()):
            await wait_until(lambda: sent(bench), what="the outbox to be sent")
        assert await refused(rest, "PUT", name, source) == (409, "topic-unread"), "it lies on the shared topic"
        monkeypatch.setattr(hr_topics, "READ_SECONDS_MAX", 20)
        async with background(bench.users.consumer.run()):
            await rest.put(f"/v1/operator/hr-topics/{name}", {"source": source})
        await bench.send(hired("bob"), tenant, source=source, topic=topics.hr_topic(name))
        monkeypatch.setattr(hr_topics, "READ_SECONDS_MAX", 0.2)
        assert await refused(rest, "DELETE", name) == (409, "topic-unread")
        monkeypatch.setattr(hr_topics, "READ_SECONDS_MAX", 20)
        async with background(bench.users.consumer.run()):
            assert (await rest.call("DELETE", f"/v1/operator/hr-topics/{name}")).status_code == 204
            await bench.send(hired("cy"), tenant, source=source)
            for who in ("ann", "bob", "cy"):
                await bench.until_person(rest, tenant, who)


async def sent(bench: Bench) -> bool:
    return await bench.execute("SELECT id FROM outbox") == []

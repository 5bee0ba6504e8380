"""What cannot be read, or breaks a rule, becomes a dead letter with its reason and is run again by the command; everything else goes on."""

import os
import subprocess
import sys

import pytest

from shared.ids import new_id
from shared.kafka import make_producer, started
from shared.schemas.topics import HR_EVENTS, INVOICING_EVENTS, SEATS_COMMANDS, SEATS_EVENTS, USERS_EVENTS, Topic
from tests.support.stack import RunningStack
from tests.support.tenant import Tenant, kafka_of, new_tenant_id, open_rest, open_tenant

pytestmark = [pytest.mark.stack, pytest.mark.slow]

READERS = {
    HR_EVENTS: {"users"},
    USERS_EVENTS: {"invoicing", "notifier"},
    SEATS_EVENTS: {"users", "invoicing", "notifier"},
    INVOICING_EVENTS: {"users", "notifier"},
    SEATS_COMMANDS: {"notifier"},  # seats answers; the notifier lists what it rejected
}


async def produce(stack: RunningStack, topic: Topic, tenant: str, value: bytes, headers: list[tuple[str, bytes]]) -> tuple[int, int]:
    kafka = kafka_of(stack)
    async with started(make_producer(kafka)) as producer:
        sent = await producer.send_and_wait(kafka.topic_name(topic), value, key=tenant.encode(), headers=headers)
        return sent.partition, sent.offset


def envelope(tenant: str, type_: str, source: str) -> list[tuple[str, bytes]]:
    texts = {"specversion": "1.0", "id": new_id(), "source": source, "type": type_, "time": "2026-03-02T08:00:00.000Z", "tenantid": tenant}
    return [(f"ce_{name}", text.encode()) for name, text in texts.items()]


async def letter_at(tenant: Tenant, service: str, topic: Topic, place: tuple[int, int]) -> dict[str, object] | None:
    rows = await tenant.rest.pages(service, "/v1/operator/dead-letters")
    return next((row for row in rows if (row["topic"], row["partition"], row["offset"]) == (topic.name, *place)), None)


async def until_dead_letter(tenant: Tenant, service: str, topic: Topic, place: tuple[int, int]) -> dict[str, object]:
    async def look() -> tuple[bool, object]:
        found = await letter_at(tenant, service, topic, place)
        return found is not None, found

    await tenant.stage.until(f"{service} to make a dead letter of {topic.name}/{place}", look)
    found = await letter_at(tenant, service, topic, place)
    assert found is not None
    return found


async def test_an_unreadable_message_becomes_a_dead_letter_on_every_topic_and_the_rest_goes_on(stack: RunningStack) -> None:
    """The rest: another tenant of the same partitions, behind the poison."""
    async with await open_rest(stack) as rest:
        poisoned = await open_tenant(stack, rest, licences=10)
        places = {topic: await produce(stack, topic, poisoned.id, b"\xff\xfe not JSON", [("ce_id", b"x")]) for topic in READERS}
        behind = await open_tenant(stack, rest, licences=10, tenant=new_tenant_id(kafka_of(stack), like=poisoned.id))
        await behind.send(behind.people(12))
        await behind.stage.until_idle()
        figures = await behind.statistics()
        assert [figures[service]["flagged"] for service in ("users", "seats", "notifier")] == [2, 2, 2]
        for topic, readers in READERS.items():
            for service in readers:
                row = await until_dead_letter(poisoned, service, topic, places[topic])
                assert row["reason"], row
        for service in ("users", "invoicing", "notifier"):  # the answer to a command that names no tenant is nobody's, and readable
            rows = await rest.pages(service, "/v1/operator/dead-letters")
            assert [row for row in rows if row["tenant"] is None and row["topic"] != SEATS_COMMANDS.name] == [], service
        verified = seatpool(stack, "verify", "--tenant", behind.id)
        assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_a_command_that_makes_no_sense_is_answered_and_the_tenant_goes_on(stack: RunningStack) -> None:
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=10)
        headers = envelope(tenant.id, "seatpool.seats.v1.assign_seats", "seatpool/users")
        before = await tenant.decided()
        place = await produce(stack, SEATS_COMMANDS, tenant.id, b'{"user": "u1", "modules": 7}', headers)
        row = await until_dead_letter(tenant, "notifier", SEATS_COMMANDS, place)
        assert "modules" in f"{row['reason']} {row['detail']}"
        await tenant.send(tenant.people(3))
        await tenant.stage.until_idle()
        assert await tenant.decided() > before
        assert (await tenant.statistics())["users"]["active"] == 3


async def test_an_event_of_a_source_off_the_allow_list_becomes_a_dead_letter_and_a_retry_applies_it(stack: RunningStack) -> None:
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=10)
        body = b'{"external_id":"77","effective_date":"2026-03-02","login":"late","email":"late@x.example","department":"Everybody"}'
        place = await produce(stack, HR_EVENTS, tenant.id, body, envelope(tenant.id, "seatpool.hr.v1.person_hired", "hr/stranger"))
        row = await until_dead_letter(tenant, "users", HR_EVENTS, place)
        assert "hr/stranger" in f"{row['reason']} {row['detail']}"
        assert (await tenant.statistics())["users"]["hired"] == 0
        again = seatpool(stack, "dlq", "retry", f"users:{row['id']}")
        assert again.returncode == 1, "nothing has changed, so it fails again"
        await rest.put("users", "/v1/operator/sources/hr/stranger", {"tenants": [tenant.id]})
        listed = seatpool(stack, "dlq", "list", "--tenant", tenant.id)
        assert f"users:{row['id']}" in listed.stdout
        again = seatpool(stack, "dlq", "retry", f"users:{row['id']}")
        assert again.returncode == 0, again.stdout + again.stderr
        await tenant.stage.until_idle()
        assert (await tenant.statistics())["users"]["hired"] == 1
        assert await letter_at(tenant, "users", HR_EVENTS, place) is None


def seatpool(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator runs it, attached by stack.json."""
    environment = {**os.environ, "SEATPOOL_STATE_DIR": str(stack.folder), "COLUMNS": "240"}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

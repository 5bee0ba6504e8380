"""The action log and REST on the real broker and PostgreSQL. Tenants are separated, and no entry is ever changed."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy.exc import DBAPIError

from services.notifier.action_log import export
from services.notifier.action_log.entries import shown
from services.notifier.api import make_app
from services.notifier.store.action_log import LogFilter, actions
from services.notifier.wiring import Wiring
from shared.messaging import partition_of
from shared.messaging.erasure import erase_kept
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.schemas.topics import SEATS_EVENTS, USERS_EVENTS
from shared.web import encode_cursor
from tests.support.console_operator import letter
from tests.support.notifier import (
    ANNA,
    NOON,
    Notifier,
    active,
    flagged,
    invoice_issued,
    mail_server,
    notifier,
    person_added,
    pool_of,
    refused,
    tenant_created,
)
from tests.support.traces import traces
from tests.support.wait import wait_until
from tests.support.wire import execute

__all__ = ["mail_server", "notifier"]
pytestmark = pytest.mark.stack


class Tokens:
    """A verifier of tokens: the text of a token contains its subject, tenant and rights."""

    async def verify(self, token: str) -> Any:
        from shared.web import Principal

        subject, tenant, rights, *departments = token.split("|")
        view = frozenset(departments[0].split(",")) if departments else None
        return Principal(subject, None if tenant == "*" else tenant, frozenset(rights.split(",")), "user", view)


@asynccontextmanager
async def rest(wiring: Wiring, token: str = "op|*|operator") -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(wiring, Tokens())  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier", headers={"authorization": f"Bearer {token}"}) as client:
        yield client


async def actions_of(notifier: Notifier, **wanted: Any) -> list[dict[str, Any]]:
    async with notifier.database.unit_of_work(notifier.tenant) as uow:
        found = await actions(uow.connection, notifier.tenant, LogFilter(**wanted), after=None, limit=1000, oldest_first=True)
        return [shown(row) for row in found]


def summary(action: dict[str, Any]) -> tuple[Any, ...]:
    return action["type"], action["user"], action["module"], action["from"], action["to"], action["reason"]


async def test_T20_M13_an_entry_states_who_when_what_from_to_and_why(notifier: Notifier) -> None:
    async with notifier.running(sending=False) as wiring:
        (hired,) = await notifier.send(person_added("p1"), cause="import-7")
        await notifier.send(
            notifier.assigned("p1", flagged(), active("documents")),
            cause="import-7",
        )
        await notifier.send(
            seats_v1.SeatFlagCleared(**notifier.decision(user="p1", module="time", role="consequence", reason="licence_bought")),
            cause="order-1",
        )
        await notifier.send(notifier.assigned("p1", active(), released=("documents",), reason="changed"), cause="change-1")
        await notifier.send(notifier.revoked("p1", "time", base=True), cause="tick")
        await notifier.until_read([wiring.consumers[1]])
    log = await actions_of(notifier, user="p1")
    assert [summary(action) for action in log if action["type"] != "person_added"] == [
        ("seat_flagged", "p1", "time", {"state": None}, {"state": "flagged"}, "hired"),
        ("seat_granted", "p1", "documents", {"state": None}, {"state": "active"}, "hired"),
        ("seat_flag_cleared", "p1", "time", {"state": "flagged"}, {"state": "active"}, "licence_bought"),
        ("seat_released", "p1", "documents", {"state": "active"}, {"state": "none"}, "changed"),
        ("seat_revoked", "p1", "time", {"state": "active"}, {"state": "revoked"}, "grace_expired"),
    ]
    by_type = {action["type"]: action for action in log}
    assert by_type["person_added"]["actor"] == {"kind": "source", "id": "hr-acme"}
    assert by_type["person_added"]["id"] == f"{hired}#0"
    assert by_type["seat_flagged"]["actor"] == {"kind": "source", "id": "hr-acme"}, "who began the decision's chain"
    assert by_type["seat_revoked"]["actor"] == {"kind": "system", "id": "rules"}, "a due item: the rules"
    assert by_type["seat_flagged"]["at"] == "2013-11-15T12:00:00.000Z"
    assert by_type["seat_flagged"]["details"]["deadline"] == "2013-11-22T12:00:00.000Z"
    assert by_type["seat_flagged"]["position"]["offset"] == 1


async def test_entries_of_a_rare_type_are_found_without_the_rest_of_the_log(notifier: Notifier) -> None:
    """The page of the licences asks for the changes of the numbers, which are few among the entries about people."""
    entry = "n::text, 0, now(), 'system', 'rules', %s, 'x', '[]', '', '{}', 'c'"
    columns = "event_id, part, at, actor_kind, actor_id, type, event_type, changes, reason, details, correlation"
    of_type = entry % "CASE WHEN n % 1000 = 0 THEN 'licences_added' ELSE 'seat_granted' END"
    await execute(
        notifier.database,
        f"INSERT INTO actions (tenant_id, {columns}) SELECT $1::text, {of_type} FROM generate_series(1, 5000) AS n",
        notifier.tenant,
    )
    read = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables WHERE relname = 'actions'"
    async with notifier.database.unit_of_work(notifier.tenant) as uow:
        before = (await uow.connection.exec_driver_sql(read)).scalar_one()
        wanted = LogFilter(types=("licences_added", "pool_closed"))
        found = await actions(uow.connection, notifier.tenant, wanted, after=None, limit=3, oldest_first=False)
        rows = (await uow.connection.exec_driver_sql(read)).scalar_one() - before
    assert [row.event_id for row in found] == ["5000", "4000", "3000"]
    assert rows < 10, "entries that were read for three"


async def test_T20_licences_people_and_billing_are_logged_with_what_changed(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    items = (seats_v1.LicenceCount(module="time", quantity=6),)
    async with notifier.running(sending=False) as wiring:
        policies = seats_v1.Policies(over_limit="flag", grace="P7D")
        opened = notifier.decision(module="time", base=True, policies=policies, pools=(pool_of("time", 280),), reason="pool_opened")
        await notifier.send(seats_v1.PoolOpened(**opened))
        bought = notifier.decision(order="o1", items=items, approved_at=NOON, pools=(pool_of("time", 286),), reason="licence_bought")
        await notifier.send(seats_v1.LicencesAdded(**bought))
        changed = person_added(
            "p1",
            kind=users_v1.PersonChanged,
            actor=ANNA,
            reason="changed",
            changes=(Change(field="department", old="Sales", new="=cmd|' /C calc'!A0"),),
        )
        await notifier.send(changed, invoice_issued(), tenant_created())
        await notifier.until_read(list(wiring.consumers))
        assert [summary(a)[1:5] for a in await actions_of(notifier, module="time", types=("licences_added",))] == [
            (None, "time", {"licences": "280", "next_period": "280"}, {"licences": "286", "next_period": "286"})
        ]
        by_itself = {"module": "time", "by": 1, "pools": (pool_of("time", 286),), "reason": "terminated", "role": "consequence"}
        await notifier.send(seats_v1.PoolReduced(**notifier.decision(**by_itself), reduce_at="now"))
        await notifier.until_read(list(wiring.consumers))
        (reduced,) = await actions_of(notifier, types=("pool_reduced",))
        assert (reduced["from"], reduced["to"]) == (
            {"licences": "286", "next_period": "286"},
            {"licences": "285", "next_period": "285"},
        ), "from the numbers in the entry before, not from those at the end of the decision"
        both = await actions_of(notifier, types=("pool_reduced", "licences_added"))
        assert [each["type"] for each in both] == ["licences_added", "pool_reduced"], "in the order of time, not of the types"
        (person,) = await actions_of(notifier, types=("person_changed",), actor="anna")
        assert (person["from"], person["actor"]) == ({"department": "Sales"}, {"kind": "user", "id": "anna"})
        async with rest(wiring) as client:
            exported = await client.get("/v1/tenants/acme/actions", params={"format": "csv"})
            lines = (await client.get("/v1/tenants/acme/actions", params={"format": "jsonl"})).text.splitlines()
        assert export.ROWS <= 200
        monkeypatch.setattr(export, "ROWS", 4)  # between two chunks, the database is waited for
        chunks = [part.splitlines() async for part in export.as_json_lines(wiring.database, "acme", LogFilter())]
        assert [len(chunk) for chunk in chunks] == [4, 2]
        assert [line.decode() for chunk in chunks for line in chunk] == lines
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert len(rows) == len(lines) == 6
    assert {row["type"] for row in rows} == {
        "pool_opened",
        "pool_reduced",
        "licences_added",
        "person_changed",
        "invoice_issued",
        "tenant_created",
    }
    assert exported.headers["content-type"].startswith("text/csv")


async def test_T20_the_log_is_append_only(notifier: Notifier) -> None:
    async with notifier.running(sending=False) as wiring:
        await notifier.send(person_added("p1"))
        await notifier.until_read([wiring.consumers[1]])
    for statement in ("UPDATE actions SET reason = 'other'", "DELETE FROM actions"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with notifier.database.unit_of_work(None) as uow:
                await uow.connection.exec_driver_sql(statement)


async def test_a_message_that_is_read_again_makes_no_second_entry_and_no_second_e_mail(notifier: Notifier) -> None:
    """This happens when a service is rebuilt from its topics, or its reading position is reset by hand."""
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.send(notifier.assigned("p1", flagged()))
        await notifier.until_idle(wiring)
    before = await actions_of(notifier)
    async with notifier.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql("DELETE FROM inbox")
        await uow.connection.exec_driver_sql("DELETE FROM consumer_positions")
    async with notifier.running() as wiring:
        statistics = await notifier.until_idle(wiring)
    assert await actions_of(notifier) == before
    assert (statistics.emails, len(notifier.server.emails)) == (2, 2)


async def test_the_action_log_of_a_tenant_waits_behind_a_dead_letter(notifier: Notifier) -> None:
    """Until the dead letter is discarded: then the log goes on by itself."""
    opened = seats_v1.TenantOpened(clock="real", **notifier.decision())
    (sent,) = await notifier.send(opened)
    before = notifier.assigned("p1", active())
    await notifier.send(before)
    bad = Envelope(id=sent.removesuffix("0") + "9", source="seatpool/seats", type=type_of(type(before)), time=opened.at, tenant="acme")
    topic = notifier.settings.topic_name(SEATS_EVENTS)
    await notifier.producer.send_and_wait(topic, b"{", key=b"acme", headers=bad.headers())
    await notifier.send(notifier.assigned("p1", flagged()))
    async with notifier.running(sending=False) as wiring:
        await notifier.until_read(list(wiring.consumers))
        assert [action["to"] for action in await actions_of(notifier, user="p1")] == [{"state": "active"}]
        async with rest(wiring) as client:
            path, params = "/v1/operator/dead-letters", {"tenant": "acme", "status": "all"}
            letters = (await client.get(path, params=params)).json()["items"]
            behind = next(row for row in letters if row["reason"] == "behind-dead-letter")
            refusal = await client.post(f"{path}/{behind['id']}/retry")
            assert "support_contact" not in refusal.json(), "the vendor's operator is of no tenant"
            first = next(row for row in letters if row["blocks"] and row["status"] == "open")
            discarded = await client.post(f"{path}/{first['id']}/discard", json={"reason": "test"})
            await wait_until(lambda: _is_logged(notifier, {"state": "flagged"}), what="the entry behind it")
    assert sorted((row["group"], row["reason"], row["status"]) for row in letters) == [
        ("notifier", "body", "open"),
        ("notifier-action-log", "behind-dead-letter", "waiting"),
        ("notifier-action-log", "body", "open"),
    ]
    assert discarded.json()["status"] == "discarded"
    assert (refusal.status_code, refusal.json()["type"].rpartition(":")[2]) == (409, "parked-behind")


async def test_an_erasure_that_waits_behind_a_dead_letter_is_done_when_that_is_discarded(notifier: Notifier) -> None:
    """The e-mails erase the person in the batch that adds the person, as in a notifier that is rebuilt."""
    zoe: dict[str, Any] = {"name": "Zoë Quill", "email": "zoe@quill.example"}
    bad = Envelope(id="bad", source="seatpool/users", type=type_of(users_v1.PersonChanged), time=NOON, tenant="acme")
    async with notifier.running(sending=False) as wiring:
        await notifier.send(tenant_created(), person_added("p1", **zoe))
        topic = notifier.settings.topic_name(USERS_EVENTS)
        await notifier.producer.send_and_wait(topic, b'{"user": "p2"}', key=b"acme", headers=bad.headers())
        await notifier.send(users_v1.PersonErased(at=NOON, actor=Actor(kind="user", id="boss"), user="p1"))
        await notifier.until_read(list(wiring.consumers))
        async with notifier.database.unit_of_work("acme") as uow:
            await erase_kept(uow, "acme", ["p1"])  # as the group of the e-mails does, which may be the later one
        async with rest(wiring) as client:
            path = "/v1/operator/dead-letters"
            (first,) = [each for each in (await client.get(path, params={"tenant": "acme"})).json()["items"] if each["blocks"]]
            assert (await client.post(f"{path}/{first['id']}/discard", json={"reason": "test"})).status_code == 200

            async def is_erased() -> bool:
                return not await traces(partial(execute, notifier.database), zoe.values())

            await wait_until(is_erased, what="an action log without the person")


async def _is_logged(notifier: Notifier, state: dict[str, str]) -> bool:
    return bool([action["to"] for action in await actions_of(notifier, user="p1")][-1]["state"] == state["state"])


async def test_rejected_commands_are_listed_until_they_are_discarded_and_cannot_be_retried(notifier: Notifier) -> None:
    """They have every field of a dead letter: the page of the console shows both."""
    async with notifier.running(sending=False) as wiring:
        rejection = notifier.decision(reason="invalid_count", field="items.0.quantity", value="-3", expected="1 or more")
        await notifier.send(seats_v1.CommandRejected(**rejection))
        await notifier.until_read(list(wiring.consumers))
        async with rest(wiring) as client:
            (row,) = (await client.get("/v1/operator/dead-letters")).json()["items"]
            again = await client.post(f"/v1/operator/dead-letters/{row['id']}/retry")
            unknown = await client.post(f"/v1/operator/dead-letters/{row['id'] + 1}/retry")
            shown = await client.get(f"/v1/operator/dead-letters/{row['id']}")
            path = "/v1/operator/dead-letters"
            counted = [(await client.get("/v1/operator/status")).json()["dead_letters"]["open"]]
            discarded = [await client.post(f"{path}/{row['id'] + more}/discard", json={"reason": "sent again"}) for more in (0, 0, 1)]
            listed = {
                status: (await client.get(path, params={"status": status})).json()["items"] for status in ("open", "discarded", "all")
            }
            counted.append((await client.get("/v1/operator/status")).json()["dead_letters"]["open"])
    assert counted == [1, 0], "the status of notifier counts them, too"
    position = rejection["position"]
    assert (row["group"], row["topic"], row["partition"], row["offset"]) == (
        "seats",
        "seats.commands.v1",
        position.partition,
        position.offset,
    )
    assert (row["reason"], row["detail"]) == ("invalid_count", "items.0.quantity is '-3', expected 1 or more")
    assert (again.status_code, unknown.status_code) == (409, 404)
    assert [each.status_code for each in discarded] == [200, 409, 404]
    assert {status: [each["id"] for each in found] for status, found in listed.items()} == {
        "open": [], "discarded": [row["id"]], "all": [row["id"]],
    }  # fmt: skip
    assert discarded[0].json() == listed["discarded"][0]
    assert (listed["all"][0]["status"], listed["all"][0]["discard_reason"]) == ("discarded", "sent again")
    assert shown.json()["detail"] == row["detail"]
    assert {*letter(1)} <= {*shown.json()}, "every field with which the page of the console is tested"
    assert "send a new one" in again.json()["detail"]


async def test_statistics_idle_check_pages_and_rights(notifier: Notifier) -> None:
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(clock="test"), *(person_added(f"p{i}") for i in range(5)))
        await notifier.send(seats_v1.TenantOpened(**notifier.decision(clock="test")))
        await notifier.send(
            notifier.assigned("p1", flagged()), notifier.assigned("p2", refused()), notifier.revoked("p3", "time", base=True)
        )
        await notifier.send(seats_v1.ClockSettled(**notifier.decision(at=NOON + timedelta(hours=2))))
        async with rest(wiring) as client:

            async def settled() -> dict[str, Any] | None:
                answer: dict[str, Any] = (await client.get("/v1/tenants/acme/idle")).json()
                return answer if answer["idle"] and answer["time"] == "2013-11-15T14:00:00.000Z" else None

            await notifier.until_collected(wiring)
            first = await wait_until(settled, what="the idle check")
            assert first is not None
            assert (await settled()) == first, "the same twice, fingerprint and all"
            await check_neighbour(notifier, wiring)
            assert (await settled()) == first, "another tenant's events do not change the answer"
            figures = (await client.get("/v1/tenants/acme/statistics")).json()
            assert {name: figures[name] for name in ("flagged", "revoked", "refused", "emails")} == {
                "flagged": 1,
                "revoked": 1,
                "refused": 1,
                "emails": 4,
            }
            await check_pages(client)
            emails = (await client.get("/v1/tenants/acme/emails")).json()["items"]
            one = (await client.get(f"/v1/tenants/acme/emails/{emails[0]['id']}")).json()
            assert one["html"].lstrip().startswith("<!doctype html>")
            paths = ("actions", "actions?format=csv", "actions?format=jsonl", "emails", "emails/x", "statistics", "idle")
            assert {(await client.get(f"/v1/tenants/other/{path}")).status_code for path in paths} == {404}
        await check_rights(wiring)


async def check_neighbour(notifier: Notifier, wiring: Wiring) -> None:
    """Something happens to a tenant whose partition is another."""
    assert USERS_EVENTS.partitions is not None
    partitions = USERS_EVENTS.partitions
    mine, *others = (partition_of(name.encode(), partitions) for name in ("acme", *map(str, range(100))))
    neighbour = next(str(n) for n, partition in enumerate(others) if partition != mine)
    await notifier.send(person_added("n1"), tenant=neighbour)
    for consumer in wiring.consumers:
        await wait_until(partial(consumer.at_end, neighbour), what="the neighbour's event")


async def check_pages(client: httpx.AsyncClient) -> None:
    whole = (await client.get("/v1/tenants/acme/actions", params={"limit": 200})).json()["items"]
    assert len(whole) == 10
    assert [a["seq"] for a in whole] == sorted((a["seq"] for a in whole), reverse=True), "newest first; all have the same time here"
    found, cursor = [], None
    while True:
        page = (await client.get("/v1/tenants/acme/actions", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        found += page["items"]
        if (cursor := page["next"]) is None:
            break
    assert found == whole
    late = await client.get("/v1/tenants/acme/actions", params={"from": "2013-11-15T12:00:01Z"})
    assert late.json()["items"] == []
    for params in ({"from": "yesterday"}, {"from": "2013-11-15T12:00:01"}, {"limit": 0}, {"cursor": "x"}, {"cursor": "WyJhIiwxXQ"}):
        assert (await client.get("/v1/tenants/acme/actions", params=params)).status_code == 422, params
    for format_ in ("csv", "jsonl"):  # a file is the whole log and has no pages
        for given in ("x", "WyJhIiwxXQ", encode_cursor("2013-11-15T12:00:00.000Z", 1)):
            refused = await client.get("/v1/tenants/acme/actions", params={"format": format_, "cursor": given})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "query.cursor")


async def check_rights(wiring: Wiring) -> None:
    paths = ("actions", "emails", "statistics", "idle")
    wanted = {
        "a|acme|log:read": (200, 200, 403, 403),
        "a|acme|account:read": (403, 403, 200, 403),
        "a|other|log:read,account:read,operator": (404, 404, 404, 404),
    }
    for token, statuses in wanted.items():
        async with rest(wiring, token) as client:
            answers = [await client.get(f"/v1/tenants/acme/{path}") for path in paths]
        assert tuple(answer.status_code for answer in answers) == statuses, token
        named = {answer.json().get("support_contact") for answer in answers if answer.is_error}
        assert named == ({None} if 404 in statuses else {"Support <help@vendor.example>"}), "of the token's tenant, never of the path's"
    async with rest(wiring, "a|acme|log:read") as client:
        missing = await client.get("/v1/tenants/acme/emails/none")
        assert (missing.status_code, missing.json()["support_contact"]) == (404, "Support <help@vendor.example>")
    async with rest(wiring) as client:
        del client.headers["authorization"]
        assert {(await client.get(f"/v1/tenants/acme/{path}")).status_code for path in paths} == {401}


async def test_row_level_security_hides_the_rows_of_other_tenants(notifier: Notifier) -> None:
    async with notifier.running(sending=False) as wiring:
        await notifier.send(tenant_created(), person_added("p1"))
        await notifier.until_read(list(wiring.consumers))
    tables = (
        "tenants",
        "people",
        "notifications",
        "emails",
        "actions",
        "quotes",
        "tenant_clocks",
        "rejected_commands",
        "pool_numbers",
        "subscriptions",
        "open_pools",
    )
    for table in tables:
        async with notifier.database.unit_of_work("other") as uow:
            assert (await uow.connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one() == 0, table


async def test_E9_a_viewset_hides_entries_and_e_mails_about_other_people(notifier: Notifier) -> None:
    people = [person_added("boss", administrator=True), person_added("p1", department="Makers"), person_added("p2", department="Sales")]
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), *people)
        await notifier.send(notifier.assigned("p1", flagged()), notifier.assigned("p2", flagged()))
        await notifier.until_idle(wiring)
        async with rest(wiring, "p3|acme|log:read|Makers") as limited, rest(wiring, "p2|acme|log:read|") as own, rest(wiring) as operator:

            async def seen(client: httpx.AsyncClient) -> tuple[set[str | None], set[str]]:
                log = (await client.get("/v1/tenants/acme/actions")).json()["items"]
                exported = (await client.get("/v1/tenants/acme/actions?format=jsonl")).text.splitlines()
                assert len(exported) == len(log)
                emails = (await client.get("/v1/tenants/acme/emails")).json()["items"]
                return {entry["user"] for entry in log}, {each["to"].partition("@")[0] for each in emails}

            assert await seen(limited) == ({None, "p1"}, {"p1"})
            assert await seen(own) == ({None, "p2"}, {"p2"}), "readers see themselves"
            everybody = {"boss", "p1", "p2"}
            assert await seen(operator) == ({None, *everybody}, everybody)
            for each in (await operator.get("/v1/tenants/acme/emails")).json()["items"]:
                status = (await limited.get(f"/v1/tenants/acme/emails/{each['id']}")).status_code
                assert status == (200 if each["user"] == "p1" else 404)


async def test_E9_a_viewset_hides_the_other_people_of_an_entry_and_counts_them(notifier: Notifier) -> None:
    """p1 is seen. p2 is hidden, and so is p9, of whom the notifier knows nothing yet."""
    about: dict[str, Any] = {"at": NOON, "actor": ANNA}
    fields: dict[str, Any] = {"revision": 1, "from_revision": 2, "from_user": "p2"}
    need = seats_v1.Need(modules=("time",), created_at=NOON)
    moved = {"released": (), "from_released": (), "moved": ("time",), "modules": (active(),), "need": need}
    events = [
        users_v1.ConflictFound(**about, user="p1", conflict="several_people", people=("p2", "p3", "p9")),
        users_v1.PossibleDuplicates(**about, source="hr/new", people=7, other_source="hr/old", other_people=8),
        users_v1.PersonSeparated(**about, user="p1", source="hr/new", external_id="7", from_user="p2"),
        seats_v1.ReplacementRefused(**notifier.decision(user="p1", reason="already_seated", **fields)),
        seats_v1.SeatsMoved(**notifier.decision(user="p2", **fields | {"from_user": "p1"}, **moved)),
    ]
    people = [person_added("p1", department="Makers"), person_added("p2", department="Sales"), person_added("p3", department="Makers")]
    conflict, separated = {"conflict": "several_people", "by": ""}, {"source": "hr/new"}
    duplicates = {"source": "hr/new", "people": 7, "other_source": "hr/old", "other_people": 8}
    limited = {
        "conflict_found": conflict | {"people": ["p3"], "hidden": 2},
        "possible_duplicates": duplicates,
        "person_separated": separated | {"from_user": None, "hidden": 1},
        "replacement_refused": {"from_user": None, "hidden": 1},
        "seat_moved": {"answer": "seats_moved", "moved_to": None, "hidden": 1},
    }
    everything = {
        "conflict_found": conflict | {"people": ["p2", "p3", "p9"]},
        "possible_duplicates": duplicates,
        "person_separated": separated | {"from_user": "p2"},
        "replacement_refused": {"from_user": "p2"},
        "seat_moved": {"answer": "seats_moved", "moved_to": "p2"},
    }
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), *people)
        await notifier.send(*events)
        await notifier.until_idle(wiring)
        path = "/v1/tenants/acme/actions"
        readers = {"boss|acme|log:read|Makers": limited, "boss|acme|log:read": everything, "op|*|operator": everything}
        for token, expected in readers.items():
            async with rest(wiring, token) as client:
                shown_to = (await client.get(path)).json()["items"]
                lines = [orjson.loads(line) for line in (await client.get(f"{path}?format=jsonl")).text.splitlines()]
                cells = list(csv.DictReader(io.StringIO((await client.get(f"{path}?format=csv")).text)))
            for found in (shown_to, lines, [row | {"details": orjson.loads(row["details"] or "{}")} for row in cells]):
                assert {each["type"]: each["details"] for each in found if each["type"] in expected} == expected, token


async def test_E9_a_viewset_hides_actors_and_the_values_of_rejected_commands(notifier: Notifier) -> None:
    """p1 is seen, p2 is hidden, and so is p9, of whom the notifier knows nothing yet. A program is nobody whom a viewset hides."""
    by: dict[str, Any] = {
        name: Actor(kind=kind, id=name) for name, kind in (("p1", "user"), ("p2", "user"), ("p9", "user"), ("app", "client"))
    }
    mapped: list[Any] = [users_v1.DepartmentMapped(at=NOON, actor=actor, department=name, profile="makers") for name, actor in by.items()]
    money: dict[str, Any] = {"at": NOON, "actor": by["p1"], "quote": "q1"}
    requests: list[Any] = [invoicing_v1.QuoteExpired(**money, requested_by=by[name]) for name in ("p1", "p2")]
    wrong: dict[str, Any] = {"field": "from_user", "value": "p2", "expected": "another user"}
    rejected: list[Any] = [seats_v1.CommandRejected(**notifier.decision(**wrong | {"user": user})) for user in (None, "p1", "p2")]
    people = [person_added("p1", department="Makers"), person_added("p2", department="Sales")]
    async with notifier.running() as wiring:
        await notifier.send(tenant_created(), *people)
        await notifier.send(*mapped, *requests, *rejected)
        await notifier.until_idle(wiring)
        path, limited = (
            "/v1/tenants/acme/actions?type=department_mapped&type=quote_expired&type=command_rejected",
            "boss|acme|log:read|Makers",
        )
        async with rest(wiring, "boss|acme|log:read") as client:
            everything = (await client.get(path)).json()["items"]
        async with rest(wiring, limited) as client:
            shown_to = (await client.get(path)).json()["items"]
            lines = [orjson.loads(line) for line in (await client.get(f"{path}&format=jsonl")).text.splitlines()]
            cells = list(csv.DictReader(io.StringIO((await client.get(f"{path}&format=csv")).text)))
            by_actor = {actor: len((await client.get(f"{path}&actor={actor}")).json()["items"]) for actor in (*by, "hidden", "rules")}
    actors = {each["details"]["department"]: each["actor"]["id"] for each in shown_to if each["type"] == "department_mapped"}
    assert actors == {"p1": "p1", "p2": "hidden", "p9": "hidden", "app": "app"}
    assert sorted(each["actor"] for each in cells) == sorted(each["actor"]["id"] for each in shown_to)
    assert lines[::-1] == shown_to
    asked = [each["details"] for each in shown_to if each["type"] == "quote_expired"]
    assert [(each["requested_by"]["id"], each.get("hidden")) for each in asked] == [("hidden", 1), ("p1", None)]
    refused_to = [(each["user"], each["details"]) for each in shown_to if each["type"] == "command_rejected"]
    assert refused_to == [(user, wrong | {"value": None}) for user in ("p1", None)]
    assert by_actor == {"p1": 3, "p2": 0, "p9": 0, "app": 1, "hidden": 0, "rules": 2}
    assert [each["actor"]["id"] for each in everything if each["type"] == "department_mapped"] == ["app", "p9", "p2", "p1"]
    assert [each["details"] for each in everything if each["type"] == "command_rejected"] == [wrong] * 3

"""kill -9 of each process in the middle of an import loses and doubles nothing; a server that is gone for 20 s is waited for."""

import asyncio
from collections import Counter
from functools import partial

import httpx
import pytest

from cli.console import CliError
from tests.bench.people_bench import kill_users
from tests.support.log import seat_log
from tests.support.stack import RunningStack
from tests.support.tenant import ADD_ON, BASE, DAY, Tenant, kafka_of, open_rest, open_tenant, until_decided
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]
PEOPLE, LICENCES, EXTRA_LICENCES = 150, 120, 10
FLAGGED, REFUSED = PEOPLE - LICENCES, PEOPLE // 10 - EXTRA_LICENCES
CHUNK_EVENTS = 3
STAGED = 2_000  # people of the staged import: eight transactions
CHANGED, CHANGED_IN_FULL = 300, 5_000  # people with a changed profile; the second one with --full-sizes
OUTAGE_SECONDS = 20.0
MAIL_CONNECTIONS = 2  # the notifier's default


async def check_nothing_lost_nothing_doubled(stack: RunningStack, tenant: Tenant) -> None:
    """The log first, then each service's own account of it."""
    log = await seat_log(kafka_of(stack), tenant.id)
    assert (log.unanswered, log.answered_twice, log.conflicting) == ((), (), ())
    assert log.needs == PEOPLE
    figures = await tenant.statistics()
    wanted = {"flagged": FLAGGED, "revoked": 0, "refused": REFUSED}
    assert {service: {name: figures[service][name] for name in wanted} for service in ("users", "seats", "notifier")} == dict.fromkeys(
        ("users", "seats", "notifier"), wanted
    )
    assert (figures["users"]["hired"], figures["users"]["active"]) == (PEOPLE, PEOPLE)
    await check_users_shows_what_seats_holds(tenant)
    # In order of arrival: the last ones are over the limit, whatever died in between.
    shown = await tenant.people_by_id()
    flagged = sorted(int(key) for key, person in shown.items() if state(person, BASE) == "flagged")
    assert flagged == list(range(LICENCES + 1, PEOPLE + 1))
    refused = sorted(int(key) for key, person in shown.items() if state(person, ADD_ON) == "refused")
    assert refused == list(range(10 * (EXTRA_LICENCES + 1), PEOPLE + 1, 10))


def state(person: dict[str, object], module: str) -> str | None:
    modules = person["modules"]
    assert isinstance(modules, list)
    return next((seat["state"] for seat in modules if seat["module"] == module), None)


async def check_users_shows_what_seats_holds(tenant: Tenant) -> None:
    held = {key: (seat["state"], seat.get("deadline")) for key, seat in (await tenant.seats()).items()}
    shown = {
        (person["user"], seat["module"]): (seat["state"], seat["deadline"])
        for person in (await tenant.people_by_id()).values()
        for seat in person["modules"]
        if seat["state"] in ("active", "flagged", "held", "waiting")
    }
    assert shown == held


async def check_mails(stack: RunningStack, tenant: Tenant, *, doubled_max: int) -> None:
    """One to each flagged person. Between the mail server's yes and the row that says so a mail can be sent twice: SMTP's own window, as
    wide as there are connections, and open only when the notifier or its database dies in it."""
    addresses = {f"p{number}@{tenant.id}.example" for number in range(LICENCES + 1, PEOPLE + 1)}
    got = Counter(address for mail in await stack.mails() for address in mail["recipients"] if address in addresses)
    assert set(got) == addresses
    assert sum(count - 1 for count in got.values()) <= doubled_max


async def users_are_ready(stack: RunningStack) -> bool:
    try:
        async with httpx.AsyncClient(base_url=stack.addresses["services"]["users"]) as http:
            return (await http.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


async def send_until_taken(stack: RunningStack, tenant: Tenant, is_disturbed: asyncio.Event) -> None:
    """In small requests, so that it takes a while, and the second half after the disturbance: seats may be slower than the requests. Where
    users or its database dies under one, the file is sent again from its start."""
    people = tenant.people(PEOPLE)
    while True:
        try:
            for half in (people[: PEOPLE // 2], people[PEOPLE // 2 :]):
                sent = await tenant.send(half, chunk_events=CHUNK_EVENTS)
                assert (sent.accepted, sent.rejected) == (len(half), [])
                await is_disturbed.wait()
        except (CliError, httpx.HTTPError):
            await wait_until(partial(users_are_ready, stack), what="users to be ready again")
        else:
            return


@pytest.mark.parametrize("part", ["users", "seats", "invoicing", "notifier", "kafka", "postgres"])
async def test_a_kill_in_the_middle_of_an_import_loses_and_doubles_nothing(stack: RunningStack, part: str) -> None:
    if not stack.owns(part):
        pytest.skip(f"{part} is somebody else's here")
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=LICENCES, extra_licences=EXTRA_LICENCES)
        starts, is_killed = stack.starts(part), asyncio.Event()
        sending = asyncio.create_task(send_until_taken(stack, tenant, is_killed))
        await until_decided(tenant, at_least=PEOPLE // 5)
        stack.kill(part)
        is_killed.set()
        await sending
        await stack.until_ready()
        await tenant.stage.until_idle()
        assert stack.starts(part) > starts, "nothing was killed"
        await check_mails(stack, tenant, doubled_max=MAIL_CONNECTIONS if part in ("notifier", "postgres") else 0)
        await check_nothing_lost_nothing_doubled(stack, tenant)


async def test_a_kill_while_a_staged_import_is_applied_changes_nobody_twice_and_leaves_nobody_out(stack: RunningStack) -> None:
    if not stack.owns("users"):
        pytest.skip("users is somebody else's here")
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=STAGED - 100)
        imports = f"/v1/tenants/{tenant.id}/imports"
        begun = await rest.post("users", imports, {"source": tenant.source})
        path = f"{imports}/{begun['import']}"
        known = {"since": DAY.isoformat(), "department": "Everybody"}
        for first in range(0, STAGED, 1_000):
            people = [
                {
                    "external_id": f"{number:05}",
                    "employment": [{"starts_on": DAY.isoformat()}],
                    "attributes": [known | {"login": f"p{number}"}],
                }
                for number in range(first, first + 1_000)
            ]
            assert (await rest.put("users", f"{path}/people/{first}", {"people": people}))["accepted"] == 1_000
        await rest.post("users", f"{path}/check")
        await rest.post("users", f"{path}/apply")

        async def is_in_the_middle() -> bool:
            row = await rest.get("users", path)
            assert row["status"] == "applying", "the import is over before its middle: make it longer"
            return bool(0 < row["done"] < row["total"])

        async def is_applied() -> bool:
            return bool((await rest.get("users", path))["status"] == "applied")

        starts = stack.starts("users")
        await wait_until(is_in_the_middle, what="the middle of the import")
        stack.kill("users")
        await stack.until_ready()
        await wait_until(is_applied, what="the import to be applied")
        await tenant.stage.until_idle()
        assert stack.starts("users") > starts, "nothing was killed"
        log = await seat_log(kafka_of(stack), tenant.id)
        assert (log.unanswered, log.answered_twice, log.conflicting, log.needs) == ((), (), (), STAGED)
        shown = await tenant.people_by_id()
        flagged = sorted(number for number, person in shown.items() if state(person, BASE) == "flagged")
        assert (len(shown), flagged) == (STAGED, [f"{number:05}" for number in range(STAGED - 100, STAGED)])
        await check_users_shows_what_seats_holds(tenant)


async def test_a_kill_while_a_changed_profile_is_applied_requests_the_new_module_once_for_everybody(
    stack: RunningStack, full_sizes: bool
) -> None:
    if not stack.owns("users"):
        pytest.skip("users is somebody else's here")
    people = CHANGED_IN_FULL if full_sizes else CHANGED
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=people, extra_licences=people)
        await tenant.send([fact.model_copy(update={"department": "Everybody"}) for fact in tenant.people(people)])
        await tenant.stage.until_idle()
        starts = stack.starts("users")
        killing = asyncio.create_task(kill_users(stack, tenant, people))
        profile = {"name": "Everybody", "modules": [BASE, ADD_ON], "partial": False}
        answer = await rest.put("users", tenant.stage.path("profiles/everybody"), profile)
        await killing
        await stack.until_ready()
        await tenant.stage.until_idle()
        assert stack.starts("users") > starts, "nothing was killed"
        assert answer["profile"] == "everybody"
        log = await seat_log(kafka_of(stack), tenant.id)
        assert (log.unanswered, log.answered_twice, log.conflicting, log.needs) == ((), (), (), 2 * people)
        assert {state(person, ADD_ON) for person in (await tenant.people_by_id()).values()} == {"active"}
        await check_users_shows_what_seats_holds(tenant)


@pytest.mark.parametrize("part", ["kafka", "postgres"])
async def test_a_server_that_is_gone_for_20_seconds_is_waited_for(stack: RunningStack, part: str) -> None:
    if not stack.owns(part):
        pytest.skip(f"{part} is somebody else's here")
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=LICENCES, extra_licences=EXTRA_LICENCES)
        is_down = asyncio.Event()
        sending = asyncio.create_task(send_until_taken(stack, tenant, is_down))
        await until_decided(tenant, at_least=PEOPLE // 5)
        await stack.down(part)
        is_down.set()
        await asyncio.sleep(OUTAGE_SECONDS)  # the length of the outage is what is tested
        await stack.up(part)
        await sending
        await stack.until_ready()
        await tenant.stage.until_idle()
        await check_nothing_lost_nothing_doubled(stack, tenant)


async def test_a_repeated_hr_file_changes_nothing(stack: RunningStack) -> None:
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=LICENCES, extra_licences=EXTRA_LICENCES)
        await tenant.send(tenant.people(PEOPLE))
        await tenant.stage.until_idle()
        before, log_before = await tenant.statistics(), await seat_log(kafka_of(stack), tenant.id)
        assert (await tenant.send(tenant.people(PEOPLE))).accepted == PEOPLE
        await tenant.stage.until_idle()
        assert await tenant.statistics() == before
        assert await seat_log(kafka_of(stack), tenant.id) == log_before
        await check_nothing_lost_nothing_doubled(stack, tenant)

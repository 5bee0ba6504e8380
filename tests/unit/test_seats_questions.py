"""What-if and forecast are limited: what they touch, how many run at once, and how long they delay anything else."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from joserfc.jwk import KeySet

from services.seats import domain
from services.seats.api import forecast, make_app, pools, seats
from services.seats.api import what_if as what_if_route
from services.seats.api.dependencies import OwnedTenants
from services.seats.api.requests import WhatIf, WhatIfCommand
from services.seats.decider import DomainDecider
from services.seats.domain.rows import ACTIVE, PoolRow, Seat, TenantRow
from services.seats.engine.frames import NOTHING
from services.seats.main import tune_interpreter
from services.seats.replay import audit_trail
from services.seats.settings import Settings
from services.seats.use_cases import what_if
from shared.errors import Refused
from shared.web import Verifier
from tests.support.apps import KEY, bearer
from tests.support.seats_harness import START, SeatsHarness
from tests.support.seats_rows import person

PEOPLE = 100_000
PROBE_SECONDS, PAUSE_SECONDS_MAX = 0.010, 0.100


def live_of(rows: dict[str, domain.Row], offset: int = 0) -> Any:
    decider = DomainDecider(0)
    decider.load(rows)
    durable = SimpleNamespace(marker=NOTHING)
    return SimpleNamespace(number=0, decider=decider, clock_ms=domain.to_ms(START), rules=1, decided=offset, durable=durable)


def worker_of(live: Any) -> Any:
    lock = asyncio.Lock()

    @asynccontextmanager
    async def between_batches() -> AsyncIterator[None]:
        async with lock:
            yield

    engine = SimpleNamespace(live={0: live}, between_batches=between_batches)
    return SimpleNamespace(settings=Settings(seats_partitions=1), ready=True, history=None, engine=engine)


def owned_tenants(live: Any) -> OwnedTenants:
    return OwnedTenants(worker_of(live), None)  # type: ignore[arg-type]


@pytest.fixture
def harness() -> SeatsHarness:
    harness = SeatsHarness()
    harness.pool("time", 1)
    for user in ("ada", "ben", "cid"):
        harness.assign(user, "time")
    return harness


def question(*commands: tuple[str, dict[str, Any]]) -> WhatIf:
    return WhatIf(commands=[WhatIfCommand(type=type_, data=data) for type_, data in commands])


CLOSE = question(("close_pool", {"module": "time", "at": "now"}))


async def refusal(asked: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        await asked
    return refused.value.type, refused.value.detail


async def test_a_question_beyond_its_budget_or_with_a_too_large_answer_is_refused_with_advice(
    harness: SeatsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = live_of(harness.rows, harness.offset)
    owned, later = owned_tenants(live), START + timedelta(days=9)
    seen = orjson.loads((await forecast.forecast(owned, "acme", later)).body)
    assert [event["data"]["user"] for event in seen["events"]] == ["ben", "cid"]
    (decided,) = orjson.loads((await what_if_route.decide_on_a_copy(owned, "acme", CLOSE)).body)["decisions"]
    assert len(decided) == 4
    live.decided += 1  # the answer to a forecast is kept until then
    for name, limit, why_ in (("BUDGET", 2, "more than 2 changes"), ("ANSWER_BYTES_MAX", 900, "more than 900 bytes")):
        with monkeypatch.context() as patched:
            patched.setattr(what_if, name, limit)
            for asked, split in (
                (forecast.forecast(owned, "acme", later), "earlier time"),
                (what_if_route.decide_on_a_copy(owned, "acme", CLOSE), "fewer commands"),
            ):
                type_, detail = await refusal(asked)
                assert type_ == "too-large"
                assert why_ in detail
                assert split in detail
    assert dict(live.decider.tenants["acme"].rows()) == harness.rows


class Held:
    """An answer that takes until it is let go."""

    def __init__(self) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.budgets: list[domain.Budget] = []

    def __call__(self, snapshot: what_if.Snapshot, budget: domain.Budget) -> bytes:
        self.budgets.append(budget)
        self.began.set()
        assert self.go.wait(30)
        return b"{}"


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.go.set()


QUESTIONS = [
    ("POST", "what-if", {"json": CLOSE.model_dump()}, "Send fewer commands"),
    ("GET", "forecast", {"params": {"at": f"{START + timedelta(days=9):%FT%TZ}"}}, "Ask for an earlier time"),
]


@pytest.mark.parametrize(("method", "path", "sent", "split"), QUESTIONS)
async def test_rest_refuses_a_too_large_question_and_one_too_many_with_advice(
    harness: SeatsHarness, held: Held, monkeypatch: pytest.MonkeyPatch, method: str, path: str, sent: dict[str, Any], split: str
) -> None:
    assert (what_if.BUDGET, what_if.ANSWER_BYTES_MAX, what_if.WAIT_SECONDS_MAX) == (20_000, 4 * 1024 * 1024, 1)
    live = live_of(harness.rows, harness.offset)
    app = make_app(worker_of(live), None)  # type: ignore[arg-type]
    app.state.verifier = Verifier(keys=lambda: KeySet([KEY]))
    headers = {"authorization": bearer("acme", "account:read")}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:

        async def ask() -> httpx.Response:
            return await client.request(method, f"/v1/tenants/acme/{path}", **sent)

        assert (await ask()).status_code == 200
        live.decided += 1  # the answer to a forecast is kept until then
        with monkeypatch.context() as patched:
            patched.setattr(what_if, "BUDGET", 2)
            refused = (await ask()).json()
        assert (refused["status"], refused["type"], refused["changes_max"]) == (413, "urn:seatpool:problem:too-large", 2)
        assert split in refused["detail"]
        monkeypatch.setattr(what_if, "WAIT_SECONDS_MAX", 0.05)
        for name in ("what_if", "forecast"):
            monkeypatch.setattr(what_if, name, lambda snapshot, budget, **_: held(snapshot, budget))
        running = asyncio.ensure_future(ask())
        while not held.budgets:
            await asyncio.sleep(0.001)
        busy = await ask()
        assert (busy.status_code, busy.headers["retry-after"], busy.json()["type"]) == (429, "2", "urn:seatpool:problem:too-many-requests")
        held.go.set()
        assert (await running).status_code == 200


@pytest.fixture
def asking(harness: SeatsHarness) -> Callable[[str, what_if.Answer], Any]:
    """Asks for tenants that all look alike."""
    live, questions = live_of(harness.rows), what_if.Questions()

    @asynccontextmanager
    async def settled() -> AsyncIterator[tuple[Any, domain.Tenant]]:
        yield live, live.decider.tenants["acme"]

    return lambda tenant, answer: asyncio.ensure_future(questions.ask(tenant, settled(), answer, "Ask less."))


async def test_one_question_per_tenant_and_two_per_worker_run_at_once_and_a_further_one_is_refused(
    asking: Any, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_if, "WAIT_SECONDS_MAX", 0.05)
    running = [asking("acme", held), asking("other", held)]
    while len(held.budgets) < 2:
        await asyncio.sleep(0.001)
    for tenant in ("acme", "third"):
        with pytest.raises(Refused) as refused:
            await asking(tenant, held)
        assert (refused.value.type, refused.value.extra["retry_after_seconds"]) == ("too-many-requests", 2)
    monkeypatch.setattr(what_if, "WAIT_SECONDS_MAX", 30)
    waiting = [asking("acme", held), asking("third", held)]
    held.go.set()
    assert await asyncio.gather(*running, *waiting) == [b"{}"] * 4


async def test_a_question_that_is_cancelled_or_takes_too_long_is_stopped_and_counts_until_then(
    asking: Any, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread ends at the next change that it makes."""
    monkeypatch.setattr(what_if, "WAIT_SECONDS_MAX", 0.05)
    gone = asking("acme", held)
    while not held.began.is_set():
        await asyncio.sleep(0.001)
    gone.cancel()
    assert (await refusal(asking("acme", held)))[0] == "too-many-requests"
    with pytest.raises(domain.BudgetExceeded):
        held.budgets[0].spend()
    monkeypatch.setattr(what_if, "ANSWER_SECONDS_MAX", 0.01)
    assert await refusal(asking("other", held)) == ("too-large", "The answer takes longer than 0 seconds. Ask less.")
    held.go.set()
    monkeypatch.setattr(what_if, "ANSWER_SECONDS_MAX", 30)
    monkeypatch.setattr(what_if, "WAIT_SECONDS_MAX", 30)
    assert await asking("acme", held) == b"{}"


async def test_no_decision_comes_between_the_slices_of_rows_that_a_question_reads(
    harness: SeatsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_if, "ROWS_AT_ONCE", 1)
    live = live_of(harness.rows, harness.offset)
    owned = owned_tenants(live)
    asked = asyncio.ensure_future(what_if_route.decide_on_a_copy(owned, "acme", CLOSE))
    await asyncio.sleep(0)
    async with owned.between_batches("acme", None) as (_, state):  # where a batch of commands is decided
        state.put_user("zoe", state.users["ada"])
    (decided,) = orjson.loads((await asked).body)["decisions"]
    assert [event["data"].get("user") for event in decided] == [None, "ada", "ben", "cid"]


async def test_the_loop_does_other_work_after_each_ten_thousand_rows_that_a_question_reads() -> None:
    read, seen = 0, [0]

    def rows() -> Iterator[tuple[str, domain.Row]]:
        nonlocal read
        for number in range(25_000):
            read += 1
            yield f"acme|u{number}", person({})

    async def look() -> None:
        while read < 25_000:
            seen.append(read)
            await asyncio.sleep(0)

    live: Any = live_of({})
    state: Any = SimpleNamespace(id="acme", rows=rows)
    looking = asyncio.ensure_future(look())
    taken = await what_if._snapshot(live, state)
    await looking
    assert len(taken.rows) == 25_000
    assert set(seen) == {0, 10_000, 20_000}


async def test_pages_of_seats_show_new_people_in_the_order_of_their_ids(harness: SeatsHarness) -> None:
    live = live_of(harness.rows)
    owned, state = owned_tenants(live), live.decider.tenants["acme"]
    assert [seat.user for seat in (await seats.list_seats(owned, "acme")).items] == ["ada", "ben", "cid"]
    for user in ("bob", "abe"):
        state.put_user(user, state.users["cid"])
    assert [seat.user for seat in (await seats.list_seats(owned, "acme")).items] == ["abe", "ada", "ben", "bob", "cid"]
    # users compares the people of a range, page by page.
    page = await seats.list_seats(owned, "acme", from_user="ada", to_user="bob", limit=2)
    rest = await seats.list_seats(owned, "acme", from_user="ada", to_user="bob", limit=2, cursor=page.next)
    assert [[seat.user for seat in each.items] for each in (page, rest)] == [["ada", "ben"], ["bob"]]
    assert rest.next is None
    assert [seat.user for seat in (await seats.list_seats(owned, "acme", from_user="ab", to_user="ac")).items] == ["abe"]


async def test_pools_come_in_pages_in_the_order_of_their_modules(harness: SeatsHarness) -> None:
    for module in ("plan", "docs"):
        harness.pool(module, 1)
    owned = owned_tenants(live_of(harness.rows))
    one = await pools.list_pools(owned, "acme", limit=2)
    two = await pools.list_pools(owned, "acme", limit=2, cursor=one.next)
    assert [[pool.module for pool in page.items] for page in (one, two)] == [["docs", "plan"], ["time"]]
    assert two.next is None
    assert (await pools.list_pools(owned, "acme", limit=3)).next is None


@pytest.fixture
def as_in_a_worker() -> Iterator[None]:
    """The interpreter as `main` sets it, without what the test run itself has collected."""
    before = gc.get_threshold(), sys.getswitchinterval()
    tune_interpreter()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*before[0])
    sys.setswitchinterval(before[1])


def large_company() -> dict[str, domain.Row]:
    docs = 9_000  # closed, 18,001 changes
    rows: dict[str, domain.Row] = {domain.tenant_key("acme"): TenantRow(False, 0, 0)}
    for module, licences in (("time", PEOPLE), ("docs", docs)):
        rows[domain.pool_key("acme", module)] = PoolRow(True, licences, licences, over_limit="flag", reduce_below_use="flag_newest")
    both, one = {module: Seat(ACTIVE, 1, 0, None) for module in ("time", "docs")}, {"time": Seat(ACTIVE, 1, 0, None)}
    for number in range(PEOPLE):
        seats = both if number < docs else one
        rows[domain.user_key("acme", f"person-{number}")] = person(seats, created_at=number)
    return rows


async def longest_pause(asked: Any) -> tuple[float, Any]:
    """How much later than asked for the loop came back to a probe, at worst, until the answer was there. The time of this process counts:
    other work on the machine may stop it for longer."""
    worst, answer = 0.0, asyncio.ensure_future(asked)
    while not answer.done():
        began = time.process_time()
        await asyncio.sleep(PROBE_SECONDS)
        worst = max(worst, time.process_time() - began - PROBE_SECONDS)
    return worst, await asyncio.gather(answer, return_exceptions=True)


@pytest.mark.usefixtures("as_in_a_worker")
async def test_the_event_loop_runs_on_while_the_largest_permitted_question_about_100_000_people_runs() -> None:
    owned = owned_tenants(live_of(large_company()))
    gc.freeze()
    closed = question(("close_pool", {"module": "docs", "at": "now"}))
    nothing: dict[str, Any] = {"expected": {"pools": []}}
    reduced = question(*[("schedule_reduction", nothing | {"items": [{"module": "time", "quantity": PEOPLE - n}]}) for n in (1, 2, 3)])
    beyond = question(("close_pool", {"module": "time", "at": "now"}))
    for asked, answer in ((closed, "seat_released"), (reduced, "would_flag"), (beyond, "more than 20000 changes")):
        pause, (result,) = await longest_pause(what_if_route.decide_on_a_copy(owned, "acme", asked))
        assert answer in (result.detail if isinstance(result, Refused) else result.body.decode())
        assert pause <= PAUSE_SECONDS_MAX


async def test_why_ends_in_time_and_says_that_the_chain_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    async def link(_: object, tenant: str, user: str, partition: int, offset: int) -> tuple[audit_trail.Link, int]:
        return audit_trail.Link(partition=partition, offset=offset, command={}, decisions=[]), offset - 1

    monkeypatch.setattr(audit_trail, "_link", link)
    log: Any = SimpleNamespace(kept=nullcontext)

    async def offsets() -> tuple[list[int], bool]:
        chain, complete = await audit_trail.explain(log, "acme", "ada", 0, 9, 3)
        return [each.offset for each in chain], complete

    assert await offsets() == ([9, 8, 7], False)
    monkeypatch.setattr(audit_trail, "ANSWER_SECONDS_MAX", 0)
    assert await offsets() == ([9], False)


async def test_a_forecast_is_computed_once_for_each_position_of_the_log(harness: SeatsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def counted(snapshot: what_if.Snapshot, *arguments: Any, **named: Any) -> bytes:
        computed.append((snapshot.tenant, snapshot.offset))
        return compute(snapshot, *arguments, **named)

    compute = what_if.forecast
    monkeypatch.setattr(what_if, "forecast", counted)
    monkeypatch.setattr(what_if, "KEPT_MAX", 2)
    live = live_of(harness.rows, harness.offset)
    owned, at = owned_tenants(live), START + timedelta(days=8)

    async def asked(days: int = 0) -> Any:
        return orjson.loads((await forecast.forecast(owned, "acme", at + timedelta(days=days))).body)

    first = await asked()
    assert [await asked() for _ in range(3)] == [first] * 3
    assert len(computed) == 1
    live.decided += 1
    assert (await asked())["events"] != first["events"], "they name the position"
    assert (await asked(1))["at"] != first["at"]
    assert len(computed) == 3, "another position, another time"
    for days in (2, 1, 0):
        await asked(days)
    assert len(computed) == 5, "two answers are kept"

"""Verify, on logs made in memory: what it finds, and that it need not keep a whole log to find it."""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import orjson
import pytest

from services.seats import domain
from services.seats.engine.frames import Marker, Row
from services.seats.replay import in_turn
from services.seats.replay import replay as module
from services.seats.replay.log_reader import LogReader
from services.seats.replay.replay import Decisions, Replay, Report
from shared.schemas.envelope import VENDOR_KEY
from shared.settings import KafkaSettings
from tests.chaos.checker import Logged
from tests.chaos.simulate import PARTITIONS, Arrived, Logs, simulate

PARTITION = 0
NOON = "2026-03-01T12:00:00.000Z"
Change = Callable[[list[Logged]], None]


class Kept(LogReader):
    """A log reader of simulated records, as a broker would give them."""

    logs: Logs

    async def end_of(self, topic: str, partition: int) -> int:
        assert topic == self.commands
        return len(self.logs.commands)

    async def records(self, topic: str, partition: int, begin: int, end: int | None = None) -> AsyncGenerator[Any, None]:
        logs = self.logs
        times = logs.times if topic == self.commands else [0] * len(logs.events)
        keys = logs.keys if topic == self.commands else [dict(event.headers).get("ce_tenantid", VENDOR_KEY) for event in logs.events]
        found = logs.commands if topic == self.commands else logs.events
        for offset in range(begin, len(found) if end is None else end):
            record = found[offset]
            yield Arrived(partition, offset, times[offset], keys[offset], record.value or b"", record.headers)


def prepared(change: Change, monkeypatch: pytest.MonkeyPatch, commands: int = 300) -> tuple[Replay, Decisions]:
    """A replay of logs whose events were changed so, beside the live table, which is right."""
    logs = simulate(7, commands)[PARTITION]
    decisions = Decisions(PARTITION, PARTITIONS)
    for offset, command in enumerate(logs.commands):
        decisions.feed(Arrived(PARTITION, offset, logs.times[offset], logs.keys[offset], command.value or b"", command.headers))
    change(logs.events)
    kafka = KafkaSettings(seats_partitions=PARTITIONS)
    replay, kept = Replay(kafka), Kept(kafka)
    kept.logs = logs

    async def table(partition: int) -> tuple[dict[str, Row], Marker]:
        return decisions.rows, Marker(decisions.decided, decisions.clock_ms, decisions.rules)

    monkeypatch.setattr(replay, "_log", kept)
    monkeypatch.setattr(replay, "table", table)
    return replay, decisions


async def verified(change: Change, monkeypatch: pytest.MonkeyPatch, commands: int = 300) -> Report:
    report = Report()
    replay, decisions = prepared(change, monkeypatch, commands)
    await replay._verify(PARTITION, None, report)
    assert report.counts["commands"] == decisions.decided + 1
    return report


def nothing(events: list[Logged]) -> None:
    pass


def lost(events: list[Logged]) -> None:
    del events[-1]


def never_decided(events: list[Logged]) -> None:
    made_up = tuple((name, value.rpartition(b"/")[0] + b"/99" if name == "ce_id" else value) for name, value in events[50].headers)
    events.insert(51, Logged(51, made_up, events[50].value))


def other_bytes(events: list[Logged]) -> None:
    events[50] = Logged(50, events[50].headers, (events[50].value or b"") + b" ")


def forged(change: Callable[[dict[str, Any]], None], **headers: str) -> Change:
    """A record that another writer puts behind a decision, in its words but for these."""

    def insert(events: list[Logged]) -> None:
        said = {"ce_id": events[50].header("ce_id").rpartition("/")[0] + "/99"} | headers
        body = orjson.loads(events[50].value or b"")
        change(body)
        made_up = tuple((name, said.get(name, value.decode()).encode()) for name, value in events[50].headers)
        events.insert(51, Logged(51, made_up, orjson.dumps(body)))

    return insert


def about_nobody(body: dict[str, Any]) -> None:
    seat = {"user": "nobody", "module": "nothing", "from": "flagged", "free_since": NOON}
    shared = {name: body[name] for name in ("command", "position", "at", "rules")}
    body.clear()
    body.update(shared | seat | {"role": "consequence", "reason": "licence_free", "source": "seatpool/users", "pools": []})


def repeated(events: list[Logged]) -> None:
    events.insert(60, events[50])


def repeated_otherwise(events: list[Logged]) -> None:
    events.insert(60, Logged(60, events[50].headers, (events[50].value or b"") + b" "))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (nothing, {}),
        (lost, {"missing": 1}),
        (never_decided, {"unknown": 1}),
        (other_bytes, {"differing": 1}),
        (repeated, {}),
        (repeated_otherwise, {"conflicting": 1}),
        # What no reader believes is passed over, and what seats cannot have said is told and ends no verification.
        (forged(lambda body: body.pop("command")), {}),
        (forged(lambda body: body.update(pools="none")), {}),
        (forged(lambda body: body.update(position={"partition": PARTITION, "offset": 0})), {}),
        (forged(lambda body: None, ce_tenantid="another"), {"unknown": 1}),
        (forged(lambda body: None, ce_type="seatpool.seats.v1.tick"), {}),
        (forged(about_nobody, ce_type="seatpool.seats.v1.seat_flag_cleared"), {"unknown": 1, "unfit": 1}),
    ],
)
async def test_verify_finds_every_difference_between_published_and_repeated_decisions(
    change: Change, found: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await verified(change, monkeypatch)
    kinds = ("missing", "unknown", "differing", "conflicting", "not_compared", "unfit")
    assert {kind: report.counts[kind] for kind in kinds if report.counts[kind]} == found, report.differences
    assert report.clean == (not found)


def informed(events: list[Logged]) -> list[tuple[int, dict[str, Any]]]:
    """The decisions that carry information which releases with the same rules did not write at first."""
    return [
        (index, body)
        for index, event in enumerate(events)
        for fields in [domain.INFORMATION.get(event.header("ce_type"), frozenset())]
        if (body := orjson.loads(event.value or b"{}")).keys() & fields
    ]


def of_an_earlier_release(events: list[Logged]) -> None:
    found = informed(events)
    types = {events[index].header("ce_type") for index, _ in found}
    assert types == set(domain.INFORMATION), "the log has each of them"
    for index, body in found:
        for field in domain.INFORMATION[events[index].header("ce_type")]:
            body.pop(field)
        events[index] = Logged(events[index].offset, events[index].headers, orjson.dumps(body))


def of_an_earlier_release_and_wrong(events: list[Logged]) -> None:
    of_an_earlier_release(events)
    index = next(index for index, event in enumerate(events) if event.header("ce_type").endswith("period_started"))
    body = orjson.loads(events[index].value or b"")
    events[index] = Logged(events[index].offset, events[index].headers, orjson.dumps(body | {"reason": "reduction"}))


def wrongly_informed(events: list[Logged]) -> None:
    index, body = next((index, body) for index, body in informed(events) if "former" in body)
    events[index] = Logged(
        events[index].offset, events[index].headers, orjson.dumps(body | {"former": [{"module": "docs", "quantity": 99}]})
    )


@pytest.mark.parametrize(("change", "differing"), [(of_an_earlier_release, 0), (of_an_earlier_release_and_wrong, 1), (wrongly_informed, 1)])
async def test_verify_accepts_decisions_of_an_earlier_release_that_lack_later_information_and_nothing_else(
    change: Change, differing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await verified(change, monkeypatch, 1000)
    assert report.counts["differing"] == differing, report.differences
    assert report.clean == (differing == 0)


def too_early(*ahead: int) -> Change:
    """Records about commands that come so much later than the decision in front of them."""

    def insert(events: list[Logged]) -> None:
        offset = int(events[50].header("ce_id").split("/")[2])
        for by in reversed(ahead):
            position = {"partition": PARTITION, "offset": offset + by}
            forged(partial(dict.update, position=position), ce_id=f"seats.commands.v1/{PARTITION}/{offset + by}/0")(events)

    return insert


@pytest.mark.parametrize(
    ("change", "foreign"),
    [
        (forged(lambda body: body.pop("command")), ["disagrees with itself"]),
        (forged(lambda body: None, ce_source="seatpool/users"), ["disagrees with itself"]),
        (forged(lambda body: None, ce_id="no-decision"), ["disagrees with itself"]),
        (too_early(10**6), ["names a command that does not exist"]),
        (too_early(20), ["came before the decisions about earlier commands"]),
        (too_early(20, 30, 10, 10**6), [*["came before the decisions about earlier commands"] * 3, "names a command that does not exist"]),
    ],
)
async def test_a_record_that_no_reader_believes_is_reported_as_foreign_and_the_rest_is_verified(
    change: Change, foreign: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await verified(change, monkeypatch)
    assert report.clean, report.differences
    assert report.counts["foreign"] == len(foreign)
    for expected in foreign:
        assert any(f"seats.events.v1/{PARTITION}/" in line and expected in line for line in report.foreign), report.foreign
    assert report.as_json()["foreign_records"] == report.foreign


@pytest.mark.parametrize("change", [nothing, too_early(10**6), too_early(20, 30)])
async def test_a_decision_about_a_command_that_did_not_exist_yet_stops_no_replay(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    replay, decisions = prepared(change, monkeypatch)
    tenants = {key.partition("|")[0] for key in decisions.rows}
    for tenant in tenants:
        expected = {key: row for key, row in decisions.rows.items() if key.startswith(f"{tenant}|")}
        assert module.canonical(await replay.state(tenant)) == module.canonical(expected)
    assert tenants


async def test_a_decision_about_a_command_that_came_during_the_comparison_is_not_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    replay, _ = prepared(lambda _: None, monkeypatch)
    kept = replay._log
    assert isinstance(kept, Kept)
    asked = [len(kept.logs.commands) // 2]  # the first answer is older than the last commands

    async def end_of(topic: str, partition: int) -> int:
        return asked.pop() if asked else len(kept.logs.commands)

    monkeypatch.setattr(kept, "end_of", end_of)
    report = Report()
    await replay._verify(PARTITION, None, report)
    assert (report.clean, report.foreign) == (True, [])


async def test_a_log_of_any_length_is_verified_with_a_few_of_its_decisions_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were published twice very long ago alone are not compared, and counted."""
    monkeypatch.setattr(module, "SEEN_MAX", 5)
    monkeypatch.setattr(in_turn, "AHEAD_MAX", 2)
    kept: list[int] = []
    first = module._Seen.first

    def looked(seen: module._Seen, *details: Any) -> bool:
        kept.append(len(seen.digests))
        return first(seen, *details)

    monkeypatch.setattr(module._Seen, "first", looked)
    report = await verified(repeated, monkeypatch)
    assert (report.clean, report.counts["not_compared"]) == (True, 1)
    assert max(kept) == 5
    assert report.counts["events"] > 100

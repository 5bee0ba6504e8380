"""The checker can fail: a sound history passes, and each planted fault is caught."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.seats.replay.replay import Report
from tests.chaos.checker import Logged, check_partition
from tests.chaos.simulate import Logs, simulate
from tests.support.seats_harness import SeatsHarness

SEED, COMMANDS = 11, 3000


@pytest.fixture(scope="module")
def sound() -> dict[int, Logs]:
    return simulate(SEED, COMMANDS)


def found(logs: dict[int, Logs]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for partition, its in logs.items():
        for law, number in check_partition(its.commands, its.events, partition).counts.items():
            counts[law] = counts.get(law, 0) + number
    return {law: number for law, number in counts.items() if law not in ("commands", "decisions", "repeated")}


def events(logs: dict[int, Logs], name: str) -> Iterator[tuple[list[Logged], int, dict[str, Any]]]:
    """(log, index in it, body) of every event of that name."""
    for its in logs.values():
        for index, event in enumerate(its.events):
            if event.header("ce_type").endswith(f".{name}"):
                yield its.events, index, orjson.loads(event.value or b"")


def planted(sound: dict[int, Logs]) -> dict[int, Logs]:
    return {partition: Logs(list(its.commands), list(its.events)) for partition, its in sound.items()}


def put(log: list[Logged], index: int, body: dict[str, Any]) -> None:
    log[index] = replace(log[index], value=orjson.dumps(body))


def test_a_sound_history_has_no_findings(sound: dict[int, Logs]) -> None:
    print(f"seed {SEED}")
    assert found(sound) == {}
    names = {event.header("ce_type").rpartition(".")[2] for its in sound.values() for event in its.events}
    assert names >= {"seats_assigned", "seats_queued", "seats_refused", "seats_moved", "seat_flagged", "seat_flag_cleared", "seat_granted"}
    assert names >= {"seat_revoked", "licences_added", "licences_reduced", "period_started", "pool_expanded", "hold_expired"}


def test_repeated_decisions_of_the_same_bytes_are_no_fault(sound: dict[int, Logs]) -> None:
    logs = planted(sound)
    logs[0].events += logs[0].events[10:20]
    assert found(logs) == {}


def test_a_decision_that_is_missing_is_found(sound: dict[int, Logs]) -> None:
    logs = planted(sound)
    log, index, _ = next(events(logs, "seats_assigned"))
    del log[index]
    assert {"unanswered", "missing"} & found(logs).keys()


def test_a_repeated_decision_of_other_bytes_is_found(sound: dict[int, Logs]) -> None:
    logs = planted(sound)
    log, index, body = next(events(logs, "seats_assigned"))
    log.append(replace(log[index], value=orjson.dumps(body | {"reason": "another"})))
    assert found(logs)["conflicting"] == 1


def test_a_doubled_answer_is_found(sound: dict[int, Logs]) -> None:
    logs = planted(sound)
    log, index, _ = next(events(logs, "seats_assigned"))
    event = log[index]
    other = event.header("ce_id").rpartition("/")[0].encode() + b"/99"
    log.insert(index + 1, replace(event, headers=tuple((k, other if k == "ce_id" else v) for k, v in event.headers)))
    assert found(logs)["conflicting"] >= 1


def test_an_over_full_pool_is_found(sound: dict[int, Logs]) -> None:
    """One seat more than there are licences: a flagged person is said to be active."""
    logs = planted(sound)
    for log, index, body in events(logs, "seats_assigned"):
        flagged = [entry for entry in body["modules"] if entry["state"] == "flagged" and entry.get("reason") == "over_limit"]
        pools = {pool["module"]: pool for pool in body["pools"]}
        if flagged and flagged[0]["module"] in pools:
            module = flagged[0]["module"]
            flagged[0].update(state="active", deadline=None, since=None)
            pools[module]["active"] += 1
            pools[module]["flagged"] -= 1
            put(log, index, body)
            break
    assert found(logs)["bound_broken"] >= 1


def test_an_answer_that_leaves_out_a_pool_is_found(sound: dict[int, Logs]) -> None:
    logs = planted(sound)
    log, index, body = next(found for found in events(logs, "seats_assigned") if found[2]["pools"])
    put(log, index, body | {"pools": []})
    assert found(logs)["bound_broken"] >= 1


def _renew(body: dict[str, Any]) -> bool:
    for entry in body["modules"]:
        if entry["state"] == "flagged" and entry.get("deadline") and entry["since"] != body["at"]:
            entry["deadline"] = "2199-01-01T00:00:00.000Z"
            return True
    return False


def test_a_renewed_grace_is_found(sound: dict[int, Logs]) -> None:
    logs = planted(sound)
    for log, index, body in events(logs, "seats_assigned"):
        if _renew(body):
            put(log, index, body)
            break
    assert found(logs)["grace_renewed"] >= 1


def test_a_seat_revoked_before_its_deadline_is_found(sound: dict[int, Logs]) -> None:
    """T6: the deadline is the person's own."""
    logs = planted(sound)
    log, index, body = next(events(logs, "seat_revoked"))
    put(log, index, body | {"at": "2026-01-01T00:00:00.000Z"})
    assert found(logs)["bound_broken"] >= 1


def _event(name: str, offset: int, n: int, **body: Any) -> Logged:
    headers = (
        ("ce_id", f"seats.commands.v1/0/{offset}/{n}".encode()),
        ("ce_type", f"seatpool.seats.v1.{name}".encode()),
        ("ce_tenantid", b"acme"),
    )
    at = f"2026-01-01T00:00:{offset:02}.000Z"
    body = {"command": f"c{offset}", "role": "answer" if n == 0 else "consequence", "at": at, "pools": []} | body
    return Logged(offset * 10 + n, headers, orjson.dumps(body))


def _command(offset: int) -> Logged:
    return Logged(
        offset, (("ce_id", f"c{offset}".encode()), ("ce_type", b"seatpool.seats.v1.assign_seats"), ("ce_tenantid", b"acme")), b"{}"
    )


def _queue(served: str) -> dict[int, Logs]:
    """u0 sits; u1 waits, then u2; u0 leaves and `served` is granted the seat."""

    def pool(active: int, waiting: int) -> list[dict[str, Any]]:
        return [{"module": "time", "licences": 1, "active": active, "flagged": 0, "held": 0, "waiting": waiting, "available": 1 - active}]

    def need(user: str, offset: int, state: str, waiting: int) -> Logged:
        modules = [{"module": "time", "state": state, "since": f"2026-01-01T00:00:{offset:02}.000Z"}]
        return _event("seats_queued", offset, 0, user=user, need={"modules": ["time"]}, modules=modules, pools=pool(1, waiting))

    log = [
        need("u0", 0, "active", 0),
        need("u1", 1, "waiting", 1),
        need("u2", 2, "waiting", 2),
        _event("seats_assigned", 3, 0, user="u0", need={"modules": []}, modules=[], released=["time"], pools=pool(1, 1)),
        _event("seat_granted", 3, 1, user=served, module="time", pools=pool(1, 1)),
    ]
    return {0: Logs([_command(offset) for offset in range(4)], log)}


@pytest.mark.parametrize(("served", "expected"), [("u1", {}), ("u2", {"passed_over": 1})])
def test_a_seat_granted_past_someone_in_the_queue_is_found(served: str, expected: dict[str, int]) -> None:
    assert found(_queue(served)) == expected


def test_a_place_in_the_queue_that_was_taken_over_is_as_old_as_it_was() -> None:
    """On a test clock whose time stands, the log's order alone tells who waits longer."""
    harness, logs = SeatsHarness(test=True), Logs()

    def log() -> None:
        logs.commands.append(replace(_command(harness.offset), headers=(("ce_id", harness.sent.id.encode() if harness.sent else b""),)))
        for event in harness.events:
            made = _event(event.type.rpartition(".")[2], harness.offset, event.n)
            logs.events.append(replace(made, value=orjson.dumps(event.body)))

    log()
    harness.pool("time", 1, over_limit="wait")
    log()
    for user in ("u0", "u1", "u2"):
        harness.assign(user, "time")
        log()
    harness.replace("u1", "u9", "time")
    log()
    assert harness.assign("u0") == ["seat_granted u9 time (seat_released)", "seats_assigned u0:"]
    log()
    assert found({0: logs}) == {}


def test_who_waits_and_could_be_served_is_found() -> None:
    logs = _queue("u1")
    del logs[0].events[-1]
    body = orjson.loads(logs[0].events[-1].value or b"")
    body["pools"][0] |= {"active": 0, "available": 1, "waiting": 2}
    put(logs[0].events, -1, body)
    assert found(logs)["bound_broken"] >= 1


@pytest.mark.parametrize(
    "plant",
    [
        lambda rows: rows.pop("acme|u1"),
        lambda rows: rows.update({"acme|u1": b"other"}),
        lambda rows: rows.update({"acme|u9": b"unknown"}),
    ],
    ids=["lost", "changed", "invented"],
)
def test_a_row_that_is_not_what_the_log_says_is_found(plant: Callable[[dict[str, bytes]], object]) -> None:
    expected = {"acme|u1": b"one", "acme|u2": b"two"}
    live = dict(expected)
    plant(live)
    report = Report()
    report.compare("state_differs", expected, live)
    assert report.counts["state_differs"] == 1
    assert not report.clean

"""The rules version changes in the middle of a log, on the real broker: the real core and engine, and a version 2 that is made up."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, NoReturn
from unittest import mock

import pytest

from services.seats import domain
from services.seats.decider import DomainDecider, RowCodec
from services.seats.domain.assignment import Outcome
from services.seats.domain.decide import decide_1
from services.seats.engine import engine as engine_module
from services.seats.engine.commands import CommandReader
from services.seats.engine.engine import Engine, Topics
from services.seats.engine.failstop import Exit
from services.seats.engine.partition import Partition
from services.seats.engine.pause import PauseDetector
from services.seats.engine.producer import KafkaSender, make_engine_producer
from services.seats.engine.restore import BulkRestore
from services.seats.replay.commands import run_activate, run_replay, run_verify, shown
from services.seats.replay.log_reader import LogReader
from services.seats.replay.replay import Replay, canonical
from services.seats.use_cases.activate_rules import activate
from shared.clock import SystemClock
from shared.kafka import started
from shared.schemas import topics
from shared.schemas.seats_v1 import Reason
from shared.settings import KafkaSettings
from tests.support.seats import commands_to, decisions

pytestmark = pytest.mark.stack


def decide_2(tenants: dict[str, domain.Tenant], command: domain.Command, clock_ms: int, rules: int) -> domain.Decision:
    """Nobody is flagged any more."""
    with mock.patch("services.seats.domain.assignment.Assignment._flag_outcome", return_value=Outcome("refused", Reason.POOL_FULL)):
        return decide_1(tenants, command, clock_ms, rules)


class Decides:
    """A worker without Faust: takes over from the changelog, then decides what stands in the topic."""

    def __init__(self, kafka: KafkaSettings, sender: KafkaSender) -> None:
        self.kafka, self.history = kafka, LogReader(kafka)
        clock = SystemClock()
        names = Topics(*[kafka.topic_name(topic) for topic in (topics.SEATS_COMMANDS, topics.SEATS_EVENTS, topics.SEATS_CHANGELOG)])
        self.engine = Engine(
            topics=names,
            reader=CommandReader(kafka.seats_partitions),
            make_decider=DomainDecider,
            codec=RowCodec(),
            sender=sender,
            read_decisions=self.history.read_decisions,
            clock=clock,
            pause=PauseDetector(clock),
        )
        self._restore = BulkRestore(kafka, names.changelog, RowCodec(), clock)

    async def run(self) -> None:
        partitions = {number: Partition() for number in range(self.kafka.seats_partitions)}
        await self._restore(partitions)
        await self.engine.take_over(partitions)
        for number in partitions:
            begin = self.engine.next_offset(number)
            await self.engine.on_records([(number, [r async for r in self.history.records(self.history.commands, number, begin)])])


@pytest.fixture
async def sender(kafka_settings: KafkaSettings) -> AsyncIterator[KafkaSender]:
    async with started(make_engine_producer(kafka_settings)) as producer:
        yield KafkaSender(producer)


async def test_the_rules_change_in_the_middle_of_a_log_and_the_replay_is_equal(
    kafka_settings: KafkaSettings, sender: KafkaSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(domain.RULES, 2, domain.Rules(decide_2, domain.RULES[1].apply_due_items))
    async with commands_to(kafka_settings) as commands:
        partition, _ = await commands.open("acme", licences=1, grace="P7D")
        for user in ("ada", "ben"):
            await commands.assign("acme", user, "time")
        switched = await activate(kafka_settings, 2)
        await commands.assign("acme", "cid", "time")
        await Decides(kafka_settings, sender).run()  # over the switch
        await commands.assign("acme", "dan", "time")
        worker = Decides(kafka_settings, sender)
        await worker.run()  # another one, that knows of the switch from the marker alone
    found = await decisions(kafka_settings, partition)
    answers = [(d.body["user"], d.body["rules"], d.body["modules"][0]["state"]) for d in found if "modules" in d.body]
    assert answers == [("ada", 1, "active"), ("ben", 1, "flagged"), ("cid", 2, "refused"), ("dan", 2, "refused")]
    assert {d.body["rules"] for d in found if d.body["position"]["offset"] < switched[partition]} == {1}
    assert switched.keys() == worker.engine.live.keys()
    assert {live.durable.marker.rules for live in worker.engine.live.values()} == {2}
    replay = Replay(kafka_settings)
    report = await replay.verify()
    assert (report.clean, report.counts["rules_not_shipped"]) == (True, 0), report
    durable = worker.engine.live[partition].durable.rows
    assert canonical(await replay.state("acme")) == canonical(durable)
    (flagged_at,) = (d.body["at"] for d in found if d.body.get("user") == "ben")
    assert await replay.compare("acme") == len(durable)
    assert [line.partition(" until")[0] for line in shown("acme", durable)[-4:]] == [
        "ada  time active",
        f"ben  time flagged since {flagged_at}",
        "cid  nothing",
        "dan  nothing",
    ]
    before = await replay.state("acme", until=f"{partition}-{switched[partition]}")
    assert domain.user_key("acme", "ben") in before
    assert domain.user_key("acme", "cid") not in before
    assert canonical(await replay.state("acme", until=flagged_at)) == canonical(before)  # nobody decided anything between the two
    await _no_longer_shipped(kafka_settings, sender, monkeypatch)


async def _no_longer_shipped(kafka: KafkaSettings, sender: KafkaSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that does not know version 2: the recorded decisions still make the state, but nobody decides by it, nor switches to it."""

    def end(code: Exit, why: str, **details: object) -> NoReturn:
        raise SystemExit(code)

    monkeypatch.delitem(domain.RULES, 2)
    monkeypatch.setattr(engine_module, "fail_stop", end)
    report = await Replay(kafka).verify()
    assert (report.clean, report.counts["rules_not_shipped"]) == (True, 1), report  # elsewhere nothing was decided after the switch
    with pytest.raises(SystemExit) as ended:
        await Decides(kafka, sender).run()
    assert ended.value.code is Exit.RULES
    with pytest.raises(SystemExit, match="does not know version 2 of the rules"):
        run_activate(["2"])


def test_the_commands_print_what_they_did_and_what_they_do_not_understand(
    kafka_settings: KafkaSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"KAFKA_BOOTSTRAP": kafka_settings.kafka_bootstrap, "KAFKA_TOPIC_PREFIX": kafka_settings.kafka_topic_prefix}
    for name, value in {**given, "SEATS_PARTITIONS": kafka_settings.seats_partitions}.items():
        monkeypatch.setenv(f"SEATPOOL_{name}", str(value))
    run_activate(["1"])
    assert capsys.readouterr().out == '{"rules":1,"from":{"0":0,"1":0,"2":0,"3":0}}\n'
    for arguments, said in (
        ([], "decided nothing for acme"),
        (["--until", "3-7"], "3-7: this tenant is in partition 0"),
        (["--until", "yesterday"], "yesterday is neither an instant with an offset"),
        (["--until", "2026-03-01T12:00:00"], "neither an instant with an offset"),
        (["--until", "0-\u00b2"], "0-\u00b2 is neither an instant with an offset"),
        (["--until", "0-7"], "0-7: no command has that position yet"),
        (["--until", "2026-03-01T12:00:00Z"], "decided nothing for acme until 2026-03-01T12:00:00Z"),
        (["--compare"], "decided nothing for acme"),
    ):
        with pytest.raises(SystemExit, match=said):
            run_replay(["--tenant", "acme", *arguments])
    with pytest.raises(SystemExit, match="not a tenant id"):
        run_replay(["--tenant", "a|b"])
    with pytest.raises(SystemExit, match="decided nothing for acme"):
        run_verify(["--tenant", "acme"])


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    """`seatpool replay ... | head`"""
    lines = "from services.seats.replay.commands import print_line\nfor _ in range(100_000): print_line('a row')"
    with subprocess.Popen([sys.executable, "-c", lines], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"a row\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 1)

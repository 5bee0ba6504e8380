"""The command line against a made-up deployment: what it asks for, what it shows, how it fails."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cli.console import CliError
from cli.rest import Rest, addresses
from shared.kafka import TopicsDiffer
from shared.schemas.topics import Topic
from tests.support.deployment import Answer, Deployment, made_up, seatpool

ROOT = Path(__file__).parents[2]


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def test_a_request_above_the_limit_is_sent_again_unless_the_wait_is_long(deployment: Deployment) -> None:
    path, refused = "/v1/tenants/acme/profiles", {"detail": "too many", "retry_after_seconds": 1}
    answers: Iterator[Answer] = iter([(429, refused), (200, {"items": []}), (429, refused | {"retry_after_seconds": 3600})])
    deployment.answers["GET", path] = lambda _: next(answers)

    async def ask() -> Any:
        async with Rest(addresses()) as rest:
            return await rest.get("users", path)

    assert asyncio.run(ask()) == {"items": []}
    with pytest.raises(CliError, match="answered 429: too many"):
        asyncio.run(ask())
    assert len(deployment.asked) == 3


def test_the_address_of_a_service_is_printed_for_scripts(deployment: Deployment) -> None:
    assert seatpool("address", "users").output.strip() == deployment.url
    wrong = seatpool("address", "sales")
    assert wrong.exit_code == 1
    assert "Known: users, seats, invoicing, notifier" in wrong.output


@pytest.mark.parametrize(
    "command", [("address", "users"), ("status",), ("token",), ("people", "list", "--tenant", "acme"), ("dlq", "list")]
)
def test_a_command_outside_the_folder_of_a_stack_says_where_to_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SEATPOOL_STATE_DIR", str(tmp_path))
    result = seatpool(*command)
    assert result.exit_code == 1
    text = " ".join(f"{result.output} {result.exception}".split())
    assert "change to the folder in which one was started" in text


def test_a_token_is_asked_for_with_the_operators_secret(deployment: Deployment) -> None:
    deployment.answers[("POST", "/v1/token")] = lambda _: (200, {"access_token": "abc.def", "token_type": "Bearer", "expires_in": 60})
    result = seatpool("token", "--tenant", "acme", "--rights", "users:read", "--ttl", "60")
    assert result.output.strip() == "abc.def"
    assert deployment.asked[0][2] == (
        "grant_type=client_credentials&client_id=operator&client_secret=a-secret&scope=users%3Aread&ttl_seconds=60&tenant=acme"
    )


def test_a_token_without_rights_is_not_asked_for(deployment: Deployment) -> None:
    """The empty field would stand for all of them."""
    result = seatpool("token", "--rights", " ")
    assert (result.exit_code, deployment.asked) == (1, [])
    assert "--rights is blank" in result.output


@pytest.mark.parametrize("command", [("token",), ("users", "republish"), ("dlq", "list")])
@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_tenant_never_means_all_tenants(deployment: Deployment, command: tuple[str, ...], blank: str) -> None:
    result = seatpool(*command, "--tenant", blank)
    assert (result.exit_code, deployment.asked) == (2, [])
    assert "leave the option out for all tenants" in result.output


def test_dead_letters_of_every_service_are_listed(deployment: Deployment) -> None:
    row = {"id": 17, "group": "g", "tenant": "acme", "topic": "hr.events.v1", "partition": 2, "offset": 7, "type": "x", "status": "open"}
    row |= {"reason": "body", "detail": "no date"}
    deployment.answers[("GET", "/v1/operator/dead-letters")] = lambda _: (200, {"items": [row], "next": None})
    listed = seatpool("dlq", "list")
    assert listed.exit_code == 0, listed.output
    assert listed.output.count("hr.events.v1/2/7") == 3  # the made-up deployment answers for three services
    assert "users:17" in listed.output
    assert "body: no date" in listed.output


def test_a_run_of_equal_records_is_listed_with_its_first_and_last_offset(deployment: Deployment) -> None:
    row = {"id": 17, "topic": "hr.events.v1", "partition": 2, "offset": 7, "records": 500, "reason": "batch", "detail": "unreadable"}
    deployment.answers[("GET", "/v1/operator/dead-letters")] = lambda _: (200, {"items": [row], "next": None})
    assert "hr.events.v1/2/7-506" in seatpool("dlq", "list").output


def test_texts_of_other_people_send_no_escape_sequence_to_the_terminal(deployment: Deployment) -> None:
    evil = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202eb"
    row = {"id": 17, "topic": "hr.events.v1", "partition": 2, "offset": 7, "tenant": "acme", "reason": "body", "detail": evil}
    deployment.answers[("GET", "/v1/operator/dead-letters")] = lambda _: (200, {"items": [row], "next": None})
    deployment.answers[("POST", "/v1/operator/dead-letters/17/retry")] = lambda _: (409, {"detail": evil})
    for arguments in (("dlq", "list"), ("dlq", "retry", "users:17")):
        output = seatpool(*arguments).output
        assert "]0;owned" in output
        assert not set(output) & set("\x1b\x07\x9b\u202e")


def test_a_service_that_keeps_no_dead_letters_is_refused_by_name(deployment: Deployment) -> None:
    result = seatpool("dlq", "list", "--service", "seats")
    assert result.exit_code == 1
    assert "seats has no dead letters" in result.output
    assert "Use one of users, invoicing, notifier" in result.output


def test_a_service_that_is_down_does_not_hide_the_dead_letters_of_the_others(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"id": 17, "topic": "hr.events.v1", "partition": 2, "offset": 7, "reason": "body", "detail": "no date"}
    deployment.answers[("GET", "/v1/operator/dead-letters")] = lambda _: (200, {"items": [row], "next": None})
    monkeypatch.setenv("SEATPOOL_INVOICING_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("cli.rest.ATTEMPTS_MAX", 1)
    listed = seatpool("dlq", "list")
    assert listed.exit_code == 1
    assert "users:17" in listed.output
    assert "notifier:17" in listed.output
    assert "could not list the dead letters of invoicing" in listed.output


def test_the_id_of_a_rejected_command_is_never_folded(deployment: Deployment) -> None:
    row = {"id": 10**15 + 1, "group": "g" * 30, "tenant": "t" * 40, "topic": "seats.commands.v1", "partition": 3, "offset": 123456}
    row |= {"type": "seatpool.seats.v1.command_rejected", "reason": "unreadable", "detail": "word " * 30, "status": "open"}
    deployment.answers[("GET", "/v1/operator/dead-letters")] = lambda _: (200, {"items": [row], "next": None})
    result = seatpool("dlq", "list")
    assert result.exit_code == 0
    assert f"notifier:{row['id']}" in result.output


def test_topics_with_wrong_settings_are_named(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    async def differ(*_: object) -> list[str]:
        raise TopicsDiffer("hr.events.v1 has 3 partitions, expected 4")

    monkeypatch.setattr("cli.topics.create_topics", differ)
    monkeypatch.setenv("SEATPOOL_KAFKA_BOOTSTRAP", deployment.url.removeprefix("http://"))  # takes connections, and is asked no more
    result = seatpool("topics", "create")
    assert result.exit_code == 1
    assert "hr.events.v1 has 3 partitions, expected 4" in result.output


@pytest.mark.parametrize(("arguments", "name"), [(("hr/acme",), "acme"), (("hr/acme", "--topic", "acme-payroll"), "acme-payroll")])
def test_a_topic_is_created_before_a_source_is_bound_to_it(
    arguments: tuple[str, ...], name: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(_: object, topics: Sequence[Topic]) -> list[str]:
        deployment.asked.append(("broker", topics[0].name, None))
        return [topics[0].name]

    monkeypatch.setattr("cli.topics.create_topics", make)
    monkeypatch.setenv("SEATPOOL_KAFKA_BOOTSTRAP", deployment.url.removeprefix("http://"))
    path, topic = f"/v1/operator/hr-topics/{name}", f"hr.events.v1.{name}"
    deployment.answers["PUT", path] = lambda body: (200, {"topic": topic, "source": body["source"]})
    deployment.answers["GET", "/v1/operator/sources"] = lambda _: (200, {"items": [{"source": "hr/acme"}], "next": None})
    assert seatpool("hr", "bind", *arguments).exit_code == 0
    assert deployment.asked[1:] == [("broker", topic, None), ("PUT", path, {"source": "hr/acme"})]
    result = seatpool("hr", "bind", "hr/acmee")
    assert (result.exit_code, deployment.asked[3][1].partition("?")[0], len(deployment.asked)) == (1, "/v1/operator/sources", 4)
    assert "hr/acmee is not on the allow-list of sources (hr/acme)" in result.output
    first, second = {"source": "hr/abel", "topic": "hr.events.v1"}, {"source": "hr/acme", "topic": topic}
    pages = iter([{"items": [first], "next": "more"}, {"items": [second], "next": None}] * 2)
    deployment.answers["GET", "/v1/operator/sources"] = lambda _: (200, next(pages))
    deployment.answers["DELETE", path] = lambda _: (200, None)
    result = seatpool("hr", "unbind", "hr/acme")
    assert (result.exit_code, deployment.asked[-1][:2]) == (0, ("DELETE", path)), result.output
    assert seatpool("hr", "unbind", "hr/other").exit_code == 1


@pytest.mark.parametrize("arguments", [("hr/Acme",), ("hr/acme/payroll",), ("hr/acme", "--topic", "x" * 61), ("hr/acme", "--topic", "")])
def test_a_name_that_no_topic_may_have_is_refused_before_a_topic_is_created(arguments: tuple[str, ...], deployment: Deployment) -> None:
    result = seatpool("hr", "bind", *arguments)
    assert (result.exit_code, deployment.asked) == (1, [])
    assert "cannot be part of the name of a topic" in result.output


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"status": "done", "blocks": False}, 0, "done: users:17"),
        ({"status": "done", "blocks": True}, 0, "processes the messages that wait behind it"),
        ({"status": "open", "blocks": True, "reason": "body", "detail": "still no date"}, 1, "users:17 failed again: body: still no date"),
    ],
)
def test_a_dead_letter_is_processed_again(deployment: Deployment, answer: dict[str, Any], code: int, words: str) -> None:
    deployment.answers[("POST", "/v1/operator/dead-letters/17/retry")] = lambda _: (200, answer)
    result = seatpool("dlq", "retry", "users:17")
    assert (result.exit_code, words in result.output.replace("\n", " ")) == (code, True), result.output


def test_a_dead_letter_is_shown_with_its_bytes_and_what_discarding_it_would_mean(deployment: Deployment) -> None:
    row = {"id": 17, "reason": "body", "headers": [["ce_id", "m1"], ["ce_type", None]], "key_base64": "YWNtZQ==", "value_base64": "e30="}
    answer = row | {"genuine": True, "note": "What this service keeps no longer equals the log.", "tenant": None}
    deployment.answers[("GET", "/v1/operator/dead-letters/17")] = lambda _: (200, answer)
    result = seatpool("dlq", "show", "invoicing:17")
    assert result.exit_code == 0
    for words in ("acme", "{}", "header ce_id", "m1", "no longer equals the log"):
        assert words in result.output


@pytest.mark.parametrize("genuine", [False, True])
def test_a_dead_letter_is_discarded_with_a_reason(deployment: Deployment, genuine: bool) -> None:
    deployment.answers[("POST", "/v1/operator/dead-letters/17/discard")] = lambda _: (200, {"status": "discarded", "blocks": False})
    result = seatpool("dlq", "discard", "invoicing:17", "--reason", "a test", *(["--genuine"] if genuine else []))
    assert result.exit_code == 0
    assert deployment.asked[-1][2] == {"reason": "a test", "genuine": genuine}
    assert seatpool("dlq", "discard", "invoicing:17").exit_code == 2  # no reason


def test_a_text_that_is_no_id_of_a_dead_letter_is_refused(deployment: Deployment) -> None:
    for wrong in ("17", "seats:17", "users:x"):
        result = seatpool("dlq", "retry", wrong)
        assert result.exit_code == 1
        assert "seatpool dlq list" in result.output
    assert deployment.asked == []


def test_without_a_stack_the_message_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATPOOL_STATE_DIR", str(tmp_path))
    for name in ("SEATPOOL_USERS_URL", "SEATPOOL_TOKEN", "SEATPOOL_OPERATOR_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for arguments in (("status",), ("token",), ("users", "republish")):
        result = seatpool(*arguments)
        assert result.exit_code == 1
        assert "seatpool run" in result.output
        assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [("verify",), ("replay", "--tenant", "acme"), ("topics", "create")])
def test_a_command_does_not_wait_for_a_broker_that_does_not_answer(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATPOOL_KAFKA_BOOTSTRAP", "127.0.0.1:1,127.0.0.1:2")
    result = seatpool(*arguments)
    assert result.exit_code == 1
    assert "no broker answers at 127.0.0.1:1,127.0.0.1:2" in result.output


@pytest.mark.parametrize("arguments", [("status",), ("token",), ("address", "users"), ("verify",), ("topics", "list"), ("dlq", "list")])
def test_a_damaged_file_of_the_stack_is_named(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATPOOL_STATE_DIR", str(tmp_path))
    (tmp_path / "stack.json").write_text('{"services": ')
    result = seatpool(*arguments)
    assert result.exit_code == 1
    assert "stack.json cannot be read" in result.output


def test_the_message_of_a_service_is_shown_unchanged(deployment: Deployment) -> None:
    """Square brackets are the screen's own markup: as such they would be swallowed, or end the command."""
    deployment.answers["POST", "/v1/tenants/acme/imports"] = lambda _: (422, {"detail": "[bold]one[/] of [/x] expected"})
    result = seatpool("hr", "import", str(ROOT / "examples/alpenrose"), "--tenant", "acme", "--source", "hr/acme")
    assert result.exit_code == 1
    assert "[bold]one[/] of [/x] expected" in result.output


def test_the_help_of_every_command_has_an_example() -> None:
    for arguments in (
        ["run"],
        ["status"],
        ["token"],
        ["demo"],
        ["hr", "import"],
        ["dlq", "list"],
        ["dlq", "show"],
        ["dlq", "retry"],
        ["dlq", "discard"],
        ["keys", "list"],
        ["keys", "rotate"],
        ["keys", "revoke"],
        ["topics", "create"],
        ["settings"],
    ):
        result = seatpool(*arguments, "--help")
        assert result.exit_code == 0
        assert f"seatpool {' '.join(arguments)}" in result.output.replace("\n", " "), arguments


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("replay --tenant acme", ["--tenant", "acme"]),
        ("replay --tenant acme --until 3-1042 --rows", ["--tenant", "acme", "--until", "3-1042", "--rows"]),
        ("replay --compare --tenant acme", ["--tenant", "acme", "--compare"]),
        ("verify", []),
        ("verify --tenant acme", ["--tenant", "acme"]),
        ("activate-rules 2", ["2"]),
    ],
)
def test_the_tools_of_seats_get_the_options_that_were_given(command: str, given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, list[str]]] = []

    def tool(name: str, arguments: list[str]) -> int:
        called.append((name, arguments))
        return 0

    monkeypatch.setattr("cli.replay.seats_tool", tool)
    assert seatpool(*command.split()).exit_code == 0
    assert called == [(command.split()[0], given)]


@pytest.mark.parametrize("command", ["replay", "replay --tenant=", "verify --tenant=", "activate-rules", "activate-rules newest"])
def test_a_tool_of_seats_is_not_started_with_wrong_options(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.replay.seats_tool", lambda *_: pytest.fail("the tool was started"))
    assert seatpool(*command.split()).exit_code == 2


def test_the_secret_of_an_api_client_is_printed_when_it_is_made(deployment: Deployment) -> None:
    path = "/v1/tenants/acme/clients"
    client = {"client": "c-1", "name": "Payroll", "rights": ["users:read"], "secrets": [{"secret_id": "s-1", "created_at": "2026-03-02T"}]}
    deployment.answers["POST", path] = lambda _: (201, client | {"secret": "a-new-secret"})
    deployment.answers["GET", path] = lambda _: (200, {"items": [client], "next": None})
    deployment.answers["POST", f"{path}/c-1/secrets"] = lambda _: (201, {"secret_id": "s-2", "secret": "another"})
    deployment.answers["DELETE", f"{path}/c-1/secrets/s-1"] = lambda _: (200, {})
    deployment.answers["DELETE", f"{path}/c-1"] = lambda _: (200, {})
    added = seatpool("clients", "add", "Payroll", "--tenant", "acme", "--rights", "users:read")
    assert "client_secret: a-new-secret" in added.output
    assert deployment.asked[-1][2] == {"name": "Payroll", "rights": ["users:read"]}
    assert "s-1" in seatpool("clients", "list", "--tenant", "acme").output
    assert "another" in seatpool("clients", "add-secret", "c-1", "--tenant", "acme").output
    assert seatpool("clients", "remove-secret", "c-1", "s-1", "--tenant", "acme").exit_code == 0
    assert seatpool("clients", "revoke", "c-1", "--tenant", "acme").exit_code == 0
    assert '"secrets"' in seatpool("clients", "list", "--tenant", "acme", "--json").output


def test_a_scim_token_is_issued_for_a_connection_that_is_added_if_it_is_new(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/tenants/acme/scim-connections"
    known: list[dict[str, Any]] = []
    deployment.answers["GET", path] = lambda _: (200, {"items": known})
    deployment.answers["PUT", f"{path}/okta"] = lambda _: (200, {})
    issued = {"token": "t1", "secret": "spscim_abc", "expires_at": "2027-03-02T12:00:00Z"}
    deployment.answers["POST", f"{path}/okta/tokens"] = lambda _: (201, issued)
    assert seatpool("scim", "token", "--tenant", "acme", "--source", "okta").output.strip() == "spscim_abc"
    known.append({"connection": "okta", "on_full": "create", "deactivation": "suspends", "tokens": [issued]})
    base_urls = []
    for public in ("", "https://users.example.com/scim/v2/"):
        monkeypatch.setenv("SEATPOOL_SCIM_URL", public)
        base_urls.append(json.loads(seatpool("scim", "token", "--tenant", "acme", "--source", "okta", "--json").output)["base_url"])
    assert base_urls == [f"{deployment.url}/scim/v2", "https://users.example.com/scim/v2"]
    assert [method for method, *_ in deployment.asked].count("PUT") == 1
    known[0] |= {"people": 40, "last_request_at": None}
    known.append(known[0] | {"connection": "entra", "on_full": "refuse", "deactivation": "leaves", "tokens": []})
    listed = seatpool("scim", "list", "--tenant", "acme").output
    assert [text in listed for text in ("t1 (2027-03-02)", "40", "none", "suspends", "leaves", "create")] == [True] * 3 + [False] * 3
    assert json.loads(seatpool("scim", "list", "--tenant", "acme", "--json").output) == known
    found: dict[str, Any] = {"people": 40, "groups": 2, "would_end": 12, "would_begin": 1, "limit": 5, "needs_confirmation": True}
    deployment.answers["DELETE", f"{path}/okta"] = lambda _: (202, found)
    remove = ("scim", "remove", "--tenant", "acme", "--source", "okta")
    price = {"currency": "EUR", "term": "monthly", "net_minor": 1200}
    decided = {"decided": True, "expansions": [{"module": "docs", "licences": 2}], "cost": price}
    given_back = {"reductions": [{"module": "time", "licences": 1, "reduce_at": "period_end"}], "saving": price | {"term": "annual"}}
    found["licences"] = decided | given_back
    seen = seatpool(*remove, "--dry-run").output
    for text in (
        "docs: 2 licences would be added by the policy of the module.",
        "You would be charged €12.00 per month, without tax.",
        "time: 1 licence of leavers would be given back at the end of the period.",
        "That saves €12.00 per year, without tax.",
        "seatpool scim remove --tenant acme --source okta --confirm 12",
    ):
        assert text in seen
    found["licences"] = {"decided": False, "expansions": [], "cost": None, "reductions": [], "saving": None}
    assert "It is not known whether licences would be added or" in seatpool(*remove, "--dry-run").output
    assert "The connection okta was removed." in seatpool(*remove, "--confirm", "12").output
    assert "no valid token t2" in seatpool("scim", "revoke", "t2", "--tenant", "acme", "--source", "okta").output


def test_an_owner_is_appointed_by_e_mail_address(deployment: Deployment) -> None:
    people = "/v1/tenants/acme/people"
    ann = {"user": "u-1", "name": "Ann", "email": "Ann@acme.example", "login": "ann", "status": "active"}
    deployment.answers["GET", people] = lambda _: (200, {"items": [ann, ann | {"email": "joann@acme.example"}], "next": None})
    deployment.answers["GET", f"{people}/u-1/roles"] = lambda _: (200, {"roles": ["reader"]})
    deployment.answers["PUT", f"{people}/u-1/roles"] = lambda _: (200, {})
    assert "u-1" in seatpool("owners", "add", "ann@acme.example", "--tenant", "acme").output
    assert deployment.asked[-1][2] == {"roles": ["owner", "reader"]}
    assert "Ann@acme.example" in seatpool("owners", "list", "--tenant", "acme").output
    deployment.answers["GET", people] = lambda _: (200, {"items": [], "next": None})
    deployment.answers["POST", people] = lambda _: (201, {"user": "u-1"})
    assert "added and invited" in seatpool("owners", "add", "ann@acme.example", "--tenant", "acme", "--name", "Ann").output
    assert ("POST", people) in [(method, path) for method, path, _ in deployment.asked]
    deployment.answers["GET", people] = lambda _: (200, {"items": [ann, ann | {"user": "u-2"}], "next": None})
    assert seatpool("owners", "add", "ann@acme.example", "--tenant", "acme").exit_code == 1


def test_the_vendor_opens_a_tenant_with_a_reason(deployment: Deployment) -> None:
    deployment.answers["POST", "/v1/tenants/acme/operator-access"] = lambda _: (201, {"access_token": "abc.def", "expires_in": 1800})
    assert seatpool("operator", "open", "--tenant", "acme", "--reason", "ticket 4711").output.strip() == "abc.def"
    assert deployment.asked[-1][2] == {"reason": "ticket 4711"}

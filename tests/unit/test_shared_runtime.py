"""How a process ends, and what its log lines say."""

import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest
from pydantic import SecretStr

from services.invoicing.settings import Settings as InvoicingSettings
from shared.observability.logs import REDACTED, redact
from shared.observability.tracing import continued, current_correlation, current_traceparent
from shared.schemas import topics
from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, load

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def start(body: str) -> subprocess.Popen[str]:
    """A process with `main` as written, which says "up" when it runs."""
    script = (
        "import asyncio\nfrom shared.runtime import run, together\nfrom shared.observability import configure_logging\n"
        "from shared.settings import CommonSettings\nimport structlog\nlog = structlog.get_logger('test')\n"
        "configure_logging('sample', CommonSettings())\n"
        f"{textwrap.dedent(body)}\nrun(main)\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def lines_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(number: signal.Signals) -> None:
    process = start(
        """
        async def main():
            try:
                log.info("up")
                await asyncio.Event().wait()
            finally:
                log.info("cleaned-up")
        """
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "up"
    os.kill(process.pid, number)
    assert [line["event"] for line in lines_of(process)] == ["stopping", "cleaned-up"]
    assert process.returncode == 0


def test_an_exception_of_one_role_ends_all_roles_and_the_process() -> None:
    process = start(
        """
        async def consumer():
            try:
                await asyncio.Event().wait()
            finally:
                log.info("consumer-ended")

        async def relay():
            await asyncio.sleep(0)
            raise ZeroDivisionError("a bug")

        async def main():
            await together(consumer(), relay())
        """
    )
    lines = lines_of(process)
    assert [line["event"] for line in lines] == ["consumer-ended", "process_ends"]
    assert "ZeroDivisionError: a bug" in lines[-1]["exception"]
    assert process.returncode == 1


def test_a_role_that_just_returns_ends_the_process_too() -> None:
    process = start(
        """
        async def relay():
            return

        async def main():
            await together(relay(), asyncio.Event().wait())
        """
    )
    assert "a role of this process has ended" in lines_of(process)[-1]["exception"]
    assert process.returncode == 1


def test_a_process_whose_role_failed_ends_in_time_although_another_role_does_not() -> None:
    process = start(
        """
        import shared.runtime
        shared.runtime.END_SECONDS = 0.1

        async def deaf():
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    log.info("not-now")

        async def relay():
            await asyncio.sleep(0)
            raise ZeroDivisionError("a bug")

        async def main():
            await together(deaf(), relay())
        """
    )
    lines = lines_of(process)
    assert [line["event"] for line in lines] == ["not-now", "process_ends_at_once"]
    assert "ZeroDivisionError: a bug" in lines[-1]["exception"]
    assert process.returncode == 1


def test_a_main_function_that_returns_is_no_error() -> None:
    process = start("async def main():\n    pass")
    assert lines_of(process) == []
    assert process.returncode == 0


def test_log_lines_contain_service_ids_and_stack_and_no_secret() -> None:
    process = start(
        """
        import logging
        from shared.observability import continued

        async def main():
            with continued("TRACEPARENT", tenant="acme", correlation="c1"):
                log.info("inside", client_secret="s3cret", nested={"password": "s3cret"}, url="postgresql://u:s3cret@h/d")
                logging.getLogger("library").warning("from %s", "outside", extra={"color_message": "coloured", "n": 1})
                try:
                    raise ValueError("x")
                except ValueError:
                    log.exception("failed")
            log.info("after")
        """.replace("TRACEPARENT", TRACEPARENT)
    )
    inside, library, failed, after = lines = lines_of(process)
    assert "s3cret" not in json.dumps(lines)
    assert {line["service"] for line in lines} == {"sample"}
    for line in (inside, library, failed):
        assert (line["tenant"], line["correlation"], line["trace_id"]) == ("acme", "c1", "0af7651916cd43dd8448eb211c80319c")
    assert (library["event"], library["n"], "color_message" in library) == ("from outside", 1, False)
    assert "ValueError: x" in failed["exception"]
    assert "tenant" not in after


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_stack_of_an_error_that_a_library_logs_later_is_in_the_log_without_the_password_of_a_url(form: str) -> None:
    process = start(
        """
        configure_logging("sample", CommonSettings(log_format="FORM"))

        async def main():
            error = OSError("no answer of postgresql://u:s3cret@h/d")
            asyncio.get_running_loop().call_exception_handler({"message": "nobody awaited a task", "exception": error})
        """.replace("FORM", form)
    )
    text, _ = process.communicate(timeout=20)
    assert "nobody awaited a task" in text
    assert "no answer of postgresql://u:[redacted]@h/d" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("name", ["password", "client_secret", "access_token", "Authorization", "api_key", "database_url", "private_key"])
def test_fields_that_are_named_like_secrets_are_redacted(name: str) -> None:
    assert redact(None, "info", {name: "x", "event": "e"}) == {name: REDACTED, "event": "e"}


def test_time_zones_are_those_of_the_project_and_not_the_machines() -> None:
    process = start("""
        import zoneinfo
        async def main():
            log.info("zones", path=zoneinfo.TZPATH, day=str(zoneinfo.ZoneInfo("Europe/Copenhagen")))
    """)
    (line,) = lines_of(process)
    assert (line["path"], line["day"]) == ([], "Europe/Copenhagen")


def test_passwords_of_urls_are_redacted() -> None:
    text = "x postgresql+asyncpg://users:s3cret@db/users and redis://:s3cret@cache http://host/a:b@c"
    shown = "x postgresql+asyncpg://users:[redacted]@db/users and redis://:[redacted]@cache http://host/a:b@c"
    assert redact(None, "info", {"event": text, "more": [{"text": text}]}) == {"event": shown, "more": [{"text": shown}]}


@pytest.mark.parametrize("text", ["a", "://", "://a:", "a:", "://a", "a://b@"])
def test_no_text_of_a_caller_takes_long_to_log(text: str) -> None:
    began = time.process_time()
    redact(None, "info", {"path": (text * 60_000)[:60_000]})
    assert time.process_time() - began < 0.2


def test_values_that_json_cannot_express_are_logged_too() -> None:
    process = start("""
        async def main():
            log.info("odd", text="\\ud800", number=2**64, numbers=[float("nan")], texts={"\\udfff": "\\ud800"})
    """)
    (line,) = lines_of(process)
    assert (line["event"], line["text"], line["number"]) == ("odd", "\ud800", 2**64)


def test_the_trace_context_is_passed_on_unchanged() -> None:
    assert current_traceparent() is None
    with continued(TRACEPARENT, correlation="c1"):
        assert (current_traceparent(), current_correlation()) == (TRACEPARENT, "c1")
    assert (current_traceparent(), current_correlation()) == (None, None)


# --------------------------------------------------------------------------------------------------------------- settings


def test_settings_come_from_the_environment_and_keep_secrets_from_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATPOOL_PORT", "9100")
    monkeypatch.setenv("SEATPOOL_DATABASE_URL", "postgresql://users:s3cret@db/users")
    monkeypatch.setenv("SEATPOOL_KAFKA_SASL_PASSWORD", "s3cret")

    class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
        pass

    settings = Settings()
    assert settings.port == 9100
    assert settings.database_url.get_secret_value() == "postgresql://users:s3cret@db/users"
    assert "s3cret" not in repr(settings)


def test_all_settings_that_are_wrong_are_named_at_once_without_their_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEATPOOL_PORT", "s3cret")
    monkeypatch.delenv("SEATPOOL_SELLER_NAME", raising=False)
    with pytest.raises(SystemExit, match="2"):
        load(InvoicingSettings)
    told = capsys.readouterr().err
    assert "SEATPOOL_PORT: Input should be a valid integer" in told
    assert "SEATPOOL_SELLER_NAME: Field required" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("service", ["users", "seats", "invoicing", "notifier"])
def test_each_service_listens_where_the_others_look_for_it(service: str) -> None:
    own = importlib.import_module(f"services.{service}.settings").Settings.model_fields
    assert own[f"{service}_url"].default == f"http://127.0.0.1:{own['port'].default}"


@pytest.mark.parametrize("settings", [CommonSettings, KafkaSettings, DatabaseSettings])
def test_each_setting_is_described(settings: type[CommonSettings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


def test_a_topics_name_and_partitions_are_the_deployments() -> None:
    kafka = KafkaSettings(kafka_topic_prefix="blue.", seats_partitions=4)
    assert kafka.topic_name(topics.SEATS_COMMANDS) == f"blue.{topics.SEATS_COMMANDS.name}"
    assert [kafka.partitions(topic) for topic in (topics.SEATS_COMMANDS, topics.SEATS_EVENTS, topics.HR_EVENTS)] == [4, 4, 4]
    assert KafkaSettings().partitions(topics.SEATS_EVENTS) == 24


def test_a_secured_broker_gets_user_password_and_certificates() -> None:
    options = KafkaSettings(
        kafka_security_protocol="SASL_SSL", kafka_sasl_username="u", kafka_sasl_password=SecretStr("p")
    ).client_options()
    assert (options["sasl_plain_username"], options["sasl_plain_password"], options["sasl_mechanism"]) == ("u", "p", "SCRAM-SHA-512")
    assert options["ssl_context"].check_hostname

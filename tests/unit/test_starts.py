"""The costs of a process's start, as far as they can be measured without a clock."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from shared.database import migrate
from shared.startup import uncollected

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("recipe", ["Makefile", "deploy/Dockerfile"])
def test_an_environment_is_compiled_when_it_is_made(recipe: str) -> None:
    """Else every process compiles a thousand modules wherever Python may not write: in the image, which runs as another user, and where
    PYTHONDONTWRITEBYTECODE is set."""
    installs = [line for line in (ROOT / recipe).read_text().splitlines() if "uv pip sync" in line]
    assert installs
    assert all("--compile-bytecode" in line for line in installs)


def test_the_garbage_collector_is_off_during_imports_also_if_they_fail() -> None:
    frozen = gc.get_freeze_count()

    def failing_import() -> None:
        assert not gc.isenabled()
        raise ModuleNotFoundError

    with pytest.raises(ModuleNotFoundError), uncollected():
        failing_import()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen


def packages(imported: str) -> set[str]:
    """Top-level packages that are there after the import, the standard library's left out."""
    code = f"import sys; had = {{*sys.modules}}; import {imported}; print(*{{n.partition('.')[0] for n in {{*sys.modules}} - had}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - sys.stdlib_module_names


def test_the_list_of_commands_imports_no_code_of_a_command() -> None:
    assert packages("cli.main") - packages("typer") == {"cli"}


SQL_SERVICES = ("users", "invoicing", "notifier")


@pytest.mark.parametrize("service", SQL_SERVICES)
def test_a_start_that_migrates_nothing_loads_no_alembic(service: str) -> None:
    assert not packages(f"services.{service}.main") & {"alembic", "mako"}


@pytest.mark.parametrize("service", SQL_SERVICES)
def test_the_newest_revision_by_name_is_the_head_of_the_history(service: str) -> None:
    assert ScriptDirectory(str(ROOT / "services" / service / "migrations")).get_heads() == [max(migrate.revisions(service))]


@pytest.mark.parametrize("service", ["seats", "console"])
def test_a_service_without_a_database_starts_where_nothing_is_installed_for_one(service: str) -> None:
    assert not packages(f"services.{service}.main") & {"alembic", "asyncpg", "sqlalchemy"}

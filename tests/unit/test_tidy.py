"""The style that a syntax tree can tell (docs: CONTRIBUTING). Each check names file and line; each is proved by a sample that breaks it."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from shared.observability.logs import SECRET_NAME
from shared.schemas.topics import TOPICS
from tests.support.syntax_trees import nodes_of

pytestmark = pytest.mark.xdist_group("tidy")  # one process reads the tree once for all checks
ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "shared", "cli", "deploy")
FUNCTION_LINES_MAX = 70
SERVICES = {"users", "seats", "invoicing", "notifier", "console"}

# What a pure module may not touch, though it is in the standard library.
IO_MODULES = {
    "asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os", "pathlib",
    "pickle", "random", "secrets", "select", "shelve", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl", "subprocess", "sys",
    "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
PURE_FINE = ("sys.intern",)  # does no IO
PURE_OWN = ("shared.schemas", "shared.errors", "shared.money", "shared.text")
CLOCK_CALLS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns", "time.monotonic",
    "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "time.localtime", "time.gmtime",
}  # fmt: skip
CLOCK_AND_IDS = {"shared/clock.py", "shared/ids.py"}
# Tools of a developer's machine: they time processes, and decide nothing.
NO_PRODUCT_TIME = ("deploy/",)
# Where seconds are waited for (settings, main, api, jobs) there are no amounts but those of the models, which are integers.
MONEY = re.compile(r"services/invoicing/(?!settings|main|api|jobs)|shared/money|shared/schemas/invoicing")
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception", "bind"}


@dataclass(frozen=True)
class Source:
    path: str  # from the root, with slashes
    content: str

    @classmethod
    def read(cls, path: Path) -> "Source":
        return cls(path.relative_to(ROOT).as_posix(), path.read_text())

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        return nodes_of(self.content)


Found = Iterator[tuple[int, str]]  # line, what is wrong


def imported(source: Source) -> Iterator[tuple[int, str]]:
    """Every module that the file names; `from a import b` as `a.b` (b may be a module)."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def docstrings(source: Source) -> set[int]:
    """Ids of the nodes that are documentation."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in source.nodes if isinstance(node, kinds)]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


def _service_of(path: str) -> str | None:
    parts = path.split("/")
    return parts[1] if parts[0] == "services" and len(parts) > 2 else None


def check_layers(source: Source) -> Found:
    """No service imports another; shared and the command line import none."""
    own = _service_of(source.path)
    for line, module in imported(source):
        parts = module.split(".")
        if parts[0] == "services" and len(parts) > 1 and parts[1] in SERVICES and parts[1] != own:
            yield line, f"imports {module}"
        if parts[0] in ("cli", "deploy", "tests") and source.path.split("/")[0] != parts[0] and source.path.split("/")[0] != "cli":
            yield line, f"imports {module}"


def check_pure(source: Source) -> Found:
    """Domain modules import no IO: the standard library without it, and the schemas."""
    own = _service_of(source.path)
    if own is None or not re.search(r"/domain(\.py|/)", source.path):
        return
    allowed = (*PURE_OWN, f"services.{own}.domain")
    for line, module in imported(source):
        top = module.split(".")[0]
        if any(module == each or module.startswith(f"{each}.") for each in allowed) or module in PURE_FINE:
            continue
        if top not in sys.stdlib_module_names or top in IO_MODULES:
            yield line, f"a domain module imports {module}"


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value)}.{attr}"
        case ast.Name(id=name):
            return name
        case _:
            return ""


def check_clock_and_ids(source: Source) -> Found:
    """The wall clock is read in shared/clock.py and ids are made in shared/ids.py alone."""
    if source.path in CLOCK_AND_IDS or source.path.startswith(NO_PRODUCT_TIME):
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            name = ".".join(_dotted(node).split(".")[-2:])
            if name in CLOCK_CALLS:
                yield node.lineno, f"{name} outside shared/clock.py"
    for line, module in imported(source):
        if module.split(".")[0] in ("uuid", "uuid_utils"):
            yield line, f"{module} outside shared/ids.py"
        if module in CLOCK_CALLS:
            yield line, f"{module} outside shared/clock.py"


def check_no_float_near_money(source: Source) -> Found:
    if not MONEY.search(source.path):
        return
    for node in source.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"the float {node.value}"
        if isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "float"


def check_topics_are_objects(source: Source) -> Found:
    """A topic's name stands in shared/schemas/topics.py alone; documentation may speak of it."""
    if source.path == "shared/schemas/topics.py":
        return
    documentation = docstrings(source)
    names = tuple(topic.name for topic in TOPICS)
    for node in source.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            text = node.value.strip("/")
            if text in names or text.startswith(tuple(f"{name}/" for name in names)):
                yield node.lineno, f"the topic {text} as a string"


def check_function_length(source: Source) -> Found:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {lines} lines, {FUNCTION_LINES_MAX} are allowed"


def check_no_print(source: Source) -> Found:
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print"


def check_no_secret_in_a_log(source: Source) -> Found:
    for node in source.nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_METHODS):
            continue
        if not re.search(r"(^|\.|_)log(ger)?$", _dotted(node.func.value)):
            continue
        for keyword in node.keywords:
            if keyword.arg and SECRET_NAME.search(keyword.arg):
                yield node.lineno, f"{keyword.arg} in a log call"
        for part in ast.walk(ast.Module([ast.Expr(each) for each in (*node.args, *(k.value for k in node.keywords))], [])):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "get_secret_value":
                yield node.lineno, "a secret's value in a log call"


CHECKS: list[Callable[[Source], Found]] = [
    check_layers,
    check_pure,
    check_clock_and_ids,
    check_no_float_near_money,
    check_topics_are_objects,
    check_function_length,
    check_no_print,
    check_no_secret_in_a_log,
]


@cache
def sources() -> list[Source]:
    return [Source.read(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_tree_is_tidy(check: Callable[[Source], Found]) -> None:
    wrong = [f"{source.path}:{line}: {said}" for source in sources() for line, said in check(source)]
    assert not wrong, "\n" + "\n".join(wrong)


SAMPLES: list[tuple[Callable[[Source], Found], str, str]] = [
    (check_layers, "services/users/api.py", "from services.seats import api"),
    (check_layers, "shared/web/x.py", "import services.users.store"),
    (check_layers, "cli/main.py", "from services import users"),
    (check_layers, "services/users/api.py", "from deploy.local import state"),
    (check_pure, "services/seats/domain.py", "import sqlalchemy"),
    (check_pure, "services/seats/domain/pool.py", "from pathlib import Path"),
    (check_pure, "services/users/domain.py", "from shared.database import Database"),
    (check_pure, "services/users/domain.py", "from shared import clock"),
    (check_clock_and_ids, "services/users/api.py", "from datetime import datetime\nx = datetime.now()"),
    (check_clock_and_ids, "services/users/api.py", "import datetime\nx = datetime.date.today()"),
    (check_clock_and_ids, "services/users/api.py", "from time import monotonic"),
    (check_clock_and_ids, "shared/web/x.py", "import uuid"),
    (check_no_float_near_money, "services/invoicing/domain.py", "rate = 0.25"),
    (check_no_float_near_money, "shared/money.py", "def f(x: float) -> None: ..."),
    (check_topics_are_objects, "services/users/main.py", "topic = 'hr.events.v1'"),
    (check_topics_are_objects, "services/users/main.py", "id = f'seats.commands.v1/{partition}'"),
    (check_function_length, "cli/main.py", "def f():\n" + "    x = 1\n" * 70),
    (check_no_print, "cli/main.py", "print('x')"),
    (check_no_secret_in_a_log, "cli/main.py", "log.info('x', access_token=y)"),
    (check_no_secret_in_a_log, "cli/main.py", "self._log.info('x', url=settings.database_url.get_secret_value())"),
]


@pytest.mark.parametrize(("check", "path", "text"), SAMPLES)
def test_each_check_finds_its_sample(check: Callable[[Source], Found], path: str, text: str) -> None:
    assert list(check(Source(path, text)))


FINE: list[tuple[Callable[[Source], Found], str, str]] = [
    (check_layers, "services/users/api.py", "from services.users import store\nfrom shared.web import create_app"),
    (check_pure, "services/seats/domain.py", "from fractions import Fraction\nfrom shared.schemas import seats_v1\nimport heapq"),
    (check_pure, "services/seats/api.py", "import sqlalchemy"),
    (check_clock_and_ids, "shared/clock.py", "import time\nx = time.time()"),
    (check_no_float_near_money, "services/users/api.py", "timeout = 0.25"),
    (check_topics_are_objects, "services/users/main.py", "'''Reads hr.events.v1.'''"),
    (check_function_length, "cli/main.py", "def f():\n" + "    x = 1\n" * 69),
    (check_no_secret_in_a_log, "cli/main.py", "verifier.verify(token=x)"),
]


@pytest.mark.parametrize(("check", "path", "text"), FINE)
def test_no_check_finds_what_is_fine(check: Callable[[Source], Found], path: str, text: str) -> None:
    assert not list(check(Source(path, text)))


@pytest.mark.parametrize("path", ["tests/model/reference_model.py", "tests/chaos/checker.py"])
def test_what_judges_the_seats_service_does_not_lean_on_it(path: str) -> None:
    assert [module for _, module in imported(Source.read(ROOT / path)) if module.split(".")[0] in ("services", "shared", "cli")] == []


def test_the_services_are_those_of_the_tree() -> None:
    assert {path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists()} == SERVICES


def texts() -> list[Path]:
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in found if name and (ROOT / name).is_file()]


def test_no_file_holds_both_sides_of_a_merge() -> None:
    """Only Python files are compiled; a page with the marks of a conflict is found by nobody else."""
    marks = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert marks.search(b"a\n" + b"<" * 7 + b" HEAD\n")
    assert [str(path) for path in texts() if marks.search(path.read_bytes())] == []

"""The shape and the wording that a test can tell (house rules: CONTRIBUTING). Each check names file and line; a sample proves each."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.syntax_trees import nodes_of, tree_of

pytestmark = pytest.mark.xdist_group("tidy")  # one process reads the tree once for all checks
ROOT = Path(__file__).parents[2]
OWN = Path(__file__).relative_to(ROOT).as_posix()
PRODUCT = ("services/", "shared/", "cli/", "deploy/")
UNWRITTEN = ("LICENSE", "requirements/", "services/console/static/htmx", "services/console/static/licences/", "tests/browser/axe/")
DOCSTRING_LINES = 15  # a public class with methods, or a public function, of this length has a docstring

_SPACE = r"(?:[ \t]|\n[ \t]*(?:#|>|\*|--)?)+"  # a line break in a comment or a quotation counts as a space
_OLD_WORDS = ("anew", "for ever", "of the moment", "for the moment", "whoever", "thereby", "was told", "were told", "be had")
WORDS = re.compile(rf"\b({'|'.join(words.replace(' ', _SPACE) for words in _OLD_WORDS)})\b", re.IGNORECASE)
BEGINNINGS = re.compile(r"(Of|Whose|By whom)\b|What\b[^.:]*\bof\b")
UNITS = re.compile(r"\w_(s|secs?|msecs?|millis|milliseconds|[km]i?b)(_max|_min)?$", re.IGNORECASE)
EVENT_NAME = re.compile(r"[a-z][a-z0-9_]*")
CITED = re.compile(r"(?<![\w./*{<>-])((?:[\w.-]+/)*[\w-]+\.(?:md|py)|design,? section)\b")
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}

Node = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Found = Iterator[tuple[int, str]]  # line, what is wrong


@dataclass(frozen=True)
class Text:
    path: str  # from the root, with slashes
    content: str

    @property
    def tree(self) -> ast.Module | None:
        return tree_of(self.content) if self.path.endswith(".py") else None

    def nodes(self) -> Iterator[ast.AST]:
        return iter(nodes_of(self.content) if self.path.endswith(".py") else ())


def _functions(text: Text) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in text.nodes() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def check_words(text: Text) -> Found:
    """Old words for which there is a plain one."""
    for found in WORDS.finditer(text.content.replace("_", " ")):
        spaces = re.sub(r"\W+", " ", found[0])
        yield text.content.count("\n", 0, found.start()) + 1, f"the word {spaces!r}"


def check_docstring_beginnings(text: Text) -> Found:
    for node in text.nodes():
        if isinstance(node, Node):
            written = ast.get_docstring(node)
            if written and BEGINNINGS.match(written):
                yield getattr(node, "lineno", 1), f"a docstring that is no sentence: {written[:60]!r}"


def check_public_docstrings(text: Text) -> Found:
    if not text.path.startswith(PRODUCT) or "/migrations/" in text.path or text.tree is None:
        return
    if text.content.strip() and not ast.get_docstring(text.tree):
        yield 1, "a module without a docstring"
    yield from _undocumented(text.tree)


def _undocumented(parent: ast.Module | ast.ClassDef) -> Found:
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if _needs_words(node) and lines >= DOCSTRING_LINES and not ast.get_docstring(node):
            yield node.lineno, f"{node.name} has {lines} lines and no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node)


def _needs_words(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Not a class of fields alone, and not a route, whose summary says what it does."""
    if isinstance(node, ast.ClassDef):
        return any(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body)
    return not any(re.match(r"(\w*router|app)\.", ast.unparse(each)) for each in node.decorator_list)


def check_log_events(text: Text) -> Found:
    """A log event has a constant name in snake_case; everything else is in its fields."""
    if not text.path.startswith(PRODUCT) or "/faust/" in text.path:
        return  # overridden methods of Faust log through Faust's own logger, as it does
    for node in text.nodes():
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_METHODS):
            continue
        if re.search(r"(^|\.|_)log(ger)?$", ast.unparse(node.func.value)):
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            if not isinstance(name, str) or not EVENT_NAME.fullmatch(name):
                yield node.lineno, f"the log event {ast.unparse(node)[:60]}"


def check_unit_suffixes(text: Text) -> Found:
    if not text.path.startswith(PRODUCT):
        return
    for node in text.nodes():
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                if UNITS.search(name):
                    yield node.lineno, f"{name}: a unit is one of _seconds, _ms, _bytes (before _max and _min)"


def check_store_arguments(text: Text) -> Found:
    """`(connection, tenant_id, ...)` in every function of a store."""
    if not re.match(r"services/\w+/store/", text.path):
        return
    for function in _functions(text):
        given = [(each.arg, ast.unparse(each.annotation) if each.annotation else "") for each in function.args.args]
        if "AsyncConnection" in (kind for _, kind in given):
            names = [name for name, _ in given]
            wrong = names[0] != "connection" or ("tenant_id" in names and names[1] != "tenant_id") or ("tenant", "str") in given
            if wrong:
                yield function.lineno, f"{function.name}({', '.join(names)}): expected (connection, tenant_id, ...)"


def _prose(text: Text) -> Iterator[tuple[int, str]]:
    """Return the lines of a page, or the comments and docstrings of a module: its strings may name files that it makes."""
    if text.tree is None:
        yield from enumerate(text.content.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text.content).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in text.nodes():
        if isinstance(node, Node):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def check_cited_files(text: Text) -> Found:
    for number, words in _prose(text):
        for cited in CITED.findall(words):
            name = cited.removeprefix("../")
            if name not in names():
                yield number, f"cites {cited}, which is not in the repository"


PARTS = {"domain", "use_cases", "store", "api", "consumers", "jobs", "migrations"}
FILES = {"__init__.py", "__main__.py", "main.py", "settings.py", "wiring.py"}
OWN_PARTS = {
    "users": {"scim", "sign_in"},
    "invoicing": {"documents"},
    "notifier": {"email", "webhooks", "action_log"},
    "seats": {"engine", "replay", "decider.py"},
    "console": {"pages", "templates", "static", "translations", "rendering", "rest", "sign_in"},
}
WITHOUT = {"seats": {"store", "consumers", "jobs", "migrations"}, "console": {"domain", "store"}}
FORBIDDEN = {
    "context.py", "tools.py", "texts.py", "views.py", "reads.py", "work.py", "straight.py", "asking.py", "need.py", "chores.py",
    "gathering.py", "editing.py", "agents.py",
}  # fmt: skip


def check_shape(text: Text) -> Found:
    """The folders of a service are those of every service, and a file is named after what is in it."""
    parts = text.path.split("/")
    if parts[0] in ("services", "shared") and parts[-1] in FORBIDDEN:
        yield 1, "a file name that says nothing about its contents"
    if parts[0] != "services" or len(parts) < 3:
        return
    allowed = (PARTS | FILES | OWN_PARTS.get(parts[1], set())) - WITHOUT.get(parts[1], set())
    if parts[2] not in allowed:
        yield 1, f"{parts[2]} is no part of a service"


CHECKS: list[Callable[[Text], Found]] = [
    check_words,
    check_docstring_beginnings,
    check_public_docstrings,
    check_log_events,
    check_unit_suffixes,
    check_store_arguments,
    check_cited_files,
    check_shape,
]


@cache
def paths() -> list[str]:
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [name for name in found if name and (ROOT / name).is_file()]


@cache
def names() -> set[str]:
    """Return every path, and every end of one, as texts shorten them."""
    return {"/".join(parts[start:]) for parts in (path.split("/") for path in paths()) for start in range(len(parts))}


@cache
def texts() -> list[Text]:
    found = []
    for path in paths():
        if path != OWN and not path.startswith(UNWRITTEN):
            content = (ROOT / path).read_bytes()
            if b"\0" not in content:
                found.append(Text(path, content.decode()))
    return found


@pytest.fixture(scope="module", autouse=True)
def forget_trees() -> Iterator[None]:
    """Free 200 MB: test_tidy.py has run, and no other test reads the trees."""
    yield
    nodes_of.cache_clear()
    tree_of.cache_clear()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_text_keeps_the_house_rules(check: Callable[[Text], Found]) -> None:
    wrong = [f"{text.path}:{line}: {what}" for text in texts() for line, what in check(text)]
    assert not wrong, "\n" + "\n".join(wrong)


LONG = "    x = 1\n" * DOCSTRING_LINES
SAMPLES: list[tuple[Callable[[Text], Found], str, str]] = [
    (check_words, "docs/x.md", "The worker starts anew."),
    (check_words, "shared/x.py", "# kept for\n# ever"),
    (check_words, "tests/x.py", "def test_a_key_is_fetched_anew(): ..."),
    (check_words, "shared/x.py", "'''The caller was\n    told so.'''"),
    (check_docstring_beginnings, "shared/x.py", "def f():\n    'Of the tenant.'"),
    (check_docstring_beginnings, "tests/x.py", "'What is left of it.'"),
    (check_public_docstrings, "shared/x.py", "x = 1"),
    (check_public_docstrings, "shared/x.py", f"'''A module.'''\ndef f():\n{LONG}"),
    (check_public_docstrings, "shared/x.py", f"'''A module.'''\nclass A:\n  def f():\n{LONG}"),
    (check_log_events, "shared/x.py", "log.info('Worker ready')"),
    (check_log_events, "shared/x.py", "self._log.info(f'{x}')"),
    (check_unit_suffixes, "shared/x.py", "TIMEOUT_S = 1"),
    (check_unit_suffixes, "shared/x.py", "def f(wait_secs): ..."),
    (check_unit_suffixes, "shared/x.py", "self.wait_s_max = 1"),
    (check_store_arguments, "services/users/store/x.py", "def f(tenant_id: str, connection: AsyncConnection): ..."),
    (check_store_arguments, "services/users/store/x.py", "def f(c: AsyncConnection): ..."),
    (check_store_arguments, "services/users/store/x.py", "def f(connection: AsyncConnection, tenant: str): ..."),
    (check_cited_files, "shared/x.py", "# see design-of-old.md"),
    (check_cited_files, "shared/x.py", "def f():\n    'Return it (design, section 2).'"),
    (check_shape, "services/users/helpers/x.py", ""),
    (check_shape, "services/seats/store/x.py", ""),
    (check_shape, "shared/web/tools.py", ""),
]


@pytest.mark.parametrize(("check", "path", "content"), SAMPLES)
def test_each_check_finds_its_sample(check: Callable[[Text], Found], path: str, content: str) -> None:
    assert list(check(Text(path, content)))


FINE: list[tuple[Callable[[Text], Found], str, str]] = [
    (check_words, "docs/x.md", "For every tenant; forever; the moment of the start; he told us."),
    (check_docstring_beginnings, "shared/x.py", "def f():\n    'Return the offset.'"),
    (check_docstring_beginnings, "shared/x.py", "def f():\n    'Offsets of a partition.'"),
    (check_public_docstrings, "shared/x.py", "'''A module.'''\nclass A:\n" + "    x: int\n" * 20),
    (check_log_events, "shared/x.py", "log.info('worker_ready', partition=1)"),
    (check_unit_suffixes, "shared/x.py", "WAIT_SECONDS_MAX, wait_ms, body_bytes, users, is_day = 1, 2, 3, 4, 5"),
    (check_store_arguments, "services/users/store/x.py", "def f(connection: AsyncConnection, tenant_id: str, user: str): ..."),
    (check_cited_files, "shared/x.py", "# docs/rules.md, and docs/decisions/faust.md"),
    (check_shape, "services/seats/engine/faust/app.py", ""),
]


@pytest.mark.parametrize(("check", "path", "content"), FINE)
def test_no_check_finds_what_is_fine(check: Callable[[Text], Found], path: str, content: str) -> None:
    assert not list(check(Text(path, content)))

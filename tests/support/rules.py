"""`make rules`: print each product rule of docs/rules.md with the tests that prove it, and find rules without proof.

A test proves a rule if its name carries the rule's number (`test_T6_...`) and it always runs: a test marked `skip`, `skipif` or `xfail`
does not count.
"""

import ast
import re
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rules.md"
CODE = ("services", "shared", "cli", "deploy", "tests")
WORKS, PARTLY, NOT_YET = "works", "partly", "not yet"
DECIDED = "## Decided by the engine"
_ROW = re.compile(r"^\| ([ABEMT]\d+) \| (.+?) \| (\w[\w ]*) \|$", re.MULTILINE)
_CITED = re.compile(r"(?<![\w.-])[ABEMT][1-9]\d?(?![\w.-]*\d)\b")
_NOT_ALWAYS_RUN = {"skip", "skipif", "xfail"}


@dataclass(frozen=True)
class Rule:
    number: str
    text: str
    status: str


def rules_of(page: str) -> dict[str, Rule]:
    """Return the rules of the page by number."""
    return {number: Rule(number, text, status) for number, text, status in _ROW.findall(page)}


def decisions_of(page: str) -> dict[str, list[str]]:
    """Return the questions that the engine decides, each with the tests that its row names."""
    _, found, section = page.partition(f"\n{DECIDED}\n")
    assert found, f"the page has no section {DECIDED!r}"
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return {cells[0]: re.findall(r"`(test_\w+)`", cells[-1]) for cells in rows if cells[0] != "question"}


def _marks(decorators: Iterable[ast.expr]) -> set[str]:
    return {node.attr for decorator in decorators for node in ast.walk(decorator) if isinstance(node, ast.Attribute)}


def tests_in(tree: ast.Module) -> Iterator[str]:
    """Yield the name of each test that always runs."""
    module_marks = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"]
    if _marks(module_marks) & _NOT_ALWAYS_RUN:
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
            and not _marks(node.decorator_list) & _NOT_ALWAYS_RUN
        ):
            yield node.name


def proofs_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (rule number, test name) for each test that always runs."""
    for name in tests_in(tree):
        for part in name.split("_")[1:]:
            if not re.fullmatch(r"[ABEMT]\d+", part):
                break
            yield part, name


def proofs() -> dict[str, list[str]]:
    """Return the names of the tests of each rule, with their files."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, name in proofs_in(ast.parse(path.read_text())):
            found.setdefault(number, []).append(f"{path.relative_to(ROOT).as_posix()}::{name}")
    return found


def always_run() -> set[str]:
    """Return the names of all tests that always run."""
    return {name for path in (ROOT / "tests").rglob("test_*.py") for name in tests_in(ast.parse(path.read_text()))}


def undecided(decisions: Mapping[str, list[str]], tests: Container[str]) -> list[str]:
    """Return what is wrong with the decisions: rows without a test, and tests that do not exist or do not always run."""
    found = [f"{question!r} names no test" for question, names in decisions.items() if not names]
    return found + [f"{name} does not exist or does not always run" for names in decisions.values() for name in names if name not in tests]


def cited() -> Iterator[tuple[str, str]]:
    """Yield (place, rule number) for each rule number in code, templates and tests."""
    for top in CODE:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".py", ".j2"):
                for line, text in enumerate(path.read_text().splitlines(), 1):
                    numbers = [*_CITED.findall(text), *re.findall(r"(?<=_)[ABEMT][1-9]\d?(?=_)", text if "def test_" in text else "")]
                    yield from ((f"{path.relative_to(ROOT).as_posix()}:{line}", number) for number in numbers)


def problems(rules: Mapping[str, Rule], proved: Mapping[str, list[str]], citations: Iterable[tuple[str, str]]) -> list[str]:
    """Return what is wrong: rules without proof, numbers that no rule has, and statuses that are not defined."""
    found = [
        f"{rule.number} is marked as working, and no test proves it"
        for rule in rules.values()
        if rule.status == WORKS and rule.number not in proved
    ]
    found += [f"{rule.number} has the status {rule.status!r}" for rule in rules.values() if rule.status not in (WORKS, PARTLY, NOT_YET)]
    found += [
        f"{rule.number} is marked as not there, and a test proves it: {proved[rule.number][0]}"
        for rule in rules.values()
        if rule.status == NOT_YET and rule.number in proved
    ]
    found += [f"{place} cites {number}, which docs/rules.md does not have" for place, number in citations if number not in rules]
    return found


def main() -> int:
    rules, proved = rules_of(PAGE.read_text()), proofs()
    table = Table("rule", "status", "what the product does", "tests", show_lines=True)
    for rule in rules.values():
        table.add_row(rule.number, rule.status, rule.text, "\n".join(name.rpartition("::")[2] for name in proved.get(rule.number, [])))
    console = Console()
    console.print(table)
    decisions = decisions_of(PAGE.read_text())
    found = problems(rules, proved, cited()) + undecided(decisions, always_run())
    for line in found:
        console.print(f"[red]{line}[/red]", highlight=False)
    counts = {status: sum(rule.status == status for rule in rules.values()) for status in (WORKS, PARTLY, NOT_YET)}
    console.print(f"{len(rules)} rules: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    console.print(f"{len(decisions)} questions decided by the engine, each with a test that shows the answer" if not found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

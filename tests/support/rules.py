"""`make rules`: print each product rule of docs/rules.md with the tests that prove it, and find rules without proof.

A test proves a rule if its name carries the rule's number (`test_T6_...`) and it always runs: a test marked `skip`, `skipif` or `xfail`
does not count.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rules.md"
CODE = ("services", "shared", "cli", "deploy", "tests")
WORKS, PARTLY, NOT_YET = "works", "partly", "not yet"
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


def _marks(decorators: Iterable[ast.expr]) -> set[str]:
    return {node.attr for decorator in decorators for node in ast.walk(decorator) if isinstance(node, ast.Attribute)}


def proofs_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (rule number, test name) for each test that always runs."""
    module_marks = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"]
    if _marks(module_marks) & _NOT_ALWAYS_RUN:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            if _marks(node.decorator_list) & _NOT_ALWAYS_RUN:
                continue
            for part in node.name.split("_")[1:]:
                if not re.fullmatch(r"[ABEMT]\d+", part):
                    break
                yield part, node.name


def proofs() -> dict[str, list[str]]:
    """Return the names of the tests of each rule, with their files."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, name in proofs_in(ast.parse(path.read_text())):
            found.setdefault(number, []).append(f"{path.relative_to(ROOT).as_posix()}::{name}")
    return found


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
    found = problems(rules, proved, cited())
    for line in found:
        console.print(f"[red]{line}[/red]", highlight=False)
    counts = {status: sum(rule.status == status for rule in rules.values()) for status in (WORKS, PARTLY, NOT_YET)}
    console.print(f"{len(rules)} rules: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

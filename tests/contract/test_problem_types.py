"""Programs react to the `type` of a problem, so the list of types and their statuses changes only on purpose, and never with a text."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shared import errors
from shared.errors import Conflict, Forbidden, Refused, Unauthenticated
from shared.web import problems
from shared.web.problems import status_of

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("problem_types.txt")
# A rule of invoicing's domain returns a `Refusal`, which its use case raises as a Conflict.
CLASSES = {"Refused": Refused, "Conflict": Conflict, "Forbidden": Forbidden, "Unauthenticated": Unauthenticated, "Refusal": Conflict}


def raised(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Status and type of each refusal that a module makes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        match node.func.id, node.args:
            case (name, [ast.Constant(value=str(type_)), *_]) if name in CLASSES:
                yield status_of(CLASSES[name](type_, "")), type_
            case ("problem", [_, ast.Constant(value=int(status)), ast.Constant(value=str(type_)), *_]):
                yield status, type_


def known(root: Path) -> set[tuple[int, str]]:
    found = {each for top in ("services", "shared") for file in (root / top).rglob("*.py") for each in raised(ast.parse(file.read_text()))}
    found |= {(status, type_) for status, (type_, _) in problems._OF_FRAMEWORK.items()}
    return found | {(status_of(errors.NotFound("x")), "not-found"), (status_of(errors.Invalid("x", 1, "y")), "invalid")}


def test_the_list_of_problem_types_is_the_committed_one() -> None:
    committed = {(int(status), type_) for status, type_ in (line.split() for line in LIST.read_text().splitlines())}
    assert known(ROOT) == committed, "a new type goes into problem_types.txt; a type that programs know stays"

"""docs/rules.md, the tests and the code agree on the product's rules."""

import ast

from tests.support.rules import (
    NOT_YET,
    PAGE,
    WORKS,
    Rule,
    always_run,
    cited,
    decisions_of,
    problems,
    proofs,
    proofs_in,
    rules_of,
    undecided,
)


def test_every_working_rule_has_a_test_and_every_cited_rule_exists() -> None:
    assert problems(rules_of(PAGE.read_text()), proofs(), cited()) == []


def test_a_working_rule_without_a_test_is_found() -> None:
    assert problems({"X1": Rule("X1", "text", WORKS)}, {}, []) == ["X1 is marked as working, and no test proves it"]


def test_a_rule_that_is_marked_as_not_there_and_has_a_test_is_found() -> None:
    found = problems({"X1": Rule("X1", "text", NOT_YET)}, {"X1": ["tests/test_x.py::test_X1_it_holds"]}, [])
    assert found == ["X1 is marked as not there, and a test proves it: tests/test_x.py::test_X1_it_holds"]


def test_a_status_that_is_not_defined_is_found() -> None:
    assert problems({"X1": Rule("X1", "text", "soon")}, {}, []) == ["X1 has the status 'soon'"]


def test_a_citation_of_a_rule_that_does_not_exist_is_found() -> None:
    assert problems({}, {}, [("services/x.py:1", "X9")]) == ["services/x.py:1 cites X9, which docs/rules.md does not have"]


def test_a_test_counts_for_all_numbers_in_front_of_its_name_and_only_if_it_always_runs() -> None:
    tree = ast.parse("""
def test_T6_A17_moves(): ...
async def test_T7_waits(): ...
@pytest.mark.skip(reason="x")
def test_T8_skipped(): ...
@pytest.mark.xfail
def test_T9_fails(): ...
def test_plain_T1_in_the_middle(): ...
def helper_T2(): ...
""")
    assert list(proofs_in(tree)) == [("T6", "test_T6_A17_moves"), ("A17", "test_T6_A17_moves"), ("T7", "test_T7_waits")]
    assert list(proofs_in(ast.parse("pytestmark = pytest.mark.skipif(True, reason='x')\ndef test_T6_x(): ..."))) == []


def test_every_question_that_the_engine_decides_names_a_test_that_exists_and_always_runs() -> None:
    decisions = decisions_of(PAGE.read_text())
    assert len(decisions) > 40
    assert undecided(decisions, always_run()) == []


def test_a_decided_question_without_a_test_or_with_one_that_does_not_run_is_found() -> None:
    table = "| question | answer | test |\n|---|---|---|\n| a | b | |\n| c | d | `test_gone` |\n"
    page = f"# x\n\n## Decided by the engine\n\n{table}\n## y\n| e | f | g |\n"
    decisions = decisions_of(page)
    assert decisions == {"a": [], "c": ["test_gone"]}
    assert undecided(decisions, {"test_there"}) == ["'a' names no test", "test_gone does not exist or does not always run"]

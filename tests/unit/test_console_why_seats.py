"""Since when a module of a person is as it is, as the console reads it from the decisions."""

import pytest

from services.console.pages.why_seats import Decision, Sentence, latest


def decision(day: int, *sentences: Sentence, asked: str = "") -> Decision:
    return Decision(f"2026-12-0{day}", asked, sentences)


def lab(state: str, because: str = "") -> Sentence:
    return Sentence(state, because, "lab", state)


GIVEN = decision(1, lab("active", "A licence was free."))
FLAGGED = decision(1, lab("flagged", "All licences were in use."))
OTHER = decision(2, Sentence("", "", "projects"))


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ((decision(3, lab("active"), asked="The person was reactivated."), OTHER, GIVEN), ("A licence was free.", "2026-12-01")),
        ((decision(3, lab("flagged")), FLAGGED), ("All licences were in use.", "2026-12-01")),
        ((decision(3, lab("active", "Licences were bought.")), FLAGGED), ("Licences were bought.", "2026-12-03")),
        ((decision(3, lab("active", "It was free again.")), decision(2, lab("")), GIVEN), ("It was free again.", "2026-12-03")),
        ((decision(3, lab("refused", "All were in use.")), decision(2, lab("refused", "Earlier."))), ("All were in use.", "2026-12-03")),
        ((OTHER,), ("", "")),
    ],
    ids=["a seat that stays", "a deadline that stays", "another state", "lost and given again", "refused again", "nothing is known"],
)
def test_the_decision_that_made_a_module_as_it_is_says_why_and_not_one_that_left_it_so(
    newest_first: tuple[Decision, ...], expected: tuple[str, str]
) -> None:
    assert latest(newest_first, "lab") == expected

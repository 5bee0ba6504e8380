"""The check of an import asks seats about few people only, and says so."""

from typing import Any

from services.users.use_cases import imports
from services.users.use_cases.seats_questions import COMMANDS_MAX


async def test_a_check_of_more_people_than_seats_answers_for_says_that_it_did_not_decide_person_by_person() -> None:
    nobody: Any = None
    found = imports._Found((), asking={f"u{number}": (f"p{number}", nobody, False) for number in range(COMMANDS_MAX + 1)})
    answer = await imports._decisions(nobody, nobody, found, nobody)
    assert (answer["decided"], answer["people"]) == (False, [])
    assert answer["detail"].startswith(
        f"More than {COMMANDS_MAX} people would require other modules, so it was not decided person by person."
    )

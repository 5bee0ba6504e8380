"""How the people of a source are matched, or would be: with whom, by what, and what linking would change."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.users.domain.conflicts import ConflictReason
from services.users.domain.matches import Match, Matches, Outcome, of_first_report
from services.users.domain.sources import Key, MatchBy
from tests.support.company import HR, OKTA, Company, hr, okta


def company(match_by: Iterable[str] = ()) -> Company:
    """An identity system that was added without matching: everybody is a person of their own."""
    found = Company()
    found.sources[OKTA] = replace(found.sources[OKTA], match_by=tuple(match_by))
    return found


def of(found: Company, source: str, who: str, *, match_by: Sequence[str] | None = None) -> Match:
    known = found.known()
    if match_by is None:
        return Matches(known, found.tenant).present(Key(source, who))
    settings = replace(known.sources[source], match_by=tuple(match_by))
    known = replace(known, sources={**known.sources, source: settings})
    return Matches(known, found.tenant).again(Key(source, who))


def test_people_who_are_linked_say_by_what_they_match() -> None:
    found = company(MatchBy)
    found.report(HR, {"1": hr(1, login="p1"), "2": hr(2, login="p2@acme.example"), "3": hr(3)})
    found.report(OKTA, {"o1": okta(1), "o2": okta(2), "o3": okta(3, employee_number="3"), "o4": okta(4)})
    shown = {who: of(found, OKTA, who) for who in ("o1", "o2", "o3", "o4")}
    assert [shown[who].by for who in shown] == ["email", "login", "employee_number", ""]
    assert [shown[who].outcome for who in shown] == [Outcome.LINKED] * 3 + [Outcome.NEW]
    assert of(found, HR, "1").people == (found.of(HR, "1").user,)


def test_a_dry_run_says_who_would_be_linked_and_what_it_would_change() -> None:
    found = company()
    found.report(HR, {"1": hr(1, login="p1"), "2": hr(2, login="p2", department="Guests")})
    found.report(OKTA, {"o1": okta(1), "o2": okta(2), "o3": okta(3)})
    assert of(found, OKTA, "o1") == Match(Outcome.NEW), "matching is switched off"
    one, two = found.of(HR, "1").user, found.of(HR, "2").user
    assert of(found, OKTA, "o1", match_by=["email"]) == Match(Outcome.WOULD_LINK, "email", "", (one,), ("time",), ("time",))
    gone = of(found, OKTA, "o2", match_by=["login", "email"])
    assert (gone.people, gone.would_require, gone.released) == ((two,), (), ("time",)), "HR goes first, and its department has no modules"
    assert of(found, OKTA, "o1", match_by=["login"]) == Match(Outcome.NEW)
    assert of(found, OKTA, "o3", match_by=["login", "email"]) == Match(Outcome.NEW)


def test_a_dry_run_says_who_would_be_in_conflict_and_why() -> None:
    found = company()
    found.report(HR, {"1": hr(1, login="a", email="office@acme.example"), "2": hr(2, login="b", email="office@acme.example")})
    found.report(HR, {"3": hr(3, login="c")})
    found.promote(found.of(HR, "3").user)
    found.report(OKTA, {"o1": okta(1, email="office@acme.example"), "o3": okta(3)})
    several = of(found, OKTA, "o1", match_by=["email"])
    assert (several.outcome, several.reason, len(several.people)) == (Outcome.WOULD_CONFLICT, ConflictReason.SEVERAL_PEOPLE, 2)
    privileged = of(found, OKTA, "o3", match_by=["email"])
    assert (privileged.outcome, privileged.reason) == (Outcome.WOULD_CONFLICT, ConflictReason.PRIVILEGED)
    assert privileged.people == (found.of(HR, "3").user,)


def test_a_conflict_names_its_reason_and_who_is_meant() -> None:
    found = company()
    found.report(HR, {"1": hr(1, login="ann")})
    found.report(HR, {"2": hr(2, login="ANN")})
    shown = of(found, HR, "2")
    assert (shown.outcome, shown.reason, shown.people) == (Outcome.CONFLICT, ConflictReason.SAME_SOURCE, (found.of(HR, "1").user,))


def test_a_first_report_says_how_it_is_matched() -> None:
    found = company(MatchBy)
    found.report(HR, {"1": hr(1, login="p1")})
    matched = found.report(OKTA, {"o1": okta(1), "o2": okta(2)})
    user = found.of(HR, "1").user
    assert of_first_report(matched, Key(OKTA, "o1"), user) == {"outcome": "linked", "by": "email", "people": [user]}
    assert of_first_report(matched, Key(OKTA, "o2"), found.of(OKTA, "o2").user) == {"outcome": "new"}

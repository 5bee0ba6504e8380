"""What a refusal says that helps."""

import pytest
from pydantic import ValidationError

from services.users.api.requests import (
    ApiClientPatch,
    Body,
    FirstOwner,
    NewApiClient,
    NewPerson,
    NewRole,
    PersonPatch,
    ProfileBody,
    RolePatch,
    TenantPatch,
)
from services.users.api.statements import read_as
from services.users.domain.logins import login_key
from services.users.scim.statements import problem_of
from services.users.store.pools import CountsRow
from services.users.use_cases.licences import Licences, warning
from shared.buying import Buying
from shared.schemas.hr_v1 import PersonHired, PersonTimeline
from shared.text import UNCLEAR_REFUSED


def test_A6_a_refusal_of_an_expansion_names_the_monthly_budget() -> None:
    pool = CountsRow("time", licences=3, active=3, flagged=0, held=0, waiting=0, available=0, counted_offset=0, counted_n=0)
    limited = Licences({"time": pool}, Buying(True, "Standard"), {"time": "monthly_budget"})
    text = warning("acme", limited, "time", "expand_cap") or ""
    assert text.startswith("time has 3 licences, and 3 seats are in use. The monthly budget for purchases allows no further expansion")
    assert "monthly budget" not in (warning("acme", limited, "time", "pool_full") or "")
    unlimited = Licences({"time": pool}, Buying(True, "Standard"))
    assert "monthly budget" not in (warning("acme", unlimited, "time", "expand_cap") or "")


@pytest.mark.parametrize("model", [NewPerson, PersonPatch, NewRole, RolePatch, NewApiClient, ApiClientPatch, ProfileBody])
def test_a_name_of_which_a_reader_sees_nothing_is_refused_by_its_field(model: type[Body]) -> None:
    others = {"rights": ["account:read"], "modules": []}
    body = {name: value for name, value in others.items() if name in model.model_fields}
    for unseen in ("\u200b", "\u0007", "\u200d \u2060\ufeff", "\u3164", "\u115f\u0301"):
        with pytest.raises(ValidationError) as refused:
            model.model_validate(body | {"name": unseen})
        (fault,) = refused.value.errors()
        assert (fault["loc"], "expected a name with a character that can be seen" in fault["msg"]) == (("name",), True), ascii(unseen)
    for seen in ("Ann", "علي‌رضا", "👩‍💻", "李", "-", "हिन्दी"):
        assert model.model_validate(body | {"name": seen})
    assert NewPerson(name="").name == ""


@pytest.mark.parametrize(
    "model", [NewPerson, PersonPatch, NewRole, RolePatch, NewApiClient, ApiClientPatch, ProfileBody, TenantPatch, FirstOwner]
)
def test_a_name_with_characters_that_mislead_readers_is_refused_by_its_field(model: type[Body]) -> None:
    others = {"rights": ["account:read"], "modules": [], "email": "ann@acme.example"}
    body = {name: value for name, value in others.items() if name in model.model_fields}
    fields = [name for name in ("name", "job_title", "department", "login", "support_contact") if name in model.model_fields]
    for field in fields:
        given = body | ({"name": "Ann"} if "name" in model.model_fields else {})
        for hidden in ("Ann\u202egnp.exe", "An\u200bn", "\u2066Ann\u2069", "Ann\ufeff", "A\u00adnn", "Ann\x1b[2J"):
            with pytest.raises(ValidationError) as refused:
                model.model_validate(given | {field: hidden})
            (fault,) = refused.value.errors()
            assert fault["loc"] == (field,), ascii(hidden)
            assert ("expected a text without control characters" in fault["msg"], "invisible characters" in fault["msg"]) == (True, True)
        if field != "login":
            assert model.model_validate(given | {field: "علي‌رضا"})


@pytest.mark.parametrize("login", ["ann\u00a0ash", "ann\u200dash", "ann\u034fash", "ann\u3164", "ann\ufe0f"])
def test_a_login_that_looks_like_another_one_is_refused_and_compared_as_it(login: str) -> None:
    """The HR topics take it as it is: whose login it looks like is then in a conflict."""
    expected = "a text without control characters, invisible characters and special spaces"
    for model, body in ((NewPerson, {}), (PersonPatch, {}), (FirstOwner, {"name": "Ann", "email": "ann@acme.example"})):
        with pytest.raises(ValidationError) as refused:
            model.model_validate(body | {"login": login})
        assert expected in refused.value.errors()[0]["msg"]
    by_rest = read_as(PersonHired, {"external_id": "1", "effective_date": "2026-03-01", "login": login}, "event")
    assert isinstance(by_rest, list)
    assert [(each.field, each.expected) for each in by_rest] == [("login", expected)]
    assert problem_of({"userName": login}, {}) == f"userName: {expected} expected"
    assert login_key(login) in ("ann ash", "annash", "ann")


@pytest.mark.parametrize("field", ["name", "login", "job_title", "department"])
def test_a_statement_with_characters_that_mislead_readers_is_refused_by_its_field(field: str) -> None:
    """Imports and HR events by REST: what the command line refuses in a file must not come in beside it."""
    names, logins = "a text without control characters and invisible characters", UNCLEAR_REFUSED
    refused = logins if field == "login" else names
    for text, expected in (("Ann\u202egnp.exe", [refused]), ("An\u200bn", [refused]), ("علي‌رضا", [logins] if field == "login" else [])):
        report = {"external_id": "1", "employment": [], "attributes": [{"since": "2026-03-01"}, {"since": "2026-03-02", field: text}]}
        hired = {"external_id": "1", "effective_date": "2026-03-01", field: text}
        statements = ((read_as(PersonTimeline, report, "person"), f"attributes.1.{field}"), (read_as(PersonHired, hired, "event"), field))
        for found, name in statements:
            problems = found if isinstance(found, list) else []
            assert [(each.field, each.expected) for each in problems] == [(name, each) for each in expected], ascii(text)


@pytest.mark.parametrize("text", ["0", "00000000", "86400", "1772323200", "20260301", "2026-03-01T00:00:00", "2026-3-1", "2026-02-30", ""])
def test_a_day_of_a_statement_that_is_no_date_is_refused_by_its_field(text: str) -> None:
    """Numbers would be seconds since 1970: an open end that an HR system writes as zeros would end everybody."""
    day, expected = "2026-03-01", "a date, for example 2026-03-01"
    hired = {"external_id": "1", "effective_date": day, "valid_to": None}
    report = {"external_id": "1", "employment": [{"starts_on": day, "ends_on": None}], "attributes": [{"since": day}]}
    assert isinstance(read_as(PersonHired, hired, "event"), PersonHired)
    assert isinstance(read_as(PersonTimeline, report, "person"), PersonTimeline)
    for statement, field in (
        (read_as(PersonHired, hired | {"effective_date": text}, "event"), "effective_date"),
        (read_as(PersonHired, hired | {"valid_to": text}, "event"), "valid_to"),
        (read_as(PersonTimeline, report | {"employment": [{"starts_on": day, "ends_on": text}]}, "person"), "employment.0.ends_on"),
        (read_as(PersonTimeline, report | {"attributes": [{"since": day}, {"since": text}]}, "person"), "attributes.1.since"),
    ):
        assert isinstance(statement, list)
        assert [(each.field, each.expected) for each in statement] == [(field, expected)], text

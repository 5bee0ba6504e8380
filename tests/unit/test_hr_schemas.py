"""The messages of HR sources, as they travel."""

from datetime import date

import pytest
from pydantic import ValidationError

from shared.schemas.base import Payload
from shared.schemas.hr_v1 import DatedAttributes, EmploymentPeriod, PersonHired, PersonReported
from shared.schemas.registry import parse, type_of

DAY = date(2026, 3, 2)


def test_an_attribute_that_is_not_stated_stays_apart_from_one_that_is_withdrawn() -> None:
    entry = DatedAttributes(since=DAY, login="ann", email="", department=None)
    report = PersonReported(external_id="A 17/3", version=1, employment=(EmploymentPeriod(starts_on=DAY),), attributes=(entry,))
    sent = report.model_dump_json().encode()
    (read,) = parse(type_of(PersonReported), sent).attributes  # type: ignore[attr-defined]
    assert read.model_fields_set == {"since", "login", "email", "department"}
    assert (read.login, read.email, read.department) == ("ann", "", None)
    assert b"job_title" not in sent


@pytest.mark.parametrize("email", ["ann", "ann@", " "])
def test_an_email_is_an_address_or_empty(email: str) -> None:
    with pytest.raises(ValidationError):
        DatedAttributes(since=DAY, email=email)


@pytest.mark.parametrize(("periods", "entries"), [(201, 0), (0, 501)])
def test_a_report_has_bounds(periods: int, entries: int) -> None:
    with pytest.raises(ValidationError, match="too_long"):
        PersonReported(
            external_id="17",
            version=1,
            employment=(EmploymentPeriod(starts_on=DAY),) * periods,
            attributes=(DatedAttributes(since=DAY),) * entries,
        )


@pytest.mark.parametrize(
    ("model", "given"), [(PersonHired, {"external_id": "1", "effective_date": DAY}), (DatedAttributes, {"since": DAY})]
)
@pytest.mark.parametrize("wrong", ["nonsense", "a@b@c.example", 7])
def test_a_wrong_address_is_named_by_its_field_alone(model: type[Payload], given: dict[str, object], wrong: object) -> None:
    """Somebody may have no address, so two kinds of text are allowed; the refusal names the field once."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate({**given, "email": wrong})
    assert [error["loc"] for error in refused.value.errors()] == [("email",)]

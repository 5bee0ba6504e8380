"""The plan of a demo: what it names has to exist, and money is never a float."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cli.console import CliError
from cli.demo.plan import plan_without_file, read_plan
from shared.hr_files.company import Company, read_company

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def company() -> Company:
    return read_company(EXAMPLES / "alpenrose")


def test_the_samples_plan_maps_every_department(company: Company) -> None:
    plan = read_plan(EXAMPLES / "alpenrose.toml", company)
    mapping = plan.mapping(company.departments)
    assert set(mapping) == set(company.departments)
    assert {mapping[name] for name in ("Engineering", "Quality")} == {"makers"}
    assert {mapping[name] for name in ("Purchasing", "Logistics")} == {"planners"}
    assert mapping["Sales"] == "staff"
    assert plan.modules["projects"].price_minor == 1500
    assert plan.instant(date(2026, 3, 2)) == datetime(2026, 3, 2, 8, tzinfo=UTC)  # 9:00 in Zurich
    assert plan.days(company)[:2] == [date(2026, 3, 5), date(2026, 3, 6)]
    assert plan.days(company)[-1] == date(2026, 3, 27)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('price = "15.00"', "price = 15.00", "a float cannot hold it"),
        ("licences = 115", "licences = 0", "modules.projects.licences"),
        (
            "base = true ",
            "base = false ",
            "modules: expected modules with at least one base module (base = true) among them (got 'projects, ",
        ),
        (
            'modules = ["projects", "lab"]',
            'modules = ["projects", "labb"]',
            "profiles.makers.modules: expected modules of the plan: lab, planning, projects (got 'labb')",
        ),
        (
            'departments = ["Engineering", "Quality"]',
            'departments = ["Enginering"]',
            "departments that are not in the folder: Enginering",
        ),
        (
            'departments = ["Engineering", "Quality"]',
            'departments = ["Engineering", "Logistics"]',
            "departments: expected departments that no other profile names (got 'Logistics')",
        ),
        ("add = { lab = 1 }", "add = { labs = 1 }", "add: expected modules of the plan: lab, planning, projects (got 'labs')"),
        ("on = 2026-03-05", "on = 2026-02-05", "purchases.0.on: expected a day from 2026-"),
        (
            'time_zone = "Europe/Zurich"',
            'time_zone = "Zurich"',
            "tenant.time_zone: expected a time zone of the IANA database, such as Europe/Copenhagen (got 'Zurich')",
        ),
        ("until = 2026-03-27", "until = 2026-03-01", "dates.until: expected hired_on, 2026-"),
        ("[dates]", "[datse]", "datse"),
    ],
)
def test_a_wrong_plan_is_refused_with_the_field_and_the_reason(tmp_path: Path, company: Company, old: str, new: str, words: str) -> None:
    text = (EXAMPLES / "alpenrose.toml").read_text()
    assert old in text
    path = tmp_path / "plan.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CliError) as caught:
        read_plan(path, company)
    assert words in caught.value.message


def test_without_a_plan_everybody_gets_one_module_with_licences_for_95_percent(company: Company) -> None:
    plan = plan_without_file(company)
    heads = sum(person.employed_on(plan.dates.hired_on) for person in company.people)
    assert [(module.base, module.licences) for module in plan.modules.values()] == [(True, heads * 95 // 100)]
    assert set(plan.mapping(company.departments)) == set(company.departments)

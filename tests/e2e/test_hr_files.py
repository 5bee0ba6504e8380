"""An HR file is edited and imported again: everybody in it is as if only the second file had ever been there."""

import asyncio
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cli.hr.importing import Outcome, Wanted, perform
from shared.hr_files.company import read_company
from tests.support.stack import RunningStack
from tests.support.tenant import DAY, Tenant, open_rest, open_tenant

pytestmark = [pytest.mark.stack, pytest.mark.slow]
PEOPLE = 1_000
SEED = 20260302
DEPARTMENTS = ("Everybody", "Makers", "Elsewhere", "")
HEADER = "employee_id,start_date,end_date,department,login,email,name,kind,valid_to,may_log_in"
COMPARED = ("status", "login", "email", "name", "department", "kind", "valid_to", "profile")
Company = dict[str, list[str]]  # number -> rows


def random_rows(chance: Random, number: int) -> list[str]:
    """Rows without overlap, most of them up to today or a little later."""
    rows: list[str] = []
    first = DAY - timedelta(days=chance.choice((400, 90, 30, 1, 0, -20)))
    login = chance.choice((f"p{number}", f"p{number}", f"p{number}", ""))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        last = first + timedelta(days=chance.choice((0, 10, 29, 60, 300)))
        end = chance.choice((last.isoformat(), last.isoformat(), "", "9999-12-31"))
        rows.append(",".join((f"ID/{number} x", first.isoformat(), end, chance.choice(DEPARTMENTS), login, *_details(chance, number))))
        if end in ("", "9999-12-31"):
            break
        first = last + timedelta(days=chance.choice((1, 1, 1, 15)))
    return rows


def _details(chance: Random, number: int) -> tuple[str, ...]:
    email = chance.choice((f"p{number}@a.example", f"p{number}@b.example", ""))
    kind = chance.choice(("", "", "", "employee", "external"))
    valid_to = chance.choice(("", "", "", "", (DAY - timedelta(days=1)).isoformat(), (DAY + timedelta(days=9)).isoformat(), "2999-12-31"))
    return email, chance.choice(("Ann", "Bo", "")), kind, valid_to, chance.choice(("", "", "", "1", "0"))


def edited(chance: Random, company: Company) -> Company:
    """Two thirds of the people have other rows, some are missing, some are new."""
    numbers = [number for number in range(PEOPLE + 50) if chance.random() > 0.05]
    return {str(n): company[str(n)] if str(n) in company and chance.random() < 0.33 else random_rows(chance, n) for n in numbers}


async def import_company(tenant: Tenant, path: Path, company: Company) -> Outcome:
    """Whatever it ends is confirmed."""
    path.write_text("\n".join([HEADER, *(row for rows in company.values() for row in rows), ""]))
    files, wanted = read_company(path), Wanted(path, tenant.id, tenant.source)
    outcome = await perform(tenant.rest, files, wanted)
    if outcome.stopped:
        outcome = await perform(tenant.rest, files, Wanted(path, tenant.id, tenant.source, confirm=outcome.report["guard"]["would_end"]))
    assert (outcome.bad_rows, outcome.applied) == ((), True)
    await tenant.stage.until_idle()
    return outcome


async def state(tenant: Tenant) -> dict[str, dict[str, Any]]:
    return {
        person["external_id"]: {name: person[name] for name in COMPARED}
        | {"modules": sorted((each["module"], each["state"]) for each in person["modules"] if each["state"] != "released")}
        for person in await tenant.stage.people()
    }


async def test_importing_a_company_and_then_its_edited_version_is_as_importing_the_second_alone(
    stack: RunningStack, tmp_path: Path
) -> None:
    chance = Random(SEED)
    first = {str(number): random_rows(chance, number) for number in range(PEOPLE)}
    second = edited(chance, first)
    async with await open_rest(stack) as rest:
        both, alone = await asyncio.gather(*(open_tenant(stack, rest, licences=2 * PEOPLE, extra_licences=2 * PEOPLE) for _ in range(2)))
        await import_company(both, tmp_path / "both.csv", first)
        outcome = await import_company(both, tmp_path / "both.csv", second)
        await import_company(alone, tmp_path / "alone.csv", second)
        found, expected = await state(both), await state(alone)
    assert outcome.people.changed > PEOPLE // 3
    assert len({person["status"] for person in expected.values()}) > 2
    here = {f"ID/{number} x" for number in second}
    assert {who: person for who, person in found.items() if who in here} == expected

"""The console's page of profiles and departments, with the REST of the services in memory."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console
from tests.support.console_people import PREVIEW
from tests.unit.test_console_access import hidden
from tests.unit.test_console_people import words

PROFILES = "/tenants/acme/profiles"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


async def test_A14_A19_the_page_lists_profiles_with_their_modules_and_the_departments_that_give_them(bench: ConsoleBench) -> None:
    page = await bench.signed_in().get(PROFILES)
    text = words(page)
    assert "Staff staff Projects Planning no module is given" in text
    assert "Guests & &lt;i&gt; guests no modules, so no seat" in text
    assert "Research Staff People" in text
    assert "Sales &lt;b&gt; no profile People" in text
    assert "/people?department=Sales%20%3Cb%3E" in page.text
    bench.company.people.departments = {f"Department {number:03}": "staff" for number in range(150)}
    assert "and 50 more departments. Search for them." in words(await bench.signed_in().get(PROFILES))
    assert "Department 149" in words(await bench.signed_in().get(f"{PROFILES}?text=149"))


async def test_a_profile_is_saved_after_a_look_at_the_seats_and_not_over_somebody_elses_change(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    form = await browser.get(f"{PROFILES}/edit?profile=staff")
    assert form.text.count("checked") == 2
    fields: dict[str, Any] = {"name": "Staff", "modules": ["projects", "lab"], "partial": "yes", "seen": '"1"'}
    page = await browser.post(f"{PROFILES}/edit?profile=staff", step="preview", **fields)
    seen = words(page)
    assert "31 people would require other modules. Lab 27 licences 27 → 58 Lab 3 over the limit Lab 28 refused It costs nothing" in seen
    assert people.profiles["staff"]["modules"] == ["planning", "projects"], "nothing is saved by a look"
    fields["effect"] = hidden(page, "effect")
    other = words(await browser.post(f"{PROFILES}/edit?profile=staff", step="save", **fields | {"modules": ["projects"]}))
    assert "This is not what you saw before. Check it, and then go on." in other
    assert people.profiles["staff"]["modules"] == ["planning", "projects"], "the input was changed after the look"
    await browser.post(f"{PROFILES}/edit?profile=staff", step="save", **fields)
    assert (people.profiles["staff"]["modules"], people.profiles["staff"]["partial"]) == (["projects", "lab"], True)
    await browser.get(f"{PROFILES}/edit?profile=staff")
    people.profiles["staff"]["name"] = "Crew"
    stale = await browser.post(f"{PROFILES}/edit?profile=staff", step="save", **fields)
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (422, True)
    await browser.get(f"{PROFILES}/edit")
    await browser.post(f"{PROFILES}/edit", step="save", name="New", profile="new")
    assert people.profiles["new"]["modules"] == []
    assert (await browser.get(f"{PROFILES}/edit?profile=nothing")).status_code == 404
    await browser.get(f"{PROFILES}/edit")
    assert (await browser.post(f"{PROFILES}/edit", name="", profile="")).text.count('aria-invalid="true"') == 2


async def test_a_look_at_a_profile_says_who_will_require_a_module_that_is_not_subscribed(
    bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {"changed": 0, "modules": [], "outcomes": [], "not_subscribed": [{"module": "lab", "people": 31}]}
    for name, value in later.items():
        monkeypatch.setitem(PREVIEW, name, value)
    browser = bench.signed_in()
    await browser.get(f"{PROFILES}/edit?profile=staff")
    seen = words(await browser.post(f"{PROFILES}/edit?profile=staff", step="preview", name="Staff", modules=["lab"]))
    assert "Nobody would require other modules now." in seen
    assert "31 people will require Lab once it and the modules that it requires are subscribed." in seen


async def test_a_preview_lists_modules_as_the_page_licences_does_base_modules_first(
    bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = ("lab", "planning", "projects")
    changes = [{"module": each, "before": 1, "after": 2, "licences": None, "available": None} for each in three]
    monkeypatch.setitem(PREVIEW, "modules", changes)
    monkeypatch.setitem(PREVIEW, "outcomes", [{"module": each, "state": "active", "people": 7} for each in three])
    browser = bench.signed_in()
    await browser.get(f"{PROFILES}/edit?profile=staff")
    seen = words(await browser.post(f"{PROFILES}/edit?profile=staff", step="preview", name="Staff")).partition("What happens")[2]
    assert "Projects 1 → 2 Lab 1 → 2 Planning 1 → 2 Projects 7 has a seat Lab 7 has a seat Planning 7 has a seat" in seen


async def test_the_profile_of_a_department_is_saved_after_a_look_and_the_others_stay(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    await browser.get(f"{PROFILES}/department?department=Sales+%3Cb%3E")
    page = await browser.post(f"{PROFILES}/department", department="Sales <b>", known="Sales <b>", profile="guests", step="preview")
    seen = words(page)
    assert "5’000 people would require other modules." in seen
    assert "There is no preview of each seat: there are too many people, or a service does not answer." in seen
    assert "Compare their number with the licences" in seen
    people.known_licences = None
    unknown = words(
        await browser.post(f"{PROFILES}/department", department="Sales <b>", known="Sales <b>", profile="guests", step="preview")
    )
    assert "the number of licences is not known, because a service does not answer. Where there are too few licences" in unknown
    assert "Compare" not in unknown
    people.known_licences = 27
    assert people.departments["Sales <b>"] is None
    effect = hidden(page, "effect")
    other = await browser.post(f"{PROFILES}/department", department="Sales <b>", profile="staff", step="save", effect=effect)
    assert "This is not what you saw before. Check it, and then go on." in words(other)
    assert people.departments["Sales <b>"] is None, "the input was changed after the look"
    await browser.post(f"{PROFILES}/department", department="Sales <b>", profile="guests", step="save", effect=effect)
    assert people.departments == {"Research": "staff", "Sales <b>": "guests"}
    people.meanwhile = {"Legal": "staff"}  # somebody saves another department in this moment
    late = await browser.post(f"{PROFILES}/department", department="Research", seen="staff", profile="guests", step="save")
    assert (late.status_code, "Somebody else has changed this meanwhile." in words(late)) == (422, True)
    await browser.post(f"{PROFILES}/department", department="Research", seen="staff", profile="guests", step="save")
    assert people.departments == {"Research": "guests", "Sales <b>": "guests", "Legal": "staff"}
    assert (await browser.get(f"{PROFILES}/department?department=Nope")).status_code == 404


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("edit?profile=staff", {"name": "Staff", "modules": ["projects", "lab"], "seen": '"1"'}),
        ("department", {"department": "Sales <b>", "known": "Sales <b>", "profile": "guests"}),
    ],
)
async def test_M12_what_would_add_licences_by_itself_since_it_was_looked_at_is_announced_first(
    bench: ConsoleBench, path: str, form: dict[str, Any]
) -> None:
    """Somebody else has taken the free licence meanwhile."""
    browser, people, url = bench.signed_in(), bench.company.people, f"{PROFILES}/{path}"
    await browser.get(PROFILES)
    form["effect"] = hidden(await browser.post(url, step="preview", **form), "effect")
    people.settings_expansions = [{"module": "lab", "licences": 1}]
    announced = await browser.post(url, step="save", **form)
    assert "This is not what you saw before. Check it, and then go on." in words(announced)
    assert "1 licence would be added by itself" in words(announced)
    assert (people.profiles["staff"]["modules"], people.departments["Sales <b>"]) == (["planning", "projects"], None), (
        "a look changes nothing"
    )
    await browser.post(url, step="save", **form | {"effect": hidden(announced, "effect")})
    assert people.profiles["staff"]["modules"] == ["projects", "lab"] or people.departments["Sales <b>"] == "guests"


async def test_M12_a_profile_is_not_saved_if_seats_can_no_longer_say_what_the_look_said(bench: ConsoleBench) -> None:
    browser, people, url = bench.signed_in(), bench.company.people, f"{PROFILES}/edit?profile=staff"
    form: dict[str, Any] = {"name": "Staff", "modules": ["projects", "lab"], "seen": '"1"'}
    await browser.get(PROFILES)
    look = await browser.post(url, step="preview", **form)
    people.decides = False
    asked = await browser.post(url, step="save", **form, effect=hidden(look, "effect"))
    assert "This is not what you saw before. Check it, and then go on." in words(asked)
    assert "There is no preview of each seat: there are too many people, or a service does not answer." in words(asked)
    assert people.profiles["staff"]["modules"] == ["planning", "projects"]
    await browser.post(url, step="save", **form, effect=hidden(asked, "effect"))
    assert people.profiles["staff"]["modules"] == ["projects", "lab"]


async def test_T23_profiles_are_changed_with_the_right_to_manage_settings_only(bench: ConsoleBench) -> None:
    browser = bench.signed_in("bob", rights=("users:read",))
    assert "/edit" not in (await browser.get(PROFILES)).text
    for path in ("edit", "department"):
        assert (await browser.get(f"{PROFILES}/{path}")).status_code == 403
        assert (await browser.post(f"{PROFILES}/{path}", step="save")).status_code == 403

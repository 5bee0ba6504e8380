"""The console's import of a CSV file, with the REST of the services in memory."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.console import Browser, ConsoleBench, console, problem
from tests.support.console_people import IMPORT_CHANGES
from tests.unit.test_console_people import words
from tests.unit.test_console_settings import fields

IMPORT = "/tenants/acme/people/import"
GOOD = "Personalnummer;start_date;login;name\r\n9;2026-01-02;eva;Eva <b>\r\n7;2025-01-02;max;Max\r\n"
BROKEN = GOOD + "8;tomorrow;tim;Tim\r\n"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


async def send(browser: Browser, content: str | bytes, **more: Any) -> httpx.Response:
    await browser.get(IMPORT)
    fields = {"source": "hr/acme", "dates": "iso", "end_dates": "inclusive", "columns": "employee_id=Personalnummer", "absent": "list"}
    return await browser.post(IMPORT, files={"file": (more.pop("name", "people.csv"), content)}, **(fields | more))


async def test_a_file_is_read_and_its_changes_are_shown_before_anybody_is_changed(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    page = await send(browser, GOOD, complete="yes", absent="leave")
    text = words(page)
    assert "new 1 changed 1 unchanged 3 lose access 0 missing from the file 0 not accepted 1" in text
    assert "The status of 1 other person changes as well, because a conflict begins or ends: E-6" in text
    lacking = "3 people have no profile and get no licence, because no profile is set for their departments"
    assert f"{lacking} Lab & Co (2), no department (1) Set the profiles of departments" in text
    assert "People who require each module Lab 27 licences 27 → 28 Lab 1 over the limit It costs nothing" in text
    assert "Eva &lt;b&gt; 9 new becomes one person with an entry of another source" in text
    stated = (
        "source Name: Eva &lt;b&gt; Department: Research Profile: Staff Status: Over the limit from 1 Jul 2026, Employment: no Lab over"
    )
    assert stated in text, "no empty value, and the name of the profile"
    assert "Max 7 changed loses access Status: Active → Left from 1 Aug 2026, Department: Sales (no longer planned)" in text
    assert "E-mail address: an e-mail address, for example ann@example.com" in text
    assert "2 rows: 2 used, 0 ignored, 0 reported." in text
    assert people.begun == {"source": "hr/acme", "complete": True, "absent": "leave"}
    assert [each["external_id"] for each in people.uploaded] == ["7", "9"]
    assert people.import_status == "checked", "nobody is changed by a look"
    running = words(await browser.post(f"{IMPORT}/i1/apply"))
    assert "1 of 2 people are changed. You can leave this page." in running
    people.import_status = "failed"
    assert "stopped the import after 1 of 2 people." in words(await browser.get(f"{IMPORT}/i1"))
    people.import_status = "applied"
    done = words(await browser.get(f"{IMPORT}/i1"))
    assert "1 person was changed." in done
    assert lacking in done


async def test_the_page_names_the_contact_who_allows_a_source_also_when_the_source_is_refused(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    contact = "ask your contact at the vendor. Your contact: help@vendor.example"
    assert contact in words(await browser.get(IMPORT))
    expected = "a source on the allow-list for this tenant (an operator adds it: PUT /v1/operator/sources/{source})"
    faults = [{"field": "body.source", "value": "hr/acme", "expected": expected}]
    bench.company.answers["POST users /v1/tenants/acme/imports"] = problem(422, "invalid", "not valid", errors=faults)
    refused = words(await send(browser, GOOD))
    assert contact in refused
    assert "a source that the vendor has allowed for this company; ask your contact at the vendor to allow yours" in refused


async def test_a_report_leads_back_to_its_form_with_what_was_entered(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    columns = "employee_id=Personal & Nr,start_date=Eintritt"
    declared = {
        "dates": "dmy",
        "end_dates": "exclusive",
        "encoding": "utf-8",
        "kinds": "Gast=external",
        "complete": "yes",
        "absent": "leave",
    }
    german = GOOD.replace("Personalnummer", "Personal & Nr").replace("start_date", "Eintritt")
    german = german.replace("2026-01-02", "02.01.2026").replace("2025-01-02", "02.01.2025")
    report = await send(browser, german, columns=columns, **declared)
    (link,) = re.findall(r'href="(/tenants/acme/people/import\?[^"]+)"', report.text)
    page = await browser.get(unescape(link))
    shown = fields(page)
    assert {name: shown[name] for name in (*declared, "columns", "source")} == declared | {"columns": columns, "source": "hr/acme"}
    looked_at = await browser.get(f"{IMPORT}/i1")
    assert f'href="{IMPORT}?source=hr%2Facme"' in looked_at.text


async def test_an_import_that_is_done_leads_to_the_people_about_whom_somebody_decides(
    bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = bench.signed_in()
    bench.company.people.import_status = "applied"
    said = "Some of these people may be people whom you have already."
    assert said not in words(await browser.get(f"{IMPORT}/i1"))
    monkeypatch.setitem(IMPORT_CHANGES[0], "match", {"outcome": "conflict", "people": ["u1"]})
    done = await browser.get(f"{IMPORT}/i1")
    assert (said in words(done), '/tenants/acme/people/checks">To decide' in done.text) == (True, True)


async def test_rows_that_cannot_be_read_are_listed_and_then_nobody_leaves_for_being_missing(bench: ConsoleBench) -> None:
    page = words(await send(bench.signed_in(), BROKEN, complete="yes", absent="leave"))
    assert "Rows that cannot be read The people of these rows are not changed at all. Line Person Why 4 8 start_date" in page
    assert "held back, because a row cannot be read 1" in page
    assert "none of them leaves" in page
    assert bench.company.people.begun["absent"] == "list"
    assert [each["external_id"] for each in bench.company.people.uploaded] == ["7", "9"]


async def test_an_import_by_which_many_would_lose_access_is_confirmed_with_their_number_or_deleted(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    people.would_end = 41
    assert "Yes, 41 people lose access" in words(await send(browser, GOOD))
    assert "The number of people who would lose access has changed." in words(await browser.post(f"{IMPORT}/i1/apply"))
    await browser.post(f"{IMPORT}/i1/discard")
    assert people.import_status == "deleted"
    await browser.get(f"{IMPORT}/i1")
    await send(browser, GOOD)
    assert "The number of people who would lose access has changed." in words(await browser.post(f"{IMPORT}/i1/apply", confirm="9" * 5000))
    await browser.post(f"{IMPORT}/i1/apply", confirm="41")
    assert people.import_status == "applying"


async def test_a_report_is_made_again_when_it_is_looked_at_again(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    kept = "Rows that cannot be read were listed when the file was sent, and are not kept."
    first = words(await send(browser, GOOD))
    assert ("3 people have no profile" in first, kept in first) == (True, False)
    people.lacking_now = 2  # a department got a profile
    again = words(await browser.get(f"{IMPORT}/i1"))
    assert ("2 people have no profile" in again, kept in again) == (True, True)
    people.lacking_now, people.check_refused = 1, True
    shown = words(await browser.get(f"{IMPORT}/i1"))
    assert "This report may be out of date The test clock is being advanced." in shown
    assert "2 people have no profile" in shown


async def test_an_import_changes_nobody_if_it_would_change_something_else_than_the_reader_saw(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    page = await send(browser, GOOD)
    people.lacking_now = 2
    shown = words(await browser.post(f"{IMPORT}/i1/apply", seen=fields(page)["seen"]))
    assert "Something has changed since you looked, so the import would change something else now. Look at it again." in shown
    assert "2 people have no profile" in shown
    assert people.import_status == "checked"
    seen = fields(await browser.get(f"{IMPORT}/i1"))["seen"]
    people.import_expansions = [{"module": "lab", "licences": 1}]  # somebody else has taken a licence (M12)
    assert "1 licence would be added by itself" in words(await browser.post(f"{IMPORT}/i1/apply", seen=seen))
    assert people.import_status == "checked"
    seen = fields(await browser.get(f"{IMPORT}/i1"))["seen"]
    people.decides = False
    assert "or whether licences are added and charged" in words(await browser.post(f"{IMPORT}/i1/apply", seen=seen))
    assert people.import_status == "checked"
    await browser.post(f"{IMPORT}/i1/apply", seen=fields(await browser.get(f"{IMPORT}/i1"))["seen"])
    assert people.import_status == "applying"


async def test_M9_an_import_says_which_licences_its_leavers_give_back_when_and_what_that_saves(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    assert "given back" not in words(await send(browser, GOOD))
    seen = fields(await browser.get(f"{IMPORT}/i1"))["seen"]
    people.import_reductions = [{"module": "lab", "licences": 2, "reduce_at": "period_end"}]
    shown = words(await browser.post(f"{IMPORT}/i1/apply", seen=seen))
    saves = "That saves CHF 6.00 per month, without tax."
    assert "It costs nothing: no licence is added. Lab: 2 licences of leavers" in shown
    assert f"given back at the end of the period. {saves}" in shown
    assert people.import_status == "checked"
    seen = fields(await browser.get(f"{IMPORT}/i1"))["seen"]
    people.import_reductions = [{"module": "lab", "licences": 2, "reduce_at": "now"}]  # the policy was changed
    people.import_expansions = [{"module": "lab", "licences": 2}]  # the same licences: the number stays
    shown = words(await browser.post(f"{IMPORT}/i1/apply", seen=seen))
    assert "2 licences would be added by themselves You would be charged CHF 6.00 per month, without tax." in shown
    assert "Lab: 2 licences would be added by themselves. Lab: 2 licences of leavers" in shown
    assert f"given back at once. {saves}" in shown
    assert people.import_status == "checked"


async def test_a_file_that_cannot_be_read_says_why_beside_its_field(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    for content, more, said in (
        ("", {}, "people.csv is empty"),
        ("name\nAnn\n", {"columns": ""}, "has no column employee_id"),
        (b"PK\x03\x04...", {}, "is a workbook of a spreadsheet"),
        (GOOD, {"columns": "nothing=Name"}, "Columns: there is no field"),
        (GOOD, {"columns": "pyproject.TOML"}, "Columns: field=Column expected"),
        (GOOD, {"kinds": "pyproject.toml"}, "Kinds: Value=kind expected"),
        (GOOD, {"encoding": "klingon"}, "Encoding: one of utf-8"),
        (GOOD, {"source": ""}, "Enter the name of the source"),
    ):
        page = await send(browser, content, **more)
        assert (page.status_code, said in words(page), bench.company.people.begun) == (422, True, {}), said
    browser.http.headers["accept-language"] = "de"
    german = words(await send(browser, "name\nAnn\n", columns=""))
    assert "people.csv hat keine Spalte employee_id" in german
    browser.http.headers["accept-language"] = "en"
    await browser.get(IMPORT)
    assert "Choose a CSV file." in words(await browser.post(IMPORT, source="hr/acme"))


async def test_a_file_may_have_any_name(bench: ConsoleBench) -> None:
    for name, shown in (("人" * 99 + ".csv", "人" * 66), ("..", "people.csv"), ("../x.csv", "x.csv")):
        page = await send(bench.signed_in(), "name\nAnn\n", columns="", name=name)
        assert (page.status_code, f" {shown} has no column employee_id" in words(page)) == (422, True), name


async def test_T23_an_import_needs_the_right_and_no_viewset(bench: ConsoleBench) -> None:
    assert (await bench.signed_in("bob", rights=("users:read",)).get(IMPORT)).status_code == 403
    limited = bench.signed_in("eve", departments=["Sales"])
    assert (await limited.get(IMPORT)).status_code == 403
    assert "/people/import" not in (await limited.get("/tenants/acme/people")).text


async def test_an_earlier_import_that_is_not_finished_is_shown_so_that_somebody_can_apply_or_delete_it(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    people.import_running = "i1"
    page = await send(browser, GOOD)
    assert page.status_code == 422
    assert f'href="{IMPORT}/i1"' in page.text
    assert "it is running, or waits until somebody applies or deletes it" in words(page)
    for status, can_apply in (("checked", True), ("collecting", False)):
        people.import_status = status
        shown = (await browser.get(f"{IMPORT}/i1")).text
        assert (f'action="{IMPORT}/i1/apply"' in shown, f'action="{IMPORT}/i1/discard"' in shown) == (can_apply, True), status


async def test_how_a_file_was_read_is_said_in_the_language_of_the_reader(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    content = "Personalnummer;Von;start_date;Größe\r\n9;x;2026-01-02;1\r\n".encode("windows-1252")
    page = await send(browser, content, encoding="windows-1252")
    assert "people.csv: windows-1252, separator: semicolon, rows: 1; columns that are not used: Von, Größe" in words(page)
    await browser.post("/language", language="de", back=IMPORT)
    page = await send(browser, content, encoding="windows-1252")
    assert "people.csv: windows-1252, Trennzeichen: Semikolon, Zeilen: 1; nicht verwendete Spalten: Von, Größe" in words(page)
    many = ",".join(["Personalnummer", "start_date", *(f"x{number}" for number in range(30))]) + "\r\n9,2026-01-02" + ",1" * 30 + "\r\n"
    assert re.search(r"nicht verwendete Spalten: x0, .* und [0-9]+ weitere", words(await send(browser, many)))


async def test_a_person_who_begins_on_a_later_day_is_named_and_shown_without_empty_values(bench: ConsoleBench) -> None:
    text = words(await send(bench.signed_in(), GOOD))
    assert "Nora 10 new Employment: no Status: Not employed yet from 1 Dec 2026, Name: Nora from 1 Dec 2026, Employment: yes" in text
    assert "Employee number" not in text

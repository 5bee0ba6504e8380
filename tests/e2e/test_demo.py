"""`make demo` on the AdventureWorks people, with the figures worked out by hand in the issue, and on the project's own sample."""

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from cli.demo.sign_in import doors
from cli.demo.stage import Stage
from cli.rest import Addresses, Rest, read_stack
from cli.token import fetch_token
from shared.clock import SystemClock
from tests.support import chromium as installed
from tests.support.browsers import HEIGHT, RULES_OF_COLOURS, SIZES, THEMES, launched, window
from tests.support.console import Browser
from tests.support.console_pages import ADMINISTRATOR, NOBODY, ONLY_IN_MEMORY, OPERATOR, PAGES, TESTER
from tests.support.stack_pages import furnish
from tests.support.tenant import Silent, Tenant

ROOT = Path(__file__).parents[2]
ADVENTURE_WORKS = ROOT.parent / "shared" / "data" / "adventure-works"
pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Run:
    lines: list[str]
    code: int
    folder: Path

    @property
    def figures(self) -> dict[str, str]:
        found = [line for line in self.lines if line.startswith("demo: ")]
        assert len(found) == 1, "\n".join(self.lines[-30:])
        return dict(word.split("=") for word in found[0].split()[1:])

    def after(self, words: str) -> str:
        """Return what follows these words in the output."""
        return next(line.partition(words)[2].strip() for line in self.lines if words in line)

    @property
    def story(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "story.json").read_text()))


@dataclass(frozen=True)
class Kept(Run):
    """A run on a terminal, whose stack stays up."""

    process: subprocess.Popen[bytes]

    @property
    def state(self) -> Path:
        """Return the state folder of the stack."""
        return Path(self.after("SEATPOOL_STATE_DIR=").split()[0])


COMMAND = (sys.executable, "-m", "cli.main", "demo", "--keep")


def play(folder: Path, *arguments: str, **environment: str) -> Run:
    command, env = [*COMMAND, str(folder), *arguments], {**os.environ, "COLUMNS": "160", **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550, env=env, cwd=ROOT)
    return Run((done.stdout + done.stderr).strip().splitlines(), done.returncode, folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Play the sample company on a terminal once, and give what it shows when the stack stays up. The last test presses Ctrl-C."""
    folder = tmp_path_factory.mktemp("kept")
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "dumb", "COLUMNS": "160", "IDENTITY_PROVIDER": "1"}
    process = subprocess.Popen([*COMMAND, str(folder)], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=ROOT)
    os.close(theirs)
    clock, shown = SystemClock(), b""
    until = clock.monotonic() + 500
    try:
        while b"Press Ctrl-C to end" not in shown:
            assert process.poll() is None, shown.decode()
            assert clock.monotonic() < until, shown.decode()
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65_536)
        yield Kept(shown.decode().splitlines(), 0, folder, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


async def sign_in(link: str) -> tuple[str, str, str]:
    """Use the link as a browser does. Return the address and the text of the page that opens, and the session."""
    async with httpx.AsyncClient(headers={"accept-language": "en"}, timeout=30) as http:
        browser = Browser(http)
        secret = re.search("secret=(.+)", link)
        assert secret is not None
        await browser.get(link)
        page = await browser.post(link.partition("?")[0], secret=secret[1])
        return page.url.path, page.text, http.cookies["seatpool_session"]


def small_company(folder: Path) -> tuple[str, ...]:
    """Write a company of three people, and return the arguments that name it."""
    (folder / "birch").mkdir()
    for name in ("departments", "employees", "department_history"):
        head, *rows = (ROOT / "examples/alpenrose" / f"{name}.csv").read_text().replace("alpenrose", "birch").splitlines()
        chosen = rows if name == "departments" else [row for row in rows if row.split(",")[0] in ("2", "3", "4")]
        (folder / "birch" / f"{name}.csv").write_text("\n".join([head, *chosen]) + "\n")
    return "--hr", str(folder / "birch")


def counts(step: dict[str, Any], module: str) -> tuple[int, int]:
    pool = step["pools"][module]
    return pool["active"], pool["flagged"]


def keys(rows: list[list[str]], module: str) -> list[int]:
    return [int(key) for name, key in rows if name == module]


def flagged(step: dict[str, Any], module: str) -> list[int]:
    return [int(flag["external_id"]) for flag in step["flags"] if flag["module"] == module]


@pytest.mark.xdist_group("own stack")
def test_T6_T10_adventure_works_ends_with_the_numbers_calculated_by_hand(tmp_path: Path) -> None:
    if not ADVENTURE_WORKS.is_dir():
        pytest.skip("the AdventureWorks files are not beside this checkout")
    run = play(tmp_path, "--hr", str(ADVENTURE_WORKS), "--plan", str(ROOT / "examples/adventure-works.toml"))
    assert run.code == 0, "\n".join(run.lines[-40:])
    imported, bought, ended = run.story
    documents, planning = [10, 11, 13, 14, 15, 213, 221], [250, 260, 261]
    # after the import
    assert (counts(imported, "time"), counts(imported, "documents"), counts(imported, "planning")) == ((280, 10), (30, 7), (15, 0))
    assert flagged(imported, "time") == [281, 282, 283, 284, 285, 286, 287, 288, 289, 290]
    assert flagged(imported, "documents") == documents
    assert keys(imported["refused"], "planning") == planning
    # six licences of time bought
    assert (counts(bought, "time"), counts(bought, "documents"), counts(bought, "planning")) == ((286, 4), (30, 7), (15, 0))
    assert flagged(bought, "time") == [284, 285, 286, 288]
    # seven days after the import
    assert (counts(ended, "time"), counts(ended, "documents"), counts(ended, "planning")) == ((286, 0), (30, 0), (15, 0))
    assert [int(key) for key in ended["deactivated"]] == [284, 285, 286, 288]
    assert keys(ended["withdrawn"], "documents") == documents
    assert keys(ended["refused"], "planning") == planning
    wanted = {"hired": "290", "active": "286", "flagged": "0", "revoked": "11", "refused": "3", "invoices": "1", "net": "31.20"}
    assert {name: run.figures[name] for name in wanted} == wanted
    assert int(run.figures["mails"]) > 0
    assert int(run.figures["decisions"]) > 290
    check_the_invoice(tmp_path, "31.20", "7.80", "39.00")


def check_the_invoice(folder: Path, net: str, tax: str, gross: str) -> None:
    (path,) = folder.glob("invoice-*.pdf")
    text = " ".join(page.extract_text() for page in PdfReader(path).pages)
    for amount in (net, tax, gross):
        assert amount in text, text


@pytest.mark.xdist_group("own stack")
def test_the_sample_company_ends_with_the_numbers_calculated_by_hand_and_its_links_open_the_console(kept: Kept) -> None:
    wanted = {"hired": "124", "active": "119", "flagged": "0", "revoked": "5", "refused": "2", "invoices": "4", "net": "72.10"}
    assert {name: kept.figures[name] for name in wanted} == wanted
    assert len(list(kept.folder.glob("invoice-*.pdf"))) == 4
    specification = "urn:cen.eu:en16931:2017"
    found = [each.read_text().partition(specification)[2].partition("<")[0] for each in sorted(kept.folder.glob("invoice-*.xml"))]
    xrechnung, peppol = "#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0", "#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
    assert found == ["", xrechnung, xrechnung, peppol]
    assert (kept.folder / "action-log.csv").read_text().count("\n") > 122
    assert len(json.loads((kept.folder / "mails.json").read_text())) == int(kept.figures["mails"])
    path, page, _ = asyncio.run(sign_in(kept.after("the company's administrator: ")))
    assert (path, "Alpenrose Instruments" in page) == ("/tenants/alpenrose/licences", True)
    assert asyncio.run(sign_in(kept.after("the vendor's operator: ")))[0] == "/operator/tenants"


@pytest.mark.skipif(installed.PATH is None, reason="Chromium is not installed")
@pytest.mark.xdist_group("own stack")
async def test_every_page_shows_the_sample_company_in_both_themes_on_a_phone_and_without_scripts(kept: Kept) -> None:
    where = read_stack(kept.state / "stack.json")
    sessions = {NOBODY: ""}
    for reader, door in zip((ADMINISTRATOR, OPERATOR), await doors(where, "alpenrose", "licences@alpenrose.example"), strict=True):
        sessions[reader] = (await sign_in(door.link))[2]
    sessions[TESTER] = sessions[ADMINISTRATOR]
    token = await fetch_token(
        Addresses(where["services"], operator_secret=where["operator_secret"]), tenant=None, rights="operator", ttl_seconds=3600
    )
    async with Rest(Addresses(where["services"], token)) as rest:
        values = await furnish(Tenant(rest, Stage(rest, "alpenrose", Silent())), where)
    pages = [page for page in PAGES if page.reader in sessions and page.is_about(values) and page.name != "not-found"]
    assert {page.name for page in PAGES} - {page.name for page in pages} == ONLY_IN_MEMORY
    origin, found = where["services"]["console"], list[str]()
    async with httpx.AsyncClient(base_url=origin, headers={"accept-language": "en"}, timeout=30) as http:
        for page in pages:
            answer = await http.get(page.path(values), headers={"cookie": f"seatpool_session={sessions[page.reader]}"})
            if answer.status_code != 200 or len(re.findall("<h1", answer.text)) != 1:
                found.append(f"{page.name}: {answer.status_code} without scripts")
    assert not found, "\n".join(found)
    async with launched() as chromium, window(chromium, origin, reduced_motion="reduce") as opened:
        for page in pages:
            await opened.use_session(sessions[page.reader])
            await opened.open(page.path(values))
            for theme in THEMES:
                await opened.page.emulate_media(color_scheme=theme)
                found += await opened.violations(*(RULES_OF_COLOURS if theme == "dark" else ()))
            found += await opened.misfits(min(SIZES))
            await opened.photograph(page.name)
            await opened.page.set_viewport_size({"width": max(SIZES), "height": HEIGHT})
            await opened.page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


@pytest.mark.xdist_group("own stack")
async def test_an_identity_provider_is_set_up_with_the_address_of_the_page_and_the_token_that_the_command_prints(kept: Kept) -> None:
    """`seatpool scim token` as docs/operating.md has it, and the steps of the page for Okta and Entra."""
    where = read_stack(kept.state / "stack.json")
    written = re.search(r"^seatpool scim token --tenant acme --source okta$", (ROOT / "docs/operating.md").read_text(), re.MULTILINE)
    assert written is not None
    command = [sys.executable, "-m", "cli.main", *written[0].split()[1:]]
    command[command.index("acme")], command[command.index("okta")] = "alpenrose", "entra"
    environment = {**os.environ, "SEATPOOL_STATE_DIR": str(kept.state)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    token = (await process.communicate())[0].decode().strip()
    (door, _) = await doors(where, "alpenrose", "licences@alpenrose.example")
    session = (await sign_in(door.link))[2]
    async with httpx.AsyncClient(headers={"accept-language": "en"}, timeout=30) as http:
        url = f"{where['services']['console']}/tenants/alpenrose/access/scim/entra"
        page = await http.get(url, headers={"cookie": f"seatpool_session={session}"})
        (address,) = re.findall(r"<dt>Base URL</dt><dd><code>([^<]+)</code>", page.text)
        found = await http.get(f"{address}/Users?count=1", headers={"authorization": f"Bearer {token}"})
        assert (found.status_code, found.json()["totalResults"] > 100) == (200, True)
        assert (await http.get(f"{address}/Users", headers={"authorization": "Bearer spscim_wrong"})).status_code == 401


@pytest.mark.xdist_group("own stack")
def test_another_company_is_played_into_the_kept_stack_which_ctrl_c_ends(kept: Kept, tmp_path: Path) -> None:
    check_a_company_in_the_running_stack(tmp_path, str(kept.state))
    kept.process.send_signal(signal.SIGINT)
    assert kept.process.wait(60) == 0
    assert not kept.state.exists(), "everything is gone after Ctrl-C"


def check_a_company_in_the_running_stack(folder: Path, stack: str) -> None:
    company = small_company(folder)
    added = play(folder / "kept", *company, "--into-running", SEATPOOL_STATE_DIR=stack)
    assert (added.code, added.figures["hired"], added.figures["active"]) == (0, "3", "2"), "\n".join(added.lines)
    assert asyncio.run(sign_in(added.after("the company's administrator: ")))[0] == "/tenants/birch/licences"
    again = play(folder / "kept", *company, "--into-running", SEATPOOL_STATE_DIR=stack)
    assert again.code == 1
    assert "has a tenant birch already" in again.lines[-2]

"""`make demo` on the AdventureWorks people, with the figures worked out by hand in the issue, and on the project's own sample."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

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
        name, *words = self.lines[-1].split()
        assert name == "demo:", "\n".join(self.lines[-30:])
        return dict(word.split("=") for word in words)

    @property
    def story(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "story.json").read_text()))


def play(folder: Path, *arguments: str) -> Run:
    command = [sys.executable, "-m", "cli.main", "demo", "--keep", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550, env={**os.environ, "COLUMNS": "160"}, cwd=ROOT)
    return Run((done.stdout + done.stderr).strip().splitlines(), done.returncode, folder)


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
def test_the_sample_company_ends_with_the_numbers_calculated_by_hand(tmp_path: Path) -> None:
    run = play(tmp_path)
    assert run.code == 0, "\n".join(run.lines[-40:])
    wanted = {"hired": "124", "active": "119", "flagged": "0", "revoked": "5", "refused": "2", "invoices": "4", "net": "72.10"}
    assert {name: run.figures[name] for name in wanted} == wanted
    assert len(list(tmp_path.glob("invoice-*.pdf"))) == 4
    specification = "urn:cen.eu:en16931:2017"
    found = [each.read_text().partition(specification)[2].partition("<")[0] for each in sorted(tmp_path.glob("invoice-*.xml"))]
    xrechnung, peppol = "#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0", "#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
    assert found == ["", xrechnung, xrechnung, peppol]
    assert (tmp_path / "action-log.csv").read_text().count("\n") > 122
    assert len(json.loads((tmp_path / "mails.json").read_text())) == int(run.figures["mails"])

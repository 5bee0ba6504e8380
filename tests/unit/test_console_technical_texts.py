"""Codes of the services are shown in the reader's language: this test reads the sources for the reasons of dead letters."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from scim2_models import SCIMException

from services.console.rendering import languages
from services.console.rendering.technical_texts import ERRORS, OTHER, REASONS, reason_text, scim_error_text

ROOT = Path(__file__).parents[2]
REJECTING = ("commands.py", "decide.py", "policies.py", "pools.py", "decider.py")  # of seats: they reject commands
REJECTED = ("UNREADABLE", "UNKNOWN_TYPE", "INVALID", "NOT_A_TEST_CLOCK", "WRONG", "ERROR", "TOO_LARGE")
german = languages.translations()["de"].gettext


def _reasons() -> Iterator[str]:
    for file in (file for folder in ("services", "shared") for file in sorted((ROOT / folder).rglob("*.py"))):
        text = file.read_text()
        if "Poison" not in text and (file.name not in REJECTING or "seats" not in file.parts):
            continue
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(func=ast.Name(id="Poison" | "_failed"), args=[ast.Constant(value=str(reason)), *_]):
                    yield reason
                case ast.Attribute(value=ast.Name(id="Reason"), attr=name) if name.startswith(REJECTED):
                    yield name.lower()


def test_each_reason_of_a_dead_letter_is_translated() -> None:
    found = set(_reasons())
    assert found == set(REASONS), "the reasons that there are, and no other"
    assert not {reason for reason in found if reason_text(reason, german) == german(OTHER)}


def test_a_refusal_of_rest_is_the_reason_of_a_dead_letter_as_well() -> None:
    assert "gelöscht" in reason_text("person-erased", german)
    assert reason_text("plan-minimum", german) == german(OTHER), "its values are not known"


def test_each_type_of_a_scim_error_is_translated() -> None:
    types = {each.scim_type for each in SCIMException.__subclasses__() if each.scim_type}
    assert types <= ERRORS.keys()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("409 uniqueness", "Ein Wert, zum Beispiel das Login, gehört schon jemand anderem. (409 uniqueness)"),
        ("429", "Es kamen zu viele Anfragen in kurzer Zeit. (429)"),
        ("418 teapot", "Die Anfrage ist nicht möglich. (418 teapot)"),
        ("502", "In Seatpool ist ein Fehler aufgetreten. (502)"),
    ],
)
def test_an_error_of_scim_is_said_in_german_with_its_code(error: str, shown: str) -> None:
    assert scim_error_text(error, german) == shown

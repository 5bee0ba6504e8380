"""The question before something that cannot be taken back easily: what it is about, what it does, and the way back.

GET shows the question, and POST on the same address does it. What a service refuses is said above the question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Response

from services.console.pages.addresses import address_of
from services.console.pages.page import Page
from services.console.rest.problems import Refusal


@dataclass(frozen=True, slots=True)
class Question:
    """`facts`: what it is about, by labels. `effects`: what happens then, a sentence or two each. `back`: the address of the page before.
    `seen`: what the answer depends on, such as a number of people; the form sends it. `others`: how many of a fact are not
    shown, by its label."""

    title: str
    button: str
    back: str
    effects: Sequence[str]
    facts: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)
    danger: bool = True


def ask(page: Page, question: Question, refusal: Refusal | None = None) -> Response:
    """Show the question; after a refusal with why."""
    problem = refusal.problem if refusal else None
    return page.render("confirm.html", 409 if refusal else 200, question=question, problem=problem, address=address_of(page.request))

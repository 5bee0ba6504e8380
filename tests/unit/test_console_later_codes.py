"""The services can be of a later release than the console: a code that it does not know is shown as it is, and fails no page."""

import re
from collections.abc import Iterator
from typing import Any

from services.console.rendering.formats import Formats
from services.console.rendering.policy_texts import PolicyTexts
from shared.clock import SystemClock
from tests.support.console import ConsoleBench, console
from tests.support.console_pages import (
    ADMINISTRATOR,
    IN_MEMORY,
    NOBODY,
    OPERATOR,
    PAGES,
    PEOPLE_MANAGER,
    RENAMED,
    TESTER,
    ConsolePage,
    furnish,
)

CODE = re.compile(r"[a-z]+(_[a-z]+)*")
LATER = "later<i>%s"
CODES_OF_OTHER_FORM = ("warn_at", "grace")
IDS = (
    *("after", "before", "by", "client_id", "connection", "entered_by", "external_id", "group", "id", "login", "match_claims", "module"),
    *("modules", "name", "note", "people", "plan", "profile", "required", "requires", "role", "roles", "service", "source", "tenant"),
    *("text_key", "user", "value", "headers"),
)


def is_code(field: str, value: Any) -> bool:
    return isinstance(value, str) and field not in IDS and (CODE.fullmatch(value) is not None or field in CODES_OF_OTHER_FORM)


def fields_with_codes(body: Any, field: str = "") -> Iterator[str]:
    if isinstance(body, dict):
        for name, value in body.items():
            yield from fields_with_codes(value, name)
    elif isinstance(body, list):
        for value in body:
            yield from fields_with_codes(value, field)
    elif is_code(field, body):
        yield field


def with_later_code(body: Any, of: str, field: str = "") -> Any:
    if isinstance(body, dict):
        return {name: with_later_code(value, of, name) for name, value in body.items()}
    if isinstance(body, list):
        return [with_later_code(value, of, field) for value in body]
    return LATER if field == of and is_code(field, body) else body


async def wrong_fields(bench: ConsoleBench, page: ConsolePage, browser: Any) -> tuple[set[str], set[str]]:
    """Return the fields of the services' answers that have codes, and those of which the page does not show a later code as it is."""
    fields: set[str] = set()

    def seen(body: Any) -> Any:
        fields.update(fields_with_codes(body))
        return body

    bench.company.change_answer = seen
    status = (await browser.get(page.path(IN_MEMORY))).status_code
    wrong = set()
    for field in sorted(fields):
        bench.company.change_answer = lambda body, of=field: with_later_code(body, of)
        found = await browser.get(page.path(IN_MEMORY))
        if found.status_code != status or LATER in found.text:
            wrong.add(field)
    return fields, wrong


async def test_a_code_of_a_later_release_is_shown_as_it_is_on_every_page() -> None:
    async with console() as bench:
        furnish(bench.company)
        readers = {NOBODY: bench.browser(), RENAMED: bench.signed_in(), TESTER: bench.signed_in(clock="test")}
        readers |= {ADMINISTRATOR: bench.signed_in(), OPERATOR: bench.signed_in("vera", tenant=None, rights=(OPERATOR,))}
        readers |= {PEOPLE_MANAGER: bench.signed_in("kim", rights=("users:read", "users:manage"))}
        found: set[str] = set()
        wrong: dict[str, set[str]] = {}
        for page in PAGES:
            fields, failed = await wrong_fields(bench, page, readers[page.reader])
            found |= fields
            wrong |= {page.name: failed} if failed else {}
    assert wrong == {}
    assert {"state", "status", "kind", "over_limit", "charge_when", "tax_rule", "warn_at", "grace", "outcome", "reason"} <= found


def test_a_policy_of_a_later_release_has_no_example() -> None:
    later = dict.fromkeys(("over_limit", "warn_at", "reduce_at", "reduce_below_use"), LATER)
    formats = Formats("en_GB", None, SystemClock().now())
    found = PolicyTexts(lambda text, **values: text, lambda one, many, count, **values: many, formats, 3, later).all()
    assert [(each.value, each.example) for each in found if each.name in later] == [(LATER, "")] * 4

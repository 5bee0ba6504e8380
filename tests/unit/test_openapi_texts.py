"""The texts of the API documents are for people who have not seen the code."""

import pytest

from tests.support.apps import all_apps

# A summary says what the request does.
VERBS = {
    "Accept", "Add", "Advance", "Apply", "Approve", "Bind", "Change", "Check", "Confirm", "Create", "Decide", "Decline", "Define", "Delete",
    "Discard", "End", "Erase", "Explain", "Export", "Forecast", "Get", "Grant", "Invite", "Keep", "Let", "Link", "List", "Make", "Publish",
    "Reactivate", "Record", "Replace", "Request", "Retry", "Send", "Separate", "Set", "Show", "Start", "Take", "Terminate", "Upload",
    "Verify",
    "Withdraw",
}  # fmt: skip


@pytest.mark.parametrize("service", ["users", "seats", "invoicing", "notifier"])
def test_the_summary_of_every_route_is_a_verb_with_its_object(service: str) -> None:
    paths = all_apps()[service].openapi()["paths"]
    summaries = {f"{method} {path}": each["summary"] for path, methods in paths.items() for method, each in methods.items()}
    assert {route: text for route, text in summaries.items() if text.split()[0] not in VERBS or len(text.split()) < 2} == {}

"""The API documents are for people who have not seen the code, and for the programs that they generate from them."""

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


@pytest.mark.parametrize("service", ["users", "seats", "invoicing", "notifier"])
def test_an_answer_of_two_forms_is_documented_as_either_of_them(service: str) -> None:
    """A schema beside `anyOf` holds as well: with both, no answer to `dry_run` fits."""
    paths = all_apps()[service].openapi()["paths"]
    answers = {
        (method, path, status): answer.get("content", {}).get("application/json", {}).get("schema", {})
        for path, methods in paths.items()
        for method, each in methods.items()
        for status, answer in each["responses"].items()
    }
    assert [key for key, schema in answers.items() if "anyOf" in schema and {"$ref", "type"} & schema.keys()] == []


def test_a_route_that_looks_for_a_plan_documents_that_there_may_be_none() -> None:
    assert "404" in all_apps()["invoicing"].openapi()["paths"]["/v1/plans/{plan}/versions"]["get"]["responses"]


@pytest.mark.parametrize("service", ["users", "seats", "invoicing", "notifier"])
def test_each_json_answer_has_a_schema_and_an_empty_answer_documents_none(service: str) -> None:
    """`{}` fits everything: a client that expects JSON cannot read an empty answer."""
    paths = all_apps()[service].openapi()["paths"]
    contents = {
        (method, path, status): answer.get("content", {}).get("application/json")
        for path, methods in paths.items()
        for method, each in methods.items()
        for status, answer in each["responses"].items()
    }
    assert [key for key, content in contents.items() if content is not None and not content.get("schema")] == []

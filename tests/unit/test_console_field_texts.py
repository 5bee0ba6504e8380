"""Every text that says which value a service expects is in all languages: this test reads the texts in the sources of the services."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_core import _pydantic_core

from services.console.pages.forms import Form
from services.console.rendering import field_texts, languages
from services.console.rendering.problem_texts import TEXTS, text_of
from services.console.rest.problems import FieldFault, Problem
from services.invoicing.api.requests import BillingDetailsBody
from services.invoicing.domain import formats
from shared.schemas.faults import _BY_TYPE, expected_by, field_of, first_faults, once_per_field, reworded

ROOT = Path(__file__).parents[2]
SOURCES = [
    ROOT / "services/users/api", ROOT / "services/users/use_cases", ROOT / "services/users/domain", ROOT / "services/invoicing/api",
    ROOT / "services/invoicing/use_cases", ROOT / "services/invoicing/domain", ROOT / "shared/schemas/policies.py",
    ROOT / "shared/schemas/base.py", ROOT / "shared/web/rest.py", ROOT / "shared/countries.py",
]  # fmt: skip
RAISED = ("Invalid", "FieldProblem", "ValueError", "Wrong", "WrongDays", "WrongFields", "WrongPolicy")
FORMATTED: Mapping[str, Sequence[str]] = {  # what a text is put together from
    "meaning": list(formats._XRECHNUNG_BUYER.values()),
    "EXAMPLE": ["a decimal number such as 12.00"],
    "_UNNAMED.format('SEATPOOL_SELLER_VAT_ID nor SEATPOOL_SELLER_TAX_NUMBER')": [formats._UNNAMED.format("A nor B")],
    "_UNNAMED.format('SEATPOOL_SELLER_VAT_ID nor SEATPOOL_SELLER_REGISTRATION_NUMBER')": [formats._UNNAMED.format("A nor B")],
}
# Types of faults for values that no request has, or that the models of the requests do not check.
NOT_SENT = (
    "no_such", "json_type", "needs_", "recursion", "frozen", "invalid_key", "get_attr", "dataclass", "named_tuple", "default_factory",
    "none_", "multiple_of", "iter", "ordered_dict", "counter", "mapping", "deque", "set_", "int_parsing_size", "bytes", "missing_",
    "ellipsis", "date_past", "date_future", "time_type", "time_parsing", "datetime_object", "datetime_past", "datetime_future",
    "timezone_naive",
    "timezone_offset", "time_delta", "is_", "callable", "union_tag", "arguments", "unexpected", "multiple_argument", "url", "uuid",
    "decimal", "fraction", "complex", "string_not_ascii", "value_error", "assertion_error", "enum", "literal_error",
)  # fmt: skip

# Refusals that no page meets, that a page handles itself, or whose sentence names what the service alone knows.
SAID_BY_SERVICE = {
    "identity-provider-refused", "invalid", "invalid_grant", "module-cycle", "module-repeated", "not-a-credit-note", "nothing-to-keep",
    "operator-exists", "precondition-required", "price-removed", "reduction-refused", "source-bound", "tenant-exists", "too-many-kinds",
    "topic-bound", "topic-missing", "topic-unread", "total-not-above-present", "use-a-reduction", "version-conflict",
}  # fmt: skip


def texts_of(node: ast.expr, function: ast.AST, formatted: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the texts that an expression in a function can be, with `x` for each value in them that `formatted` does not know."""
    return _texts(node, _assigned(function), formatted)


def _assigned(function: ast.AST) -> dict[str, list[ast.expr]]:
    names: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=True):
                    names.setdefault(ast.unparse(target), []).append(value)
    return names


def _texts(node: ast.expr, names: Mapping[str, list[ast.expr]], formatted: Mapping[str, Sequence[str]]) -> list[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            found = [""]
            for part in parts:
                found = [before + after for before in found for after in _texts(part, names, formatted)]
            return found
        case ast.FormattedValue(value=ast.Name(id=name) as value) if name in names and name not in formatted:
            return _texts(value, names, formatted)
        case ast.FormattedValue(value=value):
            return list(formatted.get(ast.unparse(value), ["x"]))
        case ast.BinOp(left=left, right=right):
            return [one + other for one in _texts(left, names, formatted) for other in _texts(right, names, formatted)]
        case ast.BoolOp(values=parts):
            return [text for part in parts for text in _texts(part, names, formatted)]
        case ast.IfExp(body=body, orelse=other):
            return _texts(body, names, formatted) + _texts(other, names, formatted)
        case ast.Name(id=name) if name in names:
            others = {key: names[key] for key in names if key != name}
            return [text for value in names[name] for text in _texts(value, others, formatted)]
    return list(formatted.get(ast.unparse(node), ["x"]))


def _expected(tree: ast.Module) -> Iterator[str]:
    """Return what the code expects of values of the body. A text from another place is read there."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="ValueError"), args=[text]):
                    yield from (reworded(f"Value error, {each}") for each in texts_of(text, function, FORMATTED))
                case ast.Call(func=ast.Name(id=name), args=[*_, last]) if name in RAISED and not _is_of_address(node):
                    yield from texts_of(last, function, FORMATTED)
                case ast.Call(func=ast.Name(id="FieldProblem"), keywords=[_, ast.keyword(value=value)]):
                    yield from texts_of(value, function, FORMATTED)
                case ast.Return(value=ast.Tuple(elts=[_, _, last])) if function.name == "wrong_for_plan":
                    yield from texts_of(last, function, FORMATTED)
                case ast.Return(value=ast.JoinedStr() | ast.Constant(value=str()) as text) if "problem" in function.name:
                    yield from (each.partition(": ")[2].removeprefix("expected ") for each in texts_of(text, function, FORMATTED))


def _is_of_address(call: ast.Call) -> bool:
    """Tell whether the fault is in the path or the query, which the console fills in itself."""
    return ast.unparse(call.args[0]).strip("f'\"").startswith(("path.", "query."))


def _files() -> list[Path]:
    return [file for source in SOURCES for file in ([source] if source.is_file() else sorted(source.rglob("*.py")))]


def _shown(expected: str, language: str) -> str:
    """Return what a form shows for the fault of a field."""
    problem = Problem("invalid", 422, "", errors=(FieldFault("body.name", None, expected),))
    return field_texts.translated(problem, languages.translations()[language].gettext).errors[0].expected


def _untranslated(texts: set[str]) -> list[str]:
    other = languages.translations()["de"].gettext(field_texts.OTHER).partition("%")[0]
    return sorted(text for text in texts if text and _shown(text, "de").startswith(other))


def test_what_a_service_expects_of_a_field_is_translated() -> None:
    texts = _all_expected()
    assert len(texts) > 100, "the test has found the texts"
    assert _untranslated(texts) == []


def _all_expected() -> set[str]:
    return {text for file in _files() for text in _expected(ast.parse(file.read_text()))} - {"x"}


def test_no_text_says_twice_that_something_is_expected() -> None:
    """A refusal says `Expected: …`, or `expected …`, before each of these texts."""
    assert sorted(text for text in _all_expected() if re.search(r"\bexpected\b", text)) == []


def test_no_text_names_its_field_because_the_fault_does() -> None:
    assert [text for text in _all_expected() if re.match(r"[a-z_.]+: ", text)] == []


def test_a_refusal_that_a_page_can_meet_is_translated() -> None:
    found = set()
    for node in (node for file in _files() for node in ast.walk(ast.parse(file.read_text()))):
        match node:
            case ast.Call(func=ast.Name(id="Conflict" | "Forbidden" | "Refusal" | "Refused"), args=[ast.Constant(value=str(type_)), *_]):
                found.add(type_)
    assert len(found) > 50, "the test has found the refusals"
    assert sorted(found - TEXTS.keys() - SAID_BY_SERVICE) == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Laboratory can be used only together with: Documents, time. Add what is missing"),
        ("de", "Laboratory kann nur zusammen mit diesen Modulen genutzt werden: Documents, time. Fügen Sie hinzu,"),
    ],
)
def test_a_refusal_names_modules_as_the_reader_knows_them(language: str, text: str) -> None:
    problem = Problem("module-required", 409, "lab needs docs and time.", extra={"module": "lab", "requires": ["docs", "time"]})
    names = {"lab": "Laboratory", "docs": "Documents"}
    assert text_of(problem, languages.translations()[language].gettext, names).startswith(text)


def test_what_a_model_expects_of_a_field_is_translated() -> None:
    kinds = [kind for kind in _pydantic_core.list_all_errors() if not kind["type"].startswith(NOT_SENT)]
    said = {kind["type"]: kind["message_template_python"].replace("{expected_plural}", "s") for kind in kinds}
    texts = {expected_by({"type": kind, "loc": ("name",), "msg": re.sub(r"{\w+}", "1", text)}) for kind, text in said.items()}
    assert _untranslated(texts | set(_BY_TYPE.values())) == []


@pytest.mark.parametrize(
    ("expected", "german"),
    [
        ("a text of at most 500 characters", "Geben Sie höchstens 500 Zeichen ein."),
        ("'monthly' or 'annual'", "Möglich sind: monthly, annual"),
        ("a text or a list", "Geben Sie einen Text ein. Oder: Hier muss eine Liste stehen."),
        (
            "value is not a valid email address: An email address must have an @-sign.",
            "Geben Sie eine E-Mail-Adresse ein, zum Beispiel ann@example.com.",
        ),
        (
            "'x' is not a VAT ID of DE: The number has an invalid length.",
            "'x' ist keine USt-IdNr. dieses Landes (DE). Prüfen Sie die Buchstaben und Ziffern.",
        ),
        (
            "at most 40, because the plan team allows no more licences of lab",
            "Geben Sie höchstens 40 ein, denn mehr Lizenzen von lab erlaubt der Plan team nicht.",
        ),
        ("a blue moon", "Dieser Wert ist nicht möglich. Erlaubt ist: a blue moon"),
    ],
)
def test_a_german_reader_sees_what_is_expected_in_german(expected: str, german: str) -> None:
    assert _shown(expected, "de") == german


def test_a_refusal_of_fields_that_a_page_does_not_have_says_in_german_what_is_expected() -> None:
    gettext = languages.translations()["de"].gettext
    problem = Problem("invalid", 422, "English", errors=(FieldFault("body.people.0.vat_id", "", "a text of at most 30 characters"),))
    text = "Einige Werte wurden nicht angenommen. USt-IdNr.: Geben Sie höchstens 30 Zeichen ein."
    assert text_of(field_texts.translated(problem, gettext), gettext, {}) == text


@pytest.mark.parametrize(
    ("language", "shown"), [("en", "'DE1' is not a VAT ID of DE."), ("de", "'DE1' ist keine USt-IdNr. dieses Landes (DE).")]
)
def test_what_does_not_fit_another_field_is_shown_beside_the_field_to_change(language: str, shown: str) -> None:
    given = {"company": "Acme", "street": "1 Main Street", "city": "Berlin", "country": "DE", "email": "ann@acme.example", "vat_id": "DE1"}
    with pytest.raises(ValidationError) as refused:
        BillingDetailsBody.model_validate(given)
    faults = [FieldFault(f"body.{field_of(each)}", each["input"], each["expected"]) for each in once_per_field(first_faults(refused.value))]
    form = Form.of(**given)
    form.refuse(field_texts.translated(Problem("invalid", 422, "", errors=faults), languages.translations()[language].gettext))
    assert (list(form.errors), form.problem) == (["vat_id"], None)
    assert form.errors["vat_id"].startswith(shown)

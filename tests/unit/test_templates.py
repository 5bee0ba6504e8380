"""Templates of e-mails and pages are compiled once in a process, though each language has an environment of its own."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from jinja2 import Environment

from services.console.rendering import environment as pages
from services.notifier.email.rendering import Words
from shared.money import locale_of


def test_a_number_that_a_template_itself_contains_is_written_as_each_locale_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jinja calls a filter with a constant when it compiles the template, unless the filter asks for the context."""
    monkeypatch.setattr("services.notifier.email.rendering.TEMPLATES", tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "sample.j2").write_text("{{ 1234.5 | number }} {{ 'CH' | country }}")
    found = [Words(locale_of(each), ZoneInfo("UTC")).text("sample").render() for each in ("en-GB", "de-DE")]
    assert found == ["1,234.5 Switzerland", "1.234,5 Schweiz"]


def test_a_template_is_compiled_once_for_all_languages_and_again_after_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, compile_ = [], Environment.compile

    def noting(self: Environment, source: str, *arguments: object, **named: object) -> object:
        compiled.append(source)
        return compile_(self, source, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Environment, "compile", noting)
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path)
    make = pages._environment.__wrapped__
    for source in ("{{ gettext('People') }}", "{{ gettext('People') }}!"):
        (tmp_path / "sample.html").write_text(source)
        shown = [make(each).get_template("sample.html").render() for each in ("en", "de")]
        assert shown == [source.replace("{{ gettext('People') }}", word) for word in ("People", "Personen")]
    assert compiled == ["{{ gettext('People') }}", "{{ gettext('People') }}!"]

"""The templates: one environment of Jinja per language."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from services.console.rendering import static_files
from services.console.rendering.formats import Formats
from services.console.rendering.languages import translations

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


class Renderer:
    """`render("licences.html", "de", formats=…, …)`."""

    def render(self, template: str, language: str, formats: Formats, values: Mapping[str, Any]) -> str:
        """Return the page. `formats` is behind the filters `money`, `number`, `day` and so on."""
        return _environment(language).get_template(template).render(**values, formats=formats, language=language)


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
    )
    environment.install_gettext_translations(translations()[language], newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {"static": static_files.url_of, "icon_sprite": static_files.url_of("icons.svg")}
    for name in ("money", "number", "percent", "day", "short_day", "days", "moment", "clock", "days_left", "span"):
        environment.filters[name] = _formatting(name)
    environment.tests["url"] = lambda value: str(value).startswith("/")
    return environment


def _formatting(name: str) -> Any:
    """Return a filter that calls the method of the page's Formats."""

    @pass_context
    def apply(context: Context, value: Any, *arguments: Any) -> Any:
        return getattr(context["formats"], name)(value, *arguments)

    return apply

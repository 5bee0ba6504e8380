"""The templates: one environment of Jinja per language."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from services.console.rendering import languages, log_sentences, static_files
from services.console.rendering.formats import Formats
from shared.templates import CompiledOnce

TEMPLATES: Final = Path(__file__).parents[1] / "templates"
REAL: Final = ("real_moment", "real_day", "real_clock", "real_days_left")
COMPILED: Final = CompiledOnce()
MADE_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # the id of somebody who was added without one


class Renderer:
    """`render("licences.html", "de", formats=…, …)`."""

    def render(self, template: str, language: str, formats: Formats, values: Mapping[str, Any]) -> str:
        """Return the page. `formats` is behind the filters `money`, `number`, `day` and so on."""
        return (
            _environment(language)
            .get_template(template)
            .render(**values, formats=formats, language=language, direction=languages.direction(language))
        )


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=COMPILED,
        extensions=["jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
    )
    texts = languages.translations()[language]
    environment.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["ngettext"] = _counting(texts)
    environment.globals["actor_name"] = lambda by: log_sentences.actor(by, lambda text, **values: texts.gettext(text) % values)
    environment.globals |= {"static": static_files.url_of, "icon_sprite": static_files.url_of("icons.svg")}
    for name in ("money", "number", "percent", "day", "short_day", "days", "moment", "clock", "days_left", "span", *REAL):
        environment.filters[name] = _formatting(name)
    environment.filters["by_module"] = _by_module
    environment.tests["made_id"] = lambda value: MADE_ID.fullmatch(str(value)) is not None
    environment.tests["url"] = lambda value: str(value).startswith("/")
    return environment


def _by_module(found: Iterable[Any], names: Mapping[str, str]) -> list[Any]:
    """Return modules, or things of modules, in the order of `names`: that of `module_order.module_names`, base modules first."""
    places = {module: place for place, module in enumerate(names)}
    return sorted(found, key=lambda each: places.get(each if isinstance(each, str) else each["module"], len(places)))


def _counting(texts: NullTranslations) -> Any:
    """Return `ngettext` of the templates, which writes its number as the reader's country does."""

    @pass_context
    def ngettext(context: Context, one: str, many: str, count: int, **values: Any) -> Markup:
        number = context["formats"].number(count)
        return Markup(texts.ngettext(one, many, count)) % {"num": number, **values}  # noqa: S704 - the catalogue's text; values are escaped

    return ngettext


def _formatting(name: str) -> Any:
    """Return a filter that calls the method of the page's Formats."""

    @pass_context
    def apply(context: Context, value: Any, *arguments: Any) -> Any:
        return getattr(context["formats"], name)(value, *arguments)

    return apply

"""Every setting of a pydantic settings class as data: environment variable, type, default and purpose.

`python -m shared.settings_page services.users.settings:Settings` prints it as JSON, so that `seatpool settings` can document a service
that it must not import. Own code: settings-doc and pydantic-settings-export print Markdown and .env files, but no JSON.
"""

import importlib
import sys
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import orjson
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings


@dataclass(frozen=True, slots=True)
class SettingPage:
    env: str
    type: str
    default: str  # empty: must be given; secrets are never shown
    description: str
    declared_by: str  # the class that has the field


def describe(settings: type[BaseSettings]) -> list[SettingPage]:
    prefix = settings.model_config.get("env_prefix", "")
    return [_page(settings, prefix, name, field) for name, field in settings.model_fields.items()]


def _page(settings: type[BaseSettings], prefix: str, name: str, field: FieldInfo) -> SettingPage:
    # The first class in the order of resolution that annotates it decides; that one is shown.
    declared_by = next(cls.__name__ for cls in settings.__mro__ if name in getattr(cls, "__annotations__", {}))
    alias = field.validation_alias if isinstance(field.validation_alias, str) else None
    return SettingPage(
        env=(alias or f"{prefix}{name}").upper(),
        type=type_words(field.annotation),
        default=_default(field),
        description=field.description or "",
        declared_by=declared_by,
    )


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}


def type_words(annotation: Any) -> str:
    """`whole number`, `json | console`, `text or nothing`: for people who set variables, not for Python."""
    if get_origin(annotation) is Annotated:  # with its checks, which are no words
        return type_words(get_args(annotation)[0])
    if annotation is SecretStr:
        return "secret"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    arguments = get_args(annotation)
    if arguments and type(None) in arguments:
        return " or ".join([*(type_words(each) for each in arguments if each is not type(None)), "nothing"])
    if arguments:
        of = ", ".join(type_words(each) for each in arguments if each is not ...)
        return f"{getattr(get_origin(annotation), '__name__', 'list')} of {of}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(each.value) for each in annotation)
    return str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return ""
    if isinstance(default, SecretStr):
        return "(secret)" if default.get_secret_value() else "(none)"
    return "(none)" if default is None or default == "" else str(default)


def main(target: str) -> None:
    """`package.module:Class`. Raises ImportError or AttributeError when there is none."""
    module, _, name = target.partition(":")
    pages = describe(getattr(importlib.import_module(module), name))
    sys.stdout.buffer.write(orjson.dumps([asdict(page) for page in pages], option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main(sys.argv[1])

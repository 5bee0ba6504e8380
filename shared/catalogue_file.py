"""The vendor's catalogue as a file of YAML or JSON, read with the line of each field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

FILE_BYTES_MAX: Final = 1_000_000
DEPTH_MAX: Final = 20  # a catalogue has 6
_BOOL: Final = "tag:yaml.org,2002:bool"
_BOOLEANS: Final = {"true": True, "false": False}  # `yes` and `on` are booleans in old YAML only, and so they stay texts


class UnreadableCatalogue(Exception):
    """The text is no catalogue. `line` is where."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(detail)
        self.line, self.detail = line, detail


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """The content, with true and false as booleans and all other scalars as they are written, and the line of each field."""

    content: dict[str, Any]
    lines: Mapping[str, int]

    def line_of(self, field: str) -> int:
        """Return the line of a field of the request, or of the nearest field around it that is in the file."""
        place = field.removeprefix("body").removeprefix(".")
        while place and place not in self.lines:
            place = place.rpartition(".")[0]
        return self.lines.get(place, 1)


def parse_catalogue(text: str) -> CatalogueFile:
    """Raises UnreadableCatalogue."""
    if len(text) > FILE_BYTES_MAX:
        raise UnreadableCatalogue(1, f"the file is larger than {FILE_BYTES_MAX:,} bytes")
    try:
        _check_shape(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UnreadableCatalogue(mark.line + 1 if mark else 1, str(getattr(error, "problem", None) or error)) from error
    if not isinstance(root, yaml.MappingNode):
        raise UnreadableCatalogue(1, "expected `modules` and `plans`, as the export of the catalogue has them")
    lines = dict[str, int]()
    return CatalogueFile(_value(root, "", lines), lines)


def _check_shape(text: str) -> None:
    """Refuse what grows or takes long when it is read: aliases, and levels, of each of which the parser looks at all those around it."""
    depth = 0
    for event in yaml.parse(text):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableCatalogue(line, "the file uses aliases (*name). Write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise UnreadableCatalogue(line, "the file is nested too deeply")


def _value(node: yaml.Node, place: str, lines: dict[str, int]) -> Any:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, f"{place}.{number}", lines) for number, each in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return (
            None
            if node.tag == "tag:yaml.org,2002:null"
            else _BOOLEANS.get(node.value.lower(), node.value)
            if node.tag == _BOOL
            else node.value
        )
    found = dict[str, Any]()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.value in found:
            raise UnreadableCatalogue(line, f"expected each name only once, and not {key.value!r} again")
        field = f"{place}.{key.value}" if place else key.value
        found[key.value] = _value(value, field, lines)
        lines[field] = line
    return found


def write_catalogue(content: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))

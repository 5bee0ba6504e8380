"""The order in which modules are listed: as on the page Licences, base modules first, then by their names."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from services.console.rest.services import Part

T = TypeVar("T", str, Mapping[str, Any])


def in_order(items: Iterable[T], modules: Part) -> list[T]:
    """Return modules, by their ids, or things of modules in the order of Licences. `modules`: the catalogue; while it cannot be read, the
    order stays."""
    if not modules.ok:
        return list(items)
    known = {each["module"]: (not each["base"], each["name"], each["module"]) for each in modules.value["items"]}

    def place(each: str | Mapping[str, Any]) -> tuple[bool, str, str]:
        module = each if isinstance(each, str) else each["module"]
        return known.get(module, (True, module, module))

    return sorted(items, key=place)


def module_names(modules: Part) -> dict[str, str]:
    """Return the names of the modules by their ids, in the same order; without the catalogue, none: the ids are shown then."""
    return {each["module"]: each["name"] for each in in_order(modules.value["items"], modules)} if modules.ok else {}

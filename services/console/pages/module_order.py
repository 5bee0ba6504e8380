"""The order in which modules are listed: as on the page Licences, base modules first, then by their names."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.console.rest.services import Part


def in_order(items: Iterable[Mapping[str, Any]], modules: Part) -> list[Mapping[str, Any]]:
    """Return things of modules in the order of Licences. `modules`: the catalogue; while it cannot be read, the order stays."""
    if not modules.ok:
        return list(items)
    known = {each["module"]: (not each["base"], each["name"], each["module"]) for each in modules.value["items"]}
    return sorted(items, key=lambda each: known.get(each["module"], (True, each["module"], each["module"])))

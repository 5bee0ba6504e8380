"""The tables that the code of a service knows."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import TableClause


def tables(service: str) -> Iterator[TableClause]:
    store = import_module(f"services.{service}.store")
    for module in iter_modules(store.__path__):
        for value in vars(import_module(f"{store.__name__}.{module.name}")).values():
            if isinstance(value, TableClause):
                yield value

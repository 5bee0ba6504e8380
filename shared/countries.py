"""Countries of ISO 3166-1 alpha-2, from the list of the time zone database (package tzdata)."""

from functools import lru_cache
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

NORTHERN_IRELAND = "XI"  # no country of its own, but the EU's VAT law for goods treats it as one


@lru_cache(maxsize=1)
def countries() -> frozenset[str]:
    lines = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines()
    return frozenset(line.partition("\t")[0] for line in lines if line and not line.startswith("#"))


def _country(value: str) -> str:
    if value not in countries() and value != NORTHERN_IRELAND:
        raise ValueError("expected a country of ISO 3166-1 as two capital letters, such as DE or GR, or XI for Northern Ireland")
    return value


Country = Annotated[str, StringConstraints(min_length=2, max_length=2), AfterValidator(_country)]

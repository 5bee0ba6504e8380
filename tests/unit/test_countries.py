"""Which countries there are."""

import pytest
from pydantic import TypeAdapter, ValidationError

from services.invoicing.documents.party import Party
from shared.countries import Country, countries

COUNTRY = TypeAdapter[str](Country)


@pytest.mark.parametrize("code", ["EU", "ZZ", "EL", "XX", "EZ", "UN", "XK", "AC", "IC", "QO", "UK", "dk", "D", "DEU", "", "12"])
def test_what_is_no_country_of_ISO_3166_1_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        COUNTRY.validate_python(code)


def test_every_country_of_ISO_3166_1_and_Northern_Ireland_is_taken() -> None:
    assert len(countries()) == 249
    for code in (*countries(), "XI"):
        assert COUNTRY.validate_python(code) == code
    assert {"DK", "GR", "CH", "NO", "GB", "US", "AX", "RE"} <= countries()


def test_an_address_in_Northern_Ireland_names_a_country_that_the_post_knows() -> None:
    assert Party("Acme", "1 Street", "BT1 1AA", "Belfast", "XI").address("en")[-1] == "United Kingdom"

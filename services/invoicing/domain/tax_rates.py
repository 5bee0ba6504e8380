"""The standard rates of VAT with the day from which each holds, and the territories where the VAT of their country does not apply.

Sources: Taxes in Europe Database of the European Commission (TEDB) and its list "VAT rates applied in the Member States"; for Norway
merverdiavgiftsvedtaket § 1, for Switzerland MWSTG Art. 25, for the United Kingdom VAT Act 1994 section 2. As known in summer 2025.

A change is a new entry with its first day. An entry of the past is never changed: documents are rebuilt with it.
"""

from datetime import date
from typing import Final

_ALWAYS = date.min

# Country → (first day, percent), oldest first. A rate without a change since 2012 holds always.
RATES: Final[dict[str, tuple[tuple[date, str], ...]]] = {
    "AT": ((_ALWAYS, "20"),),
    "BE": ((_ALWAYS, "21"),),
    "BG": ((_ALWAYS, "20"),),
    "CH": ((_ALWAYS, "8"), (date(2018, 1, 1), "7.7"), (date(2024, 1, 1), "8.1")),
    "CY": ((_ALWAYS, "17"), (date(2013, 1, 14), "18"), (date(2014, 1, 13), "19")),
    "CZ": ((_ALWAYS, "20"), (date(2013, 1, 1), "21")),
    "DE": ((_ALWAYS, "19"), (date(2020, 7, 1), "16"), (date(2021, 1, 1), "19")),
    "DK": ((_ALWAYS, "25"),),
    "EE": ((_ALWAYS, "20"), (date(2024, 1, 1), "22"), (date(2025, 7, 1), "24")),
    "ES": ((_ALWAYS, "18"), (date(2012, 9, 1), "21")),
    "FI": ((_ALWAYS, "23"), (date(2013, 1, 1), "24"), (date(2024, 9, 1), "25.5")),
    "FR": ((_ALWAYS, "19.6"), (date(2014, 1, 1), "20")),
    "GB": ((_ALWAYS, "20"),),
    "GR": ((_ALWAYS, "23"), (date(2016, 6, 1), "24")),
    "HR": ((_ALWAYS, "23"), (date(2012, 3, 1), "25")),
    "HU": ((_ALWAYS, "27"),),
    "IE": ((_ALWAYS, "23"), (date(2020, 9, 1), "21"), (date(2021, 3, 1), "23")),
    "IT": ((_ALWAYS, "21"), (date(2013, 10, 1), "22")),
    "LT": ((_ALWAYS, "21"),),
    "LU": ((_ALWAYS, "15"), (date(2015, 1, 1), "17"), (date(2023, 1, 1), "16"), (date(2024, 1, 1), "17")),
    "LV": ((_ALWAYS, "22"), (date(2012, 7, 1), "21")),
    "MT": ((_ALWAYS, "18"),),
    "NL": ((_ALWAYS, "19"), (date(2012, 10, 1), "21")),
    "NO": ((_ALWAYS, "25"),),
    "PL": ((_ALWAYS, "23"),),
    "PT": ((_ALWAYS, "23"),),
    "RO": ((_ALWAYS, "24"), (date(2016, 1, 1), "20"), (date(2017, 1, 1), "19"), (date(2025, 8, 1), "21")),
    "SE": ((_ALWAYS, "25"),),
    "SI": ((_ALWAYS, "20"), (date(2013, 7, 1), "22")),
    "SK": ((_ALWAYS, "20"), (date(2025, 1, 1), "23")),
}

# Member states of the European Union (Article 52 of the Treaty on European Union), as ISO 3166-1. Northern Ireland (XI) belongs to it for
# goods, but not for services, which this product sells.
EU_COUNTRIES: Final = frozenset(RATES.keys() - {"CH", "GB", "NO"})

# Directive 2006/112/EC Article 7: these count as a part of another country.
TREATED_AS: Final = {"MC": "FR", "IM": "GB", "XI": "GB"}

# Directive 2006/112/EC Article 6: territories of member states to which the directive does not apply, by the beginning of the postcode.
EXCLUDED_POSTCODES: Final = {
    "DE": ("27498", "78266"),  # Heligoland, Büsingen
    "ES": ("35", "38", "51", "52"),  # Canary Islands, Ceuta, Melilla
    "FI": ("22",),  # Åland, which ISO 3166-1 also knows as AX
    "FR": ("971", "972", "973", "974", "975", "976", "977", "978", "98"),  # overseas
    "GR": ("63086",),  # Mount Athos
    "IT": ("22061", "23041"),  # Campione d'Italia, Livigno
}
# Of these, the own country taxes its sellers' services like those at home: Finland (Act 1266/1996 excepts goods only).
TAXED_AT_HOME: Final = frozenset({"FI"})
# Of these, the tax of a seller of the own country depends on more than the table knows.
UNKNOWN_AT_HOME: Final = frozenset({"FR", "GR"})
TERRITORY_CODES: Final = {"AX": "FI", "GF": "FR", "GP": "FR", "MQ": "FR", "RE": "FR", "YT": "FR", "MF": "FR"}


def standard_rate(country: str, day: date) -> str:
    """Return the standard rate in percent that holds in the country on a day. KeyError: the table does not have the country."""
    return next(rate for first, rate in reversed(RATES[country]) if first <= day)

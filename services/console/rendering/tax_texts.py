"""How a company is taxed, in words: the rule that invoicing applied, and the category of the tax (UNCL5305)."""

from typing import Final

from shared.translations import N_

TAX_RULES: Final = {
    "domestic": N_("domestic"),
    "reverse_charge": N_("reverse charge: you pay the tax yourself"),
    "one_stop_shop": N_("the rate of your country"),
    "seller_rate": N_("the vendor's rate, because there is no VAT ID"),
    "outside_the_vat_territory": N_("outside the VAT territory"),
    "export": N_("export"),
    "operator": N_("set by the vendor"),
}
TAX_CATEGORIES: Final = {
    "S": N_("with tax"),
    "AE": N_("reverse charge"),
    "O": N_("not subject to tax"),
    "Z": N_("zero rate"),
}

"""Rounding, shares, taxes, texts of amounts."""

import ast
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

import services.invoicing.domain as domain
import shared.money
from services.invoicing.domain.money import Tax, round_half_up, share, tax_lines
from shared.money import format_amount, format_day, format_number, format_percent, is_currency, minor_units


@pytest.mark.parametrize(
    ("amount", "expected"), [("0", 0), ("1/2", 1), ("3/2", 2), ("5/2", 3), ("49/100", 0), ("-1/2", 0), ("-3/2", -1), ("-51/100", -1)]
)
def test_a_half_is_rounded_up(amount: str, expected: int) -> None:
    assert round_half_up(Fraction(amount)) == expected


def test_T10_B6_B7_six_licences_for_13_of_30_days_are_31_20() -> None:
    assert share(6, 1200, 13, 30) == Fraction(3120)
    (tax,) = tax_lines([(Tax("S", "25"), 3120)])
    assert (tax.basis_minor, tax.tax_minor) == (3120, 780)


def test_tax_is_computed_on_the_total_of_its_category() -> None:
    """Three lines of 0.05 at 10 %: line by line 0.01 each, on the total 0.02."""
    (tax,) = tax_lines([(Tax("S", "10"), 5)] * 3)
    assert (tax.basis_minor, tax.tax_minor) == (15, 2)
    both = tax_lines([(Tax("S", "8.1"), 1000), (Tax("E", "0"), 500), (Tax("S", "8.1"), 1)])
    assert [(line.category, line.basis_minor, line.tax_minor) for line in both] == [("E", 500, 0), ("S", 1001, 81)]


def test_minor_units_are_those_of_iso_4217() -> None:
    assert [minor_units(code) for code in ("EUR", "JPY", "KWD", "CLF", "IQD", "HUF")] == [2, 0, 3, 4, 3, 2]
    assert is_currency("DKK")
    assert not is_currency("XYZ")


def test_amounts_are_written_as_the_locale_does() -> None:
    assert format_amount(3900, "EUR", "en") == "€39.00"
    assert format_amount(123456, "EUR", "da") == "1.234,56\N{NO-BREAK SPACE}€"
    assert format_amount(1200, "JPY", "ja") == "￥1,200"
    assert format_amount(1250, "KWD", "en") == "KWD\N{NO-BREAK SPACE}1.250"
    assert format_amount(-5, "EUR", "en") == "-€0.05"
    assert format_number(1234567, "EUR", "de") == "12.345,67"
    assert (format_percent("8.1", "da"), format_percent("25", "en")) == ("8,1\N{NO-BREAK SPACE}%", "25%")
    assert format_day(date(2013, 11, 18), "da") == "18. november 2013"
    assert format_amount(100, "EUR", "xx") == "€1.00"


@pytest.mark.parametrize("path", [*Path(domain.__path__[0]).glob("*.py"), Path(shared.money.__file__)], ids=lambda path: path.name)
def test_no_float_comes_near_money(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), where
        assert not (isinstance(node, ast.Name) and node.id == "float"), where
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.left, ast.Name)), where

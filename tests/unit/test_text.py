"""Text of other people."""

import pytest

from shared.text import has_hidden


@pytest.mark.parametrize(
    "text", ["", "Ann Ash", "Müller-Lüdenscheidt", "علي‌رضا", "क्‍ष", "李 雷", "👩‍💻", "葛\U000e0100", "two\nlines\tand a tab"]
)
def test_names_as_people_write_them_hide_nothing(text: str) -> None:
    assert not has_hidden(text)


@pytest.mark.parametrize(
    "code", [0x00, 0x1B, 0x7F, 0x85, 0xAD, 0x061C, 0x200B, 0x200E, 0x202E, 0x2028, 0x2060, 0x2066, 0x2069, 0xFEFF, 0xE0041]
)
def test_control_characters_and_format_characters_are_hidden(code: int) -> None:
    assert has_hidden(f"Ann{chr(code)}Ash")

"""Text of other people."""

import pytest

from shared.text import has_hidden, has_unclear, join_list, split_list


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


@pytest.mark.parametrize("text", ["", "ann", "ann ash", "Müller@acme.example", "李雷", "علي", "ann+x@acme.example", "हिन्दी", "a\u0301nn"])
def test_logins_as_people_write_them_are_clear(text: str) -> None:
    assert not has_unclear(text)


_UNCLEAR = "\0\t\n\x7f\xa0\xad\u034f\u115f\u180e\u2003\u200b\u200c\u200d\u202e\u202f\u2028\u205f\u2060\u2800\u3000\u3164\ufe0f\ufeff\uffa0"


@pytest.mark.parametrize("code", [ord(each) for each in _UNCLEAR])
def test_what_makes_a_login_look_like_another_one_is_unclear(code: int) -> None:
    assert has_unclear(f"ann{chr(code)}ash")


@pytest.mark.parametrize("values", [["a"], ["a", "b"], ["Research, development", "Sales"], ['The "A" team', 'x,"y",z'], ['"', ","]])
def test_a_list_in_one_text_comes_back_as_it_was(values: list[str]) -> None:
    assert split_list(join_list(values)) == values


def test_lists_of_ids_are_written_and_read_as_ever() -> None:
    assert join_list(["lab", "time"]) == "lab,time"
    assert split_list("account:read, users:read") == ["account:read", "users:read"]

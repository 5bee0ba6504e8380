"""Which texts are decision ids: readers move their watermarks by them, so everything else is refused."""

import pytest

from shared.schemas.position import DecisionId, Position


@pytest.mark.parametrize("found", [DecisionId(0, 0, 0), DecisionId(3, 1042, 2), DecisionId(23, 2**63 - 1, 2**24 - 1)])
def test_a_decision_id_is_read_as_it_was_printed(found: DecisionId) -> None:
    assert DecisionId.parse(str(found)) == found


def test_a_decision_id_names_topic_partition_offset_and_number() -> None:
    assert str(DecisionId(3, 1042, 2)) == "seats.commands.v1/3/1042/2"
    assert DecisionId(3, 1042, 2).order == (1042, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x/2/9000000000/0",  # another topic
        "staging.seats.commands.v1/2/9/0",
        "seats.commands.v1/2/9",
        "seats.commands.v1/2/9/0/0",
        "seats.commands.v1/2/9223372036854775808/0",
        "seats.commands.v1/2/99999999999999999999999/0",
        "seats.commands.v1/2/9/16777216",
        "seats.commands.v1/2147483648/9/0",
        "seats.commands.v1/02/9/0",
        "seats.commands.v1/2/09/0",
        "seats.commands.v1/2/9/00",
        "seats.commands.v1/2/-9/0",
        "seats.commands.v1/2/+9/0",
        "seats.commands.v1/2/9/0\n",
        "seats.commands.v1/2/\u0669/0",  # a digit to str.isdecimal and to \d
        "seats.commands.v1/2/" + "9" * 5000 + "/0",  # more digits than int() takes
    ],
)
def test_what_is_no_decision_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no decision id"):
        DecisionId.parse(text)


def test_a_position_is_read_as_it_was_printed() -> None:
    position = Position(partition=3, offset=1042)
    assert (str(position), Position.parse("3-1042")) == ("3-1042", position)
    assert DecisionId(3, 1042, 2).position == position
    assert DecisionId(3, 1042, 2).key == f"{position}-2"


@pytest.mark.parametrize("text", ["", "3", "3-", "-3", "3-1042-2", "03-7", "3-07", "3-7\n", "2013-11-15", "\u0663-7", "1-" + "9" * 19])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no position"):
        Position.parse(text)

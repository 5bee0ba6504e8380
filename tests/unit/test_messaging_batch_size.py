"""A transaction takes few messages at first, more while they are handled fast, and fewer when they are not."""

from shared.messaging.batch_size import FIRST, SLOW_SECONDS, BatchSize


def test_transactions_grow_while_they_are_full_and_fast() -> None:
    size, taken = BatchSize(500), []
    for _ in range(7):
        taken.append(size.messages)
        size.took(size.messages, 0.1)
    assert taken == [16, 32, 64, 128, 256, 500, 500]


def test_a_transaction_that_was_not_full_says_nothing_about_larger_ones() -> None:
    size = BatchSize(500)
    size.took(FIRST - 1, 0.1)
    assert size.messages == FIRST


def test_a_slow_transaction_makes_the_next_ones_smaller_however_few_messages_it_had() -> None:
    size, taken = BatchSize(500), []
    size.took(FIRST, 0.1)
    for _ in range(4):
        taken.append(size.messages)
        size.took(min(size.messages, 12), SLOW_SECONDS + 1)
    assert taken == [32, 3, 1, 1]


def test_a_transaction_that_failed_fast_says_nothing_and_one_that_failed_late_makes_the_next_ones_smaller() -> None:
    size, taken = BatchSize(500), []
    for seconds in (0.1, SLOW_SECONDS + 1):
        size.took(size.messages, seconds, committed=False)
        taken.append(size.messages)
    assert taken == [FIRST, FIRST // 4]


def test_no_transaction_is_larger_than_allowed() -> None:
    assert BatchSize(7).messages == 7

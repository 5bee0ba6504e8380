"""Frames and their merge: what a changelog says, whatever the order in which zombies wrote."""

import random

import pytest

from services.seats.engine.frames import (
    NOTHING,
    ForeignWrite,
    Marker,
    MarkerLost,
    Merge,
    encode_rows,
    frame,
    parts,
)
from services.seats.engine.producer import BatchTooLarge, Record, pack
from tests.support.fake_seats import CODEC


def feed(merge: Merge, *written: tuple[dict[str, object], Marker]) -> Merge:
    for rows, marker in written:
        for key, value, headers, _ in frame(0, encode_rows(rows, CODEC), marker):
            merge.feed(key or b"", value, headers)
    return merge


def test_a_marker_survives_its_encoding() -> None:
    for marker in (NOTHING, Marker(7, 1000, 2), Marker(7, 1000, 2, 3, 9, 400, 12)):
        assert Marker.decode(marker.encode()) == marker


def test_rows_and_marker_of_frames_in_order_are_the_state() -> None:
    merge = feed(Merge(CODEC), ({"a": 1, "b": 2}, Marker(3, 10, 1)), ({"a": 5, "b": None}, Marker(4, 20, 1)))
    assert (merge.rows, merge.marker, merge.foreign) == ({"a": 5}, Marker(4, 20, 1), set())


def test_a_frame_written_late_by_a_zombie_loses_and_is_named_for_repair() -> None:
    written = [({"a": 9, "c": 9}, Marker(9, 90, 1)), ({"a": 5, "b": 5}, Marker(5, 50, 1))]
    with pytest.raises(ForeignWrite):
        feed(Merge(CODEC), *written)
    merge = feed(Merge(CODEC, thorough=True), *written)
    assert merge.rows == {"a": 9, "b": 5, "c": 9}
    assert merge.marker.decided == 9
    assert merge.foreign == {"a", "#w|0"}


def test_a_removed_row_stays_removed_when_a_zombie_writes_it_late() -> None:
    merge = feed(Merge(CODEC, thorough=True), ({"a": 1}, Marker(1, 0, 1)), ({"a": None}, Marker(2, 0, 1)), ({"a": 1}, Marker(1, 0, 1)))
    assert merge.rows == {}
    assert "a" in merge.foreign


def test_a_repair_ends_what_is_foreign() -> None:
    merge = feed(Merge(CODEC, thorough=True), ({"a": 9}, Marker(9, 90, 1)), ({"a": 5}, Marker(5, 50, 1)), ({"a": 9}, Marker(9, 90, 1)))
    assert (merge.rows, merge.foreign) == ({"a": 9}, set())


def test_a_command_in_parts_is_decided_with_its_last_part_only() -> None:
    first, second, last = Marker(8, 0, 1, 1, 3, 40, 2), Marker(8, 0, 1, 2, 3, 40, 2), Marker(8, 0, 1, 3, 3, 40, 2)
    merge = Merge(CODEC)
    assert feed(merge, ({"a": 1}, first)).marker.decided == 7
    assert feed(merge, ({"b": 1}, second)).marker.decided == 7
    assert feed(merge, ({"c": 1}, last)).marker.decided == 8


def test_a_zombie_s_part_of_a_finished_command_does_not_make_it_unfinished() -> None:
    part, finished = Marker(8, 0, 1, 1, 3, 40, 2), Marker(8, 0, 1, 3, 3, 40, 2)
    merge = feed(Merge(CODEC, thorough=True), ({"a": 1}, part), ({"b": 1}, finished), ({"a": 1}, part))
    assert merge.marker == finished
    assert merge.foreign == {"#w|0"}


def test_rows_without_their_marker_are_refused() -> None:
    merge = Merge(CODEC)
    records = frame(0, encode_rows({"a": 1}, CODEC), Marker(3, 0, 1))
    key, value, headers, _ = records[0]
    merge.feed(key or b"", value, headers)
    with pytest.raises(MarkerLost):
        merge.check()


def test_any_order_of_whole_frames_gives_the_same_state() -> None:
    seed = 20
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(200):
        state: dict[str, object] = {}
        written = []
        for offset in range(8):
            rows = {chance.choice("abcd"): chance.choice([None, offset]) for _ in range(2)}
            state |= rows
            written.append((rows, Marker(offset, offset, 1)))
        late = [*written, *chance.sample(written, 3)]
        merge = feed(Merge(CODEC, thorough=True), *late)
        assert merge.rows == {key: row for key, row in state.items() if row is not None}
        assert merge.marker.decided == 7


def test_parts_keep_order_and_limits_and_nothing_is_one_part() -> None:
    rows = encode_rows({f"k{n}": "x" * 100 for n in range(25)}, CODEC)
    cut = list(parts(rows, rows_max=10, bytes_max=100_000))
    assert [len(part) for part in cut] == [10, 10, 5]
    assert [row for part in cut for row in part] == rows
    assert all(len(part) <= 3 for part in parts(rows, rows_max=10, bytes_max=500))
    assert list(parts([], rows_max=10, bytes_max=500)) == [[]]


def test_an_atomic_send_that_does_not_fit_one_record_batch_is_refused() -> None:
    records: list[Record] = [(b"k", b"x" * 400, [], None) for _ in range(4)]
    assert len(pack(records, bytes_max=1000, atomic=False)) > 1
    assert len(pack(records, bytes_max=10_000, atomic=True)) == 1
    with pytest.raises(BatchTooLarge):
        pack(records, bytes_max=1000, atomic=True)
    with pytest.raises(BatchTooLarge):
        pack([(b"k", b"x" * 4000, [], None)], bytes_max=1000, atomic=False)

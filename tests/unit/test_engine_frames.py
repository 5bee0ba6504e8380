"""Frames and their merge: the state in a changelog, independent of the order in which old workers wrote."""

import random
from collections.abc import Mapping

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
from shared.schemas.envelope import unreadable
from tests.support.fake_seats import CODEC


class Log:
    """A changelog: whole frames, other records, and gaps where compaction was."""

    def __init__(self, *written: tuple[Mapping[str, object], Marker]) -> None:
        self.records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = []
        self.end = 0
        for rows, marker in written:
            self.frame(rows, marker)

    def frame(self, rows: Mapping[str, object], marker: Marker) -> "Log":
        for key, value, headers, _ in frame(0, encode_rows(rows, CODEC), marker):
            self.foreign(key, value, *headers)
        return self

    def foreign(self, key: bytes | None, value: bytes | None, *headers: tuple[str, bytes | None]) -> "Log":
        self.records.append((self.end, key, value, list(headers)))
        self.end += 1
        return self

    def compacted(self) -> "Log":
        """As the cleaner leaves it: the last record of each key."""
        last = {key: offset for offset, key, _, _ in self.records}
        self.records = [record for record in self.records if last[record[1]] == record[0]]
        return self

    def read(self, *, thorough: bool = True) -> Merge:
        merge = Merge(CODEC, 0, thorough=thorough)
        for record in self.records:
            merge.feed(*record)
        merge.check()
        return merge


def feed(merge: Merge, *written: tuple[Mapping[str, object], Marker], begin: int = 0) -> Merge:
    for record in Log(*written).records:
        merge.feed(begin + record[0], *record[1:])
    return merge


def test_a_marker_survives_its_encoding() -> None:
    for marker in (NOTHING, Marker(7, 1000, 2), Marker(7, 1000, 2, 3, 9, 400, 12)):
        assert Marker.decode(marker.encode()) == marker


def test_rows_and_marker_of_frames_in_order_are_the_state() -> None:
    merge = feed(Merge(CODEC, 0), ({"a": 1, "b": 2}, Marker(3, 10, 1)), ({"a": 5, "b": None}, Marker(4, 20, 1)))
    assert (merge.rows, merge.marker, merge.foreign) == ({"a": 5}, Marker(4, 20, 1), set())


def test_a_frame_written_late_by_an_old_worker_loses_and_is_marked_for_repair() -> None:
    written = [({"a": 9, "c": 9}, Marker(9, 90, 1)), ({"a": 5, "b": 5}, Marker(5, 50, 1))]
    with pytest.raises(ForeignWrite):
        feed(Merge(CODEC, 0), *written)
    merge = feed(Merge(CODEC, 0, thorough=True), *written)
    assert merge.rows == {"a": 9, "b": 5, "c": 9}
    assert merge.marker.decided == 9
    assert merge.foreign == {b"a", b"#w|0"}


def test_a_removed_row_stays_removed_when_an_old_worker_writes_it_late() -> None:
    merge = feed(Merge(CODEC, 0, thorough=True), ({"a": 1}, Marker(1, 0, 1)), ({"a": None}, Marker(2, 0, 1)), ({"a": 1}, Marker(1, 0, 1)))
    assert merge.rows == {}
    assert b"a" in merge.foreign


def test_after_a_repair_nothing_is_foreign() -> None:
    merge = feed(Merge(CODEC, 0, thorough=True), ({"a": 9}, Marker(9, 90, 1)), ({"a": 5}, Marker(5, 50, 1)), ({"a": 9}, Marker(9, 90, 1)))
    assert (merge.rows, merge.foreign) == ({"a": 9}, set())


def test_a_command_in_parts_is_decided_with_its_last_part_only() -> None:
    first, second, last = Marker(8, 0, 1, 1, 3, 40, 2), Marker(8, 0, 1, 2, 3, 40, 2), Marker(8, 0, 1, 3, 3, 40, 2)
    merge = Merge(CODEC, 0)
    assert feed(merge, ({"a": 1}, first)).marker.decided == 7
    assert feed(merge, ({"b": 1}, second), begin=2).marker.decided == 7
    assert feed(merge, ({"c": 1}, last), begin=4).marker.decided == 8


def test_an_old_workers_part_of_a_finished_command_does_not_make_it_unfinished() -> None:
    part, finished = Marker(8, 0, 1, 1, 3, 40, 2), Marker(8, 0, 1, 3, 3, 40, 2)
    merge = feed(Merge(CODEC, 0, thorough=True), ({"a": 1}, part), ({"b": 1}, finished), ({"a": 1}, part))
    assert merge.marker == finished
    assert merge.foreign == {b"#w|0"}


def test_rows_without_their_marker_are_refused() -> None:
    log = Log(({"a": 1, "b": 1}, Marker(3, 0, 1)), ({"a": 2}, Marker(4, 0, 1)), ({"b": 1}, Marker(3, 0, 1))).compacted()
    with pytest.raises(MarkerLost):
        log.read()


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
        merge = feed(Merge(CODEC, 0, thorough=True), *late)
        assert merge.rows == {key: row for key, row in state.items() if row is not None}
        assert merge.marker.decided == 7


def test_parts_keep_order_and_limits_and_no_rows_are_one_part() -> None:
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


O3: tuple[str, bytes | None] = ("o", b"3")
NO_WORKER_S: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
    (b"a", b"9", []),
    (b"a", b"9", [("o", None)]),
    (b"a", b"9", [("o", b"")]),
    (b"a", b"9", [("o", b"three")]),
    (b"a", b"9", [("o", b"+3")]),
    (b"a", b"9", [("o", b"03")]),
    (b"a", b"9", [("o", b"-7")]),
    (b"a", b"9", [("o", b"9" * 5000)]),
    (b"a", b"9", [("o", b"9999999999")]),
    (b"a", b"9", [O3, O3]),
    (b"a", b"9", [O3, ("ce_id", b"1")]),
    (b"a", b"9", [O3]),
    (b"a", None, [O3]),
    (b"a", b"{", [O3]),
    (b"new", b"{", [O3]),
    (b"new", b"9", [("o", b"4")]),
    (b"\xff", b"9", [O3]),
    (b"\xff", None, [O3]),
    (b"k" * 100_000, b"9", [O3]),
    (None, b"9", [O3]),
    (None, None, [unreadable()]),
    (b"#w|0", None, [O3]),
    (b"#w|0", b"", [O3]),
    (b"#w|0", b"[]", [O3]),
    (b"#w|0", b'{"o":3,"t":1,"r":1}', [O3]),
    (b"#w|0", b'{"o":3,"t":1,"r":1,"n":7}', [O3]),
    (b"#w|0", b'{"o":9,"t":1,"r":1,"n":0}', [O3]),
    (b"#w|0", b'{"o":"3","t":1,"r":1,"n":0}', [O3]),
    (b"#w|7", b'{"o":3,"t":1,"r":1,"n":0}', [O3]),
]


@pytest.mark.parametrize("place", ["before", "between", "behind"])
@pytest.mark.parametrize(("key", "value", "headers"), NO_WORKER_S)
def test_a_record_that_no_worker_wrote_changes_nothing_and_its_key_is_written_again(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], place: str
) -> None:
    log = Log()
    if place == "before":
        log.foreign(key, value, *headers)
    log.frame({"a": 1, "b": 1}, Marker(3, 30, 1))
    if place == "between":
        log.foreign(key, value, *headers)
    log.frame({"b": 2}, Marker(4, 40, 1))
    if place == "behind":
        log.foreign(key, value, *headers)
    with pytest.raises(ForeignWrite):
        log.read(thorough=False)
    merge = log.read()
    assert (merge.rows, merge.marker) == ({"a": 1, "b": 2}, Marker(4, 40, 1))
    written_after = (place == "before" and key in (b"a", b"#w|0")) or (place == "between" and key == b"#w|0")
    repairable = key is not None and len(key) < 1000 and not written_after
    assert merge.foreign == ({key} if repairable else set())


@pytest.mark.parametrize(("key", "value", "headers"), NO_WORKER_S)
def test_a_repair_holds_also_after_compaction(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    log = Log(({"a": 1, "b": 1}, Marker(3, 30, 1)), ({"b": 2}, Marker(4, 40, 1))).foreign(key, value, *headers)
    foreign = log.read().foreign
    rows = [(wrong, CODEC.encode("", 1) if wrong == b"a" else None) for wrong in foreign if wrong != b"#w|0"]
    for k, v, h, _ in frame(0, rows, Marker(4, 40, 1)):
        log.foreign(k, v, *h)
    assert log.read().foreign == set()
    log.compacted()
    log.frame({"c": 1}, Marker(5, 50, 1))
    merge = log.read(thorough=key is None or len(key) > 1000)  # nobody can write over those
    assert (merge.rows, merge.marker, merge.foreign) == ({"a": 1, "b": 2, "c": 1}, Marker(5, 50, 1), set())


def test_a_row_of_a_worker_that_this_release_cannot_read_is_no_foreign_write() -> None:
    """Passed over and written again, it would be lost."""
    log = Log()
    for key, value, headers, _ in frame(0, [(b"a", b"{")], Marker(3, 30, 1)):
        log.foreign(key, value, *headers)
    for thorough in (False, True):
        with pytest.raises(ValueError, match="unexpected end of data"):
            log.read(thorough=thorough)


def test_compaction_at_any_time_leaves_the_state_that_it_found() -> None:
    seed = 21
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(200):
        log = Log()
        state: dict[str, object] = {}
        for offset in range(8):
            rows: dict[str, object] = {chance.choice("abcd"): chance.choice([None, offset]) for _ in range(2)}
            state |= rows
            log.frame(rows, Marker(offset, offset, 1))
            if chance.random() < 0.3:
                log.compacted()
        merge = log.read(thorough=False)
        assert merge.rows == {key: row for key, row in state.items() if row is not None}
        assert merge.marker.decided == 7

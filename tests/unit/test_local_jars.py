"""Jars are used only when they are what the lock names."""

import hashlib
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.jars import HashMismatch, Jar

GOOD = b"the jar that was locked"


def lock_of(folder: Path, *names: str) -> Path:
    path = folder / "kafka.lock"
    path.write_text("".join(f"org.example:{name}:1.0 {hashlib.sha256(GOOD).hexdigest()}\n" for name in names))
    return path


def test_all_jars_of_the_lock_are_fetched_once(tmp_path: Path) -> None:
    fetched: list[str] = []

    def fetch(jar: Jar, _scratch: Path) -> bytes:
        fetched.append(jar.artifact)
        return GOOD

    lock = lock_of(tmp_path, "one", "two")
    for _ in range(2):
        folder = jars.ensure(tmp_path / "cache", lock, fetch)
        assert sorted(path.name for path in folder.iterdir()) == ["one-1.0.jar", "two-1.0.jar"]
    assert sorted(fetched) == ["one", "two"]


def test_a_jar_with_another_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(HashMismatch, match=r"org\.example:one:1\.0 has sha256"):
        jars.ensure(tmp_path / "cache", lock_of(tmp_path, "one"), lambda _jar, _scratch: b"another jar")
    assert list((tmp_path / "cache").iterdir()) == []
    assert not list(tmp_path.glob("fetch-*"))


def test_a_jar_that_was_changed_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, "one")
    folder = jars.ensure(tmp_path / "cache", lock, lambda _jar, _scratch: GOOD)
    (folder / "one-1.0.jar").write_bytes(b"changed")
    jars.ensure(folder, lock, lambda _jar, _scratch: GOOD)
    assert (folder / "one-1.0.jar").read_bytes() == GOOD


def test_the_cache_is_the_users_and_each_lock_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jars.default_folder().parent == tmp_path / "seatpool"
    assert jars.default_folder() != jars.default_folder(lock_of(tmp_path, "one"))


def test_the_committed_lock_names_the_broker_and_no_registry() -> None:
    locked = jars.read_lock()
    assert any(jar.artifact == "kafka_2.13" for jar in locked)
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert "://" not in jars.LOCK.read_text()

"""The folder of a stack: one running stack each, and nothing of it readable by others."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.state import FORMAT, AlreadyRunning, OldState, State, note_of


def test_a_second_stack_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = State(tmp_path / "state")
    first.lock()
    with pytest.raises(AlreadyRunning, match=rf"already running from .*state \(process {os.getpid()}\)"):
        State(tmp_path / "state").lock()
    State(tmp_path / "other").lock()
    first.unlock()
    State(tmp_path / "state").lock()


def test_the_data_of_another_version_is_refused_with_the_advice_to_delete_it(tmp_path: Path) -> None:
    older = State(tmp_path / ".seatpool")
    older.folder.mkdir()
    older.secrets(["operator"])  # what every version writes at its first start
    with pytest.raises(OldState, match=r"Delete \.seatpool/ and start again"):
        older.lock()
    later = State(tmp_path / "later")
    later.lock()
    later.unlock()
    later.lock()
    later.unlock()
    (later.folder / "format").write_text(str(FORMAT + 1))
    with pytest.raises(OldState, match=r"Delete later/"):
        later.lock()


def test_secrets_stay_the_same_and_are_nobody_elses(tmp_path: Path) -> None:
    first = State(tmp_path).secrets(["operator"])
    second = State(tmp_path).secrets(["operator", "database_users"])
    assert second["operator"] == first["operator"]
    assert len(set(second.values())) == 2
    State(tmp_path).write_stack({"token": "x"})
    for name in ("secrets.json", "stack.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


def test_what_a_killed_supervisor_left_behind_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    state = State(tmp_path)
    state.write_stack({"processes": {"kafka": note_of(sleeper.pid)}})
    assert state.end_leftovers() == ["kafka"]
    assert sleeper.wait(10) == -signal.SIGKILL
    assert not state.stack_file.exists()


def test_a_process_that_only_has_the_same_id_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    state = State(tmp_path)
    state.write_stack({"processes": {"kafka": {**note_of(sleeper.pid), "started": psutil.Process(sleeper.pid).create_time() - 100}}})
    assert state.end_leftovers() == []
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait(10)
